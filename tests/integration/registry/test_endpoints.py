from __future__ import annotations

from typing import Any

import pytest

from mlq.db import events, routing
from mlq.db.engine import Database
from mlq.db.events import Cursor
from mlq.errors import ConflictError, MlqError, NotFoundError
from mlq.ids import new_id
from mlq.service import endpoints, models


def deploy(database: Database, version: int, *, alias: str, **more: Any) -> None:
    with database.write() as conn:
        endpoints.deploy(
            conn,
            model=f"models:/churn/{version}",
            endpoint="shop",
            alias=alias,
            actor="ann",
            **more,
        )


def describe(database: Database) -> tuple[dict[str, int], dict[str, tuple[str, int | None]]]:
    with database.read() as conn:
        shop = endpoints.find(conn, "shop")
    return dict(shop.traffic), {one.name: (one.model, one.version) for one in shop.deployments}


def test_the_first_deployment_gets_all_traffic_later_ones_none(
    database: Database, churn: str
) -> None:
    job_id = new_id()
    deploy(database, 1, alias="staging", job_id=job_id)
    assert describe(database) == ({"staging": 100}, {"staging": ("models:/churn@staging", 1)})
    deploy(database, 2, alias="production")
    deploy(database, 3, alias="staging")
    assert describe(database) == (
        {"production": 0, "staging": 100},
        {"production": ("models:/churn@production", 2), "staging": ("models:/churn@staging", 3)},
    )
    with database.read() as conn:
        kinds = [
            (one.kind, one.job_id)
            for one in events.read_after(conn, Cursor())
            if one.kind != "model.register"
        ]
        acts = [(one.act, one.job_id) for one in models.history(conn, churn)]
    assert kinds == [
        ("model.deploy", job_id),
        ("endpoint.create", job_id),
        ("endpoint.deploy", job_id),
        ("model.deploy", None),
        ("endpoint.deploy", None),
        ("model.deploy", None),
    ]
    assert acts == [("deploy", None), ("deploy", None), ("deploy", job_id)]


def test_deploying_what_stands_there_changes_nothing(database: Database, churn: str) -> None:
    deploy(database, 1, alias="staging")
    with database.read() as conn:
        before = routing.read_number(conn)
    deploy(database, 1, alias="staging")
    with database.read() as conn:
        assert routing.read_number(conn) == before


def test_a_deployment_follows_a_promotion_and_a_rollback(database: Database, churn: str) -> None:
    deploy(database, 1, alias="production")
    with database.write() as conn:
        models.set_alias(conn, name=churn, alias="production", version=3, actor="ann")
    assert describe(database)[1]["production"][1] == 3
    with database.write() as conn:
        models.rollback(conn, name=churn, actor="ann")
    assert describe(database)[1]["production"][1] == 1


def test_servers_read_one_picture(database: Database, churn: str) -> None:
    deploy(database, 1, alias="production")
    with database.write() as conn:
        endpoints.put_deployment(
            conn, endpoint="shop", name="canary", model="models:/churn/2", actor="ann"
        )
        endpoints.set_traffic(
            conn, name="shop", traffic={"production": 90, "canary": 10}, actor="ann"
        )
    with database.read() as conn:
        picture = routing.read_routing(conn)
        assert picture.number == routing.read_number(conn)
    one, two, three = (routing.Target("churn", number, f"{number:064x}") for number in (1, 2, 3))
    assert picture.aliases == {("churn", "production"): one}
    assert picture.newest == {"churn": three}
    assert picture.endpoints == {
        "shop": routing.Route({"production": 90, "canary": 10}, {"production": one, "canary": two})
    }


def test_traffic_that_does_not_sum_to_100_is_refused(database: Database, churn: str) -> None:
    deploy(database, 1, alias="staging")
    wrong: list[Any] = [99, 101, -1, True, 50.0]
    for percent in wrong:
        with database.write() as conn, pytest.raises(MlqError) as refused:
            endpoints.set_traffic(conn, name="shop", traffic={"staging": percent}, actor="ann")
        assert refused.value.code == "invalid", percent
    assert describe(database)[0] == {"staging": 100}


def test_traffic_of_an_unknown_deployment_is_refused(database: Database, churn: str) -> None:
    deploy(database, 1, alias="staging")
    with database.write() as conn, pytest.raises(NotFoundError):
        endpoints.set_traffic(conn, name="shop", traffic={"blue": 100}, actor="ann")


