"""Health, also while parts are away; and logs as they are written."""

from __future__ import annotations

import json
import threading

import httpx
import pytest
from sqlalchemy import text

import mlq
from mlq.db import reports
from mlq.db.engine import Database
from mlq.db.reports import LogChunk
from mlq.settings import Settings
from mlq_api.presence import Presence
from tests.integration.api.conftest import Api, line_of_steps
from tests.servers import wait_until


def test_ready_and_examined(client: httpx.Client) -> None:
    ready = client.get("/readyz").json()
    assert ready["checks"] == {"database": "ok", "broker": "ok", "artifacts": "ok"}
    findings = {one["name"]: one for one in client.get("/v1/doctor").json()["checks"]}
    assert findings["database"]["ok"]
    assert findings["clock"]["ok"]
    assert not findings["workers"]["ok"]
    assert "mlq worker" in findings["workers"]["fix"]


def test_servers_say_that_they_live_and_of_which_version(
    api: Api, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def versions() -> dict[str, object]:
        checks = client.get("/v1/doctor").json()["checks"]
        return next(one for one in checks if one["name"] == "versions")

    def servers() -> list[tuple[str, str]]:
        items = client.get("/v1/servers").json()["items"]
        return [(one["kind"], one["version"]) for one in items]

    assert versions()["detail"] == f"{mlq.__version__} (this API)"
    presence = Presence(api.settings, kind="api", beat_s=0.05)
    presence.start()
    try:
        wait_until(lambda: servers() == [("api", mlq.__version__)], what="it is listed")
        seen = client.get("/v1/servers").json()["items"][0]["seen_at"]
        wait_until(
            lambda: client.get("/v1/servers").json()["items"][0]["seen_at"] != seen,
            what="it is seen again",
        )
        assert versions()["ok"]
        with monkeypatch.context() as patch:
            patch.setattr(mlq, "__version__", "0.0.1")
            older = Presence(api.settings, kind="serve")
        older.start()
        try:
            wait_until(lambda: len(servers()) == 2, what="the older one is listed")
            found = versions()
            assert not found["ok"]
            assert found["detail"] == f"differ: 0.0.1 (1 model server), {mlq.__version__} (1 API)"
        finally:
            older.stop()
    finally:
        presence.stop()
    wait_until(lambda: servers() == [], what="who stops in good order is forgotten")


def test_an_api_works_on_when_a_later_version_upgrades_the_database(
    api: Api, client: httpx.Client
) -> None:
    def upgrade_to(revision: str) -> None:
        with api.database.write() as conn:
            update = text("UPDATE alembic_version SET version_num = :revision")
            conn.execute(update, {"revision": revision})

    assert client.get("/readyz").json()["status"] == "ok"
    upgrade_to("later")
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert "replace" in ready.json()["checks"]["database"]
    upgrade_to("0001")
    assert client.get("/readyz").status_code == 503
    upgrade_to("later")
    api.app.state.server.was_current = False  # as one that is started only now
    assert client.get("/readyz").json()["checks"]["database"] == "database_newer"


def test_an_audit_looks_at_every_promise(client: httpx.Client) -> None:
    plain = client.get("/v1/doctor").json()["checks"]
    checks = client.get("/v1/doctor", params={"audit": "true"}).json()["checks"]
    added = checks[len(plain) :]
    assert [(one["name"], one["ok"]) for one in added] == [("promises", True), ("outputs", True)]


def test_a_hanging_database_does_not_hang_health(api: Api, client: httpx.Client) -> None:
    release = threading.Event()
    server = api.app.state.server
    for lane in (server._reads, server._writes):
        for _ in range(8):
            lane._pool.submit(release.wait)  # as a database that does not answer
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(client.get("/v1/jobs").status_code))
    waiting.start()
    try:
        assert httpx.get(f"{api.url}/healthz", timeout=60).status_code == 200
        assert answers == []
    finally:
        release.set()
        waiting.join()
    assert answers == [200]


def test_jobs_are_accepted_while_the_broker_is_down(
    mlq_home: object, sqlite_url: str, settings: Settings
) -> None:
    database = Database.open(sqlite_url, pool_size=6)
    away = settings.model_copy(
        update={"broker_url": "redis://127.0.0.1:1/0", "database_url": sqlite_url}
    )
    api = Api(away, database)
    try:
        client = api.as_role("submitter")
        assert client.post("/v1/jobs", json=line_of_steps(2)).status_code == 201
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    finally:
        api.close()
        database.close()


def test_a_log_is_followed_to_its_end(api: Api, client: httpx.Client) -> None:
    job = client.post("/v1/jobs", json=line_of_steps(1)).json()
    step = job["children"][0]["id"]
    path = f"/v1/jobs/{job['id']}"

    def write(text: str) -> None:
        with api.database.write() as conn:
            reports.write_logs(conn, step, 1, [LogChunk("stdout", text)])

    write("one\n")
    seen: list[str] = []

    def follow() -> None:
        with client.stream("GET", f"{path}/logs", params={"follow": "true"}) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    seen.append(json.loads(line[6:]).get("content", "end"))

    reader = threading.Thread(target=follow)
    reader.start()
    wait_until(lambda: seen == ["one\n"], what="the first line arrives")
    write("two\n")
    wait_until(lambda: seen == ["one\n", "two\n"], what="the second line arrives")
    client.post(f"{path}/cancel")
    reader.join()
    assert seen == ["one\n", "two\n", "end"]
    assert client.get(f"{path}/logs").text == "one\ntwo\n"
    page = client.get(f"{path}/logs", headers={"accept": "application/json"}).json()
    assert [chunk["path"] for chunk in page["items"]] == ["s0", "s0"]


def test_everything_that_happens_is_heard_by_all(api: Api, client: httpx.Client) -> None:
    heard: list[list[str]] = [[], []]
    open_streams = threading.Barrier(3)

    def listen(kinds: list[str]) -> None:
        headers = {"accept": "text/event-stream"}
        with client.stream(
            "GET", "/v1/events", params={"topics": "endpoints"}, headers=headers
        ) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith(":")
            open_streams.wait()
            for line in lines:
                if line.startswith("data: "):
                    kinds.append(json.loads(line[6:])["kind"])

    threads = [threading.Thread(target=listen, args=(kinds,)) for kinds in heard]
    for thread in threads:
        thread.start()
    open_streams.wait()
    wait_until(lambda: api.app.state.server.hub.listeners == 2, what="both listen")
    client.post("/v1/jobs", json=line_of_steps(1))
    client.post("/v1/endpoints", json={"name": "e"})
    wait_until(lambda: heard == [["endpoint.create"]] * 2, what="both heard it")
    api.app.state.server.hub.close()  # as at the end of the process
    for thread in threads:
        thread.join()
