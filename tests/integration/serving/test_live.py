"""Changes of aliases, traffic and models go live, and no request notices."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from mlq.db import monitoring, routing
from mlq.service import endpoints, models, rollouts, tokens
from mlq.spec.rollout import read_policy
from tests.integration.serving.conftest import ROWS, World
from tests.servers import Postgres, wait_until


def promote(world: World, version: int, *, alias: str = "production") -> None:
    with world.database.write() as conn:
        models.set_alias(conn, name="churn", alias=alias, version=version, actor="ann")


def test_an_alias_flips_ten_times_under_load_and_no_request_fails(world: World) -> None:
    versions = {"one": world.register("one"), "two": world.register("two")}
    said = {f"models:/churn/{version}": answer for answer, version in versions.items()}
    world.deploy(versions["one"])
    world.start()
    is_over = threading.Event()

    def ask(path: str) -> Counter[str]:
        """Ask as fast as answers come; every answer fits the model that it names."""
        seen: Counter[str] = Counter()
        tensors = [
            {"name": "months", "shape": [1], "datatype": "FP64", "data": [1]},
            {"name": "plan", "shape": [1], "datatype": "BYTES", "data": ["basic"]},
        ]
        with world.client() as http:
            while not is_over.is_set():
                response = http.post(path, json={"rows": ROWS, "inputs": tensors})
                assert response.status_code == 200, response.text
                answer = response.json()
                if "outputs" in answer:
                    name = f"models:/churn/{answer['model_version']}"
                    assert answer["outputs"][0]["data"] == [said[name]]
                else:
                    name = answer["model"]
                    assert answer["predictions"] == [said[name]] * 2
                seen[name] += 1
        return seen

    with ThreadPoolExecutor(2) as pool:
        asking = [
            pool.submit(ask, "/endpoints/shop/score"),
            pool.submit(ask, "/v2/models/churn/infer"),
        ]
        try:
            for flip in range(10):
                answer = ("two", "one")[flip % 2]
                promote(world, versions[answer])
                world.wait(lambda answer=answer: world.answers() == answer)
        finally:
            is_over.set()
        seen = [one.result() for one in asking]
    assert all(set(one) == set(said) for one in seen)


def test_rollback_goes_live_from_memory(sqlite_world: World) -> None:
    world = sqlite_world
    world.deploy(world.register("one"))
    world.start()
    assert world.answers() == "one"
    promote(world, world.register("two"))
    world.wait(lambda: world.answers() == "two")
    shutil.rmtree(world.settings.artifact_root)
    with world.database.write() as conn:
        models.rollback(conn, name="churn", actor="ann")
    world.wait(lambda: world.answers() == "one")


def test_traffic_is_split_and_a_header_chooses(world: World) -> None:
    world.deploy(world.register("one"))
    world.deploy(world.register("two"), alias="staging")
    with world.database.write() as conn:
        endpoints.set_traffic(
            conn, name="shop", traffic={"production": 70, "staging": 30}, actor="ann"
        )
    world.start()
    drawn = Counter(world.score().json()["deployment"] for _ in range(20))
    assert drawn == {"production": 14, "staging": 6}
    for header in ("mlq-deployment", "azureml-model-deployment"):
        answer = world.score(headers={header: "staging"})
        assert answer.json()["predictions"] == ["two", "two"]
        assert answer.headers["mlq-deployment"] == "staging"
        assert answer.headers["mlq-model"] == "models:/churn/2"
    assert world.score(headers={"mlq-deployment": "blue"}).status_code == 404
    with world.database.write() as conn:
        endpoints.set_traffic(conn, name="shop", traffic={}, actor="ann")
    world.wait(lambda: world.score().status_code == 503)
    assert world.score().json()["code"] == "no_traffic"
    with world.database.write() as conn:
        endpoints.delete(conn, name="shop", actor="ann")
    world.wait(lambda: world.score().status_code == 404)


def test_a_model_that_cannot_be_loaded_does_not_replace_one_that_can(sqlite_world: World) -> None:
    world = sqlite_world
    world.deploy(world.register("one"))
    world.start()
    promote(world, world.register("broken"))

    def problems() -> list[dict[str, str]]:
        ready = world.http.get("/v2/health/ready")
        assert ready.status_code == 200
        found: list[dict[str, str]] = ready.json()["problems"]
        return found

    world.wait(problems)
    assert problems()[0]["model"] == "models:/churn/2"
    assert "flavor" in problems()[0]["message"]
    assert world.answers() == "one"
    direct = world.http.get("/v2/models/churn/versions/2/ready")
    assert (direct.status_code, direct.json()["code"]) == (503, "model_not_loaded")
    with world.database.write() as conn:
        models.rollback(conn, name="churn", actor="ann")
    world.wait(lambda: not problems())
    assert world.answers() == "one"


def test_serving_goes_on_while_the_database_is_away(
    postgresql_world: World, postgres: Postgres
) -> None:
    world = postgresql_world
    one, two = world.register("one"), world.register("two")
    world.deploy(one)
    world.start()
    assert world.answers() == "one"
    name = sql.Identifier(urlsplit(world.settings.database).path.lstrip("/"))
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        try:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [name.as_string(admin).strip('"')],
            )
            wait_until(lambda: world.http.get("/v2/health/ready").json().get("database") == "away")
            assert world.answers() == "one"
            assert world.score(headers={"authorization": "Bearer unknown"}).status_code == 503
        finally:
            admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
    world.database.engine.dispose()
    promote(world, two)
    world.wait(lambda: world.answers() == "two")


def test_a_revoked_token_is_refused_within_its_two_seconds(sqlite_world: World) -> None:
    world = sqlite_world
    world.deploy(world.register("one"))
    world.start()
    with world.database.write() as conn:
        other = tokens.create(conn, name="other", role="viewer", actor="ann")
    headers = {"authorization": f"Bearer {other.token}"}
    assert world.score(headers=headers).status_code == 200
    with world.database.write() as conn:
        tokens.revoke(conn, other.id, actor="ann")
    wait_until(lambda: world.score(headers=headers).status_code == 401)


def test_what_was_made_a_moment_ago_is_found(world: World) -> None:
    world.app.app.state.serving.watcher._poll_s = 3600  # it looks once
    one = world.register("one")
    world.start()
    assert world.score().status_code == 404
    world.deploy(one)
    assert world.answers() == "one"
    world.deploy(world.register("two"), alias="staging")
    assert world.score(headers={"mlq-deployment": "staging"}).json()["model"] == "models:/churn/2"
    for version in ("staging", "2"):
        assert world.http.get(f"/v2/models/churn/versions/{version}").status_code == 200
    assert world.http.get("/v2/models/churn/versions/blue").status_code == 404


def test_a_slow_model_does_not_hold_up_other_changes(sqlite_world: World) -> None:
    world = sqlite_world
    world.deploy(world.register("one"))
    world.start()
    two = world.register("two")
    digest = world.store.put_tree(world.packages["two"]).digest
    is_slow = world.app.app.state.serving.packages._loading.setdefault(digest, threading.Lock())
    with is_slow:  # as somebody who loads it, and takes long
        promote(world, two)
        with world.database.read() as conn:
            number = routing.read_number(conn)
        watcher = world.app.app.state.serving.watcher
        world.wait(lambda: watcher.table.number == number)
        with world.database.write() as conn:
            endpoints.set_traffic(conn, name="shop", traffic={}, actor="ann")
        world.wait(lambda: watcher.table.number > number)
        assert world.score().status_code == 503
        answer = world.score(headers={"mlq-deployment": "production"})
        assert answer.json()["predictions"] == ["one", "one"]
    world.wait(
        lambda: (
            world.score(headers={"mlq-deployment": "production"}).json()["model"]
            == f"models:/churn/{two}"
        )
    )


def test_copies_of_requests_change_no_answer(sqlite_world: World) -> None:
    world = sqlite_world
    world.deploy(world.register("one"))
    world.deploy(world.register("broken"), alias="staging")
    with world.database.write() as conn:
        endpoints.set_mirror_traffic(conn, name="shop", mirror={"staging": 100}, actor="ann")
    world.start()
    serving = world.app.app.state.serving
    drawn = []
    start = serving.start_beside
    serving.start_beside = lambda work: (drawn.append(1), start(work))
    assert [world.answers() for _ in range(5)] == ["one"] * 5
    assert len(drawn) == 5
    world.wait(lambda: not serving._beside)
    world.score(headers={"mlq-deployment": "production"})
    assert len(drawn) == 5  # who names a deployment tests it alone


def test_a_deployment_that_takes_too_long_is_an_error(sqlite_world: World) -> None:
    world = sqlite_world
    world.deploy(world.register("one"))
    world.start()
    assert world.answers() == "one"
    with world.database.write() as conn:
        endpoints.put_deployment(
            conn,
            endpoint="shop",
            name="production",
            model="models:/churn@production",
            actor="ann",
            settings={"request_timeout_ms": 1},
        )
    serving = world.app.app.state.serving
    world.wait(lambda: serving.settings_of("shop", "production"))
    serving.predictions._enqueue = lambda model, asked: None  # nobody ever answers
    answer = world.score()
    assert (answer.status_code, answer.json()["code"]) == (503, "timeout")


def test_what_a_rollback_goes_back_to_is_loaded_ahead(sqlite_world: World) -> None:
    world = sqlite_world
    one = world.register("one")
    world.deploy(one)
    promote(world, world.register("two"))
    world.start()  # it never served the first
    world.wait(lambda: world.answers() == "two")
    serving = world.app.app.state.serving
    with world.database.read() as conn:
        target = routing.find_target(conn, "churn", one)
    assert target is not None
    world.wait(lambda: serving.packages.is_loaded(target))


def test_what_was_answered_is_stored_and_shown(sqlite_world: World) -> None:
    world = sqlite_world
    world.deploy(world.register("one"))
    world.start()
    for _ in range(3):
        assert world.score().status_code == 200
    assert world.http.post("/endpoints/shop/score", json={"rows": [{}]}).status_code == 422

    def stored() -> bool:
        with world.database.read() as conn:
            found = rollouts.measure(conn, "shop", seconds=600)
        one = found.get(("production", 1))
        return one is not None and (one.requests, one.errors, one.rows) == (4, 0, 6)

    world.wait(stored)
    shown = world.http.get("/metrics")
    labels = '{copy="false",deployment="production",endpoint="shop",model_version="1"}'
    assert f"mlq_serving_requests_total{labels} 4.0" in shown.text
    assert f"mlq_serving_rows_total{labels} 6.0" in shown.text
    assert world.http.get("/metrics", headers={"authorization": ""}).status_code == 401
    scraping = {"authorization": "Bearer scrape"}
    assert world.http.get("/metrics", headers=scraping).status_code == 200
    assert world.http.get("/v2", headers=scraping).status_code == 401


def test_requests_by_a_models_name_count_for_the_deployment_of_the_version(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    one, two = world.register("one"), world.register("two")
    world.deploy(one)
    with world.database.write() as conn:
        endpoints.put_deployment(
            conn,
            endpoint="shop",
            name="production",
            model=f"models:/churn/{one}",
            settings={"sampling_rate": 1.0},
            actor="ann",
        )
    world.start()
    inputs = [
        {"name": "months", "shape": [2], "datatype": "FP64", "data": [1, 60]},
        {"name": "plan", "shape": [2], "datatype": "BYTES", "data": ["basic", "plus"]},
    ]
    for version in (one, two):
        answer = world.http.post(
            f"/v2/models/churn/versions/{version}/infer",
            json={"inputs": inputs},
            headers={"x-request-id": f"v2-{version}"},
        )
        assert answer.headers["x-request-id"] == f"v2-{version}"
    shown = world.http.get("/metrics").text
    for labels in (
        '{copy="false",deployment="production",endpoint="shop",model_version="1"}',
        '{copy="false",deployment="models:/churn",endpoint="",model_version="2"}',
    ):
        assert f"mlq_serving_rows_total{labels} 2.0" in shown

    def sampled() -> list[str]:
        with world.database.read() as conn:
            return [row.request_id for row in monitoring.page_samples(conn, "shop", limit=9)]

    world.wait(sampled)
    assert sampled() == [f"v2-{one}"]

    def counted() -> dict[tuple[str, int], int]:
        with world.database.read() as conn:
            found = rollouts.measure(conn, "shop", seconds=600)
        return {key: measured.requests for key, measured in found.items()}

    world.wait(counted)
    assert counted() == {("production", one): 1}


def test_the_end_of_a_rollout_fails_no_request(sqlite_world: World) -> None:
    world = sqlite_world
    world.deploy(world.register("one"))
    two = world.register("two")
    world.start()
    canary = [{"percent": 50, "bake_s": 0}, {"percent": 90, "bake_s": 0}]
    policy = read_policy({"canary": canary, "abort": {"min_requests": 0}})
    with world.database.write() as conn:
        rollouts.start(
            conn, model=f"models:/churn/{two}", endpoint="shop", policy=policy, actor="ann"
        )
    is_over = threading.Event()

    def ask() -> Counter[str]:
        seen: Counter[str] = Counter()
        with world.client() as http:
            while not is_over.is_set():
                response = http.post("/endpoints/shop/score", json={"rows": ROWS})
                assert response.status_code == 200, response.text
                seen[response.json()["deployment"]] += 1
        return seen

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            world.wait(lambda: world.score().json()["deployment"] == "production-candidate")
            for phase in ("running", "succeeded"):
                with world.database.write() as conn:
                    rollout = rollouts.advance(conn, "shop")
                assert rollout is not None
                assert rollout.phase == phase
            world.wait(lambda: world.score().json()["model"] == f"models:/churn/{two}")
            world.wait(lambda: world.score().json()["deployment"] == "production")
        finally:
            is_over.set()
        seen = asking.result()
    assert set(seen) == {"production", "production-candidate"}