def test_all_traffic_off_then_the_deployment_goes(database: Database, churn: str) -> None:
    deploy(database, 1, alias="staging")
    with database.write() as conn:
        with pytest.raises(ConflictError):
            endpoints.delete_deployment(conn, endpoint="shop", name="staging", actor="ann")
        endpoints.set_traffic(conn, name="shop", traffic={"staging": 0}, actor="ann")
        endpoints.delete_deployment(conn, endpoint="shop", name="staging", actor="ann")
        with pytest.raises(NotFoundError):
            endpoints.delete_deployment(conn, endpoint="shop", name="staging", actor="ann")
    assert describe(database) == ({}, {})
    with database.write() as conn:
        endpoints.delete(conn, name="shop", actor="ann")
        with pytest.raises(NotFoundError):
            endpoints.find(conn, "shop")


def test_an_endpoint_is_made_and_changed_once(database: Database) -> None:
    with database.write() as conn:
        endpoints.create(conn, name="shop", description="web shop", actor="ann")
        with pytest.raises(ConflictError):
            endpoints.create(conn, name="shop", actor="ann")
        changed = endpoints.update(conn, name="shop", tags={"team": "a"}, actor="ann")
    assert (changed.description, dict(changed.tags)) == ("web shop", {"team": "a"})
    with database.read() as conn:
        assert [one.name for one in endpoints.list_endpoints(conn)] == ["shop"]
        assert endpoints.list_endpoints(conn, after="shop") == []
        with pytest.raises(NotFoundError) as unknown:
            endpoints.find(conn, "shp")
    assert "'shop'" in unknown.value.hint


def test_a_deployment_needs_a_model_that_is_there(database: Database, churn: str) -> None:
    with database.write() as conn:
        endpoints.create(conn, name="shop", actor="ann")
        for model in ("models:/other/1", "models:/churn/9", "models:/churn@nowhere"):
            with pytest.raises(NotFoundError):
                endpoints.put_deployment(conn, endpoint="shop", name="x", model=model, actor="ann")
        with pytest.raises(MlqError):
            endpoints.put_deployment(
                conn, endpoint="shop", name="x", model="mlq:churn:1", actor="ann"
            )
        with pytest.raises(NotFoundError):
            endpoints.put_deployment(
                conn, endpoint="nowhere", name="x", model="models:/churn/1", actor="ann"
            )


def test_deploy_needs_a_version_not_an_alias(database: Database, churn: str) -> None:
    with database.write() as conn, pytest.raises(MlqError):
        endpoints.deploy(
            conn, model="models:/churn@staging", endpoint="shop", alias="staging", actor="ann"
        )


def test_copies_go_to_deployments_without_traffic(database: Database, churn: str) -> None:
    deploy(database, 1, alias="production")
    deploy(database, 2, alias="staging")
    with database.write() as conn:
        shop = endpoints.set_mirror_traffic(conn, name="shop", mirror={"staging": 10}, actor="ann")
        assert shop.mirror_traffic == {"staging": 10}
        assert routing.read_routing(conn).endpoints["shop"].mirror == {"staging": 10}
        for wrong in ({"production": 5}, {"staging": 101}, {"staging": -1}):
            with pytest.raises(MlqError) as caught:
                endpoints.set_mirror_traffic(conn, name="shop", mirror=wrong, actor="ann")
            assert caught.value.code == "invalid"
        with pytest.raises(NotFoundError):
            endpoints.set_mirror_traffic(conn, name="shop", mirror={"blue": 1}, actor="ann")
        endpoints.delete_deployment(conn, endpoint="shop", name="staging", actor="ann")
        assert endpoints.find(conn, "shop").mirror_traffic == {}


def test_what_is_said_of_a_deployment_stays_when_it_is_pointed_elsewhere(
    database: Database, churn: str
) -> None:
    with database.write() as conn:
        endpoints.create(conn, name="shop", actor="ann", tags={"team": "growth"})
        made = endpoints.put_deployment(
            conn,
            endpoint="shop",
            name="blue",
            model="models:/churn/1",
            actor="ann",
            description="the first",
            tags={"a": "b"},
            settings={"request_timeout_ms": 500},
        )
        again = endpoints.put_deployment(
            conn, endpoint="shop", name="blue", model="models:/churn/2", actor="ann"
        )
    assert (made.description, made.tags, made.settings) == (
        "the first",
        {"a": "b"},
        {"request_timeout_ms": 500},
    )
    assert (again.version, again.settings) == (2, {"request_timeout_ms": 500})


def test_what_a_rollback_goes_back_to_is_known_to_servers(database: Database, churn: str) -> None:
    deploy(database, 1, alias="production")
    with database.write() as conn:
        models.set_alias(conn, name=churn, alias="production", version=3, actor="ann")
        spares = routing.read_routing(conn).spares
    assert [one.version for one in spares] == [1]
