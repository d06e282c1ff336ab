"""Staged rollouts on rows: what replicas measured goes in, traffic and aliases come out."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from mlq.db import events, monitoring, registry, routing
from mlq.db import rollouts as rows
from mlq.db.engine import Database
from mlq.db.events import Cursor
from mlq.db.rollouts import Count, Rollout
from mlq.db.tables import rollouts as table
from mlq.db.types import now_plus
from mlq.errors import ConflictError, MlqError, NotFoundError
from mlq.service import endpoints, models, rollouts
from mlq.spec.rollout import Measured, bucket_of, read_policy

POLICY = {
    "mirror": {"percent": 50, "bake_s": 60},
    "canary": [{"percent": 10, "bake_s": 60}, {"percent": 50, "bake_s": 60}],
    "abort": {"error_rate": 0.1, "p95_ms": 100, "min_requests": 10},
}


def start(database: Database, version: int, policy: Any = POLICY) -> Rollout | None:
    with database.write() as conn:
        return rollouts.start(
            conn,
            model=f"models:/churn/{version}",
            endpoint="shop",
            policy=read_policy(policy),
            actor="ann",
        )


def advance(database: Database) -> Rollout:
    with database.write() as conn:
        found = rollouts.advance(conn, "shop")
    assert found is not None
    return found


def bake(database: Database) -> None:
    """Let the bake time of the stage be over."""
    with database.write() as conn:
        conn.execute(update(table).where(table.c.ended_at.is_(None)).values(stage_at=now_plus(-61)))


def answer(
    database: Database, *, requests: int = 20, errors: int = 0, ms: float = 5, version: int = 2
) -> None:
    measured = Measured(requests, errors, requests, {bucket_of(ms): requests})
    with database.write() as conn:
        rows.add_counts(
            conn,
            [Count("shop", "production-candidate", version, False, measured)],
            replica="here",
        )


def state(database: Database) -> tuple[dict[str, int], dict[str, int], int | None]:
    """Traffic, copies and the version in production."""
    with database.read() as conn:
        shop = endpoints.find(conn, "shop")
        alias = registry.find_alias(conn, "churn", "production")
    traffic = {name: share for name, share in shop.traffic.items() if share}
    return traffic, dict(shop.mirror_traffic), alias


def kinds(database: Database) -> list[str]:
    with database.read() as conn:
        found = events.read_after(conn, Cursor(), kinds=["rollout"])
    return [one.kind.partition(".")[2] for one in found]


@pytest.fixture
def shop(database: Database, churn: str) -> str:
    """An endpoint whose deployment follows churn@production, on version 1."""
    with database.write() as conn:
        endpoints.deploy(
            conn, model=f"models:/{churn}/1", endpoint="shop", alias="production", actor="ann"
        )
    return "shop"


def test_a_good_candidate_reaches_all_requests_by_stages(database: Database, shop: str) -> None:
    start(database, 2)
    assert state(database) == ({"production": 100}, {"production-candidate": 50}, 1)
    answer(database)
    assert advance(database).stage == 0  # it bakes
    bake(database)
    assert advance(database).stage == 1
    assert state(database) == ({"production": 90, "production-candidate": 10}, {}, 1)
    bake(database)
    advance(database)
    assert state(database) == ({"production": 50, "production-candidate": 50}, {}, 1)
    bake(database)
    assert advance(database).phase == "succeeded"
    assert state(database) == ({"production": 100}, {}, 2)
    assert kinds(database) == ["start", "advance", "advance", "succeed"]
    with database.write() as conn:
        assert [one.name for one in endpoints.find(conn, shop).deployments] == ["production"]
        assert rollouts.advance(conn, shop) is None
        assert models.rollback(conn, name="churn", actor="ann").version == 1


def test_a_stage_that_nobody_asks_does_not_pass(database: Database, shop: str) -> None:
    start(database, 2)
    bake(database)
    waiting = advance(database)
    assert (waiting.phase, waiting.stage) == ("running", 0)
    assert "only 0 of 10 requests" in waiting.reason
    answer(database, requests=9)
    waiting = advance(database)
    assert (waiting.stage, "only 9 of 10 requests" in waiting.reason) == (0, True)
    answer(database, requests=1)
    passed = advance(database)
    assert (passed.stage, passed.reason) == (1, "")
    assert kinds(database) == ["start", "advance"]


def test_a_metric_of_ones_own_ends_a_rollout_or_lets_it_pass(database: Database, shop: str) -> None:
    limits = {"min_requests": 0, "metrics": {"conversion": {"min": 0.02, "max": 1}}}

    def tell(**metrics: Any) -> None:
        with database.write() as conn:
            rollouts.tell(conn, shop, metrics=metrics)

    start(database, 2, {**POLICY, "abort": limits})
    bake(database)
    assert "nobody has told its conversion" in advance(database).reason
    for wrong in ({"clicks": 1}, {"conversion": "much"}, {"conversion": float("nan")}):
        with pytest.raises(MlqError):
            tell(**wrong)
    tell(conversion=0.03)
    passed = advance(database)
    assert (passed.stage, passed.metrics) == (1, {})  # each stage is told anew
    tell(conversion=0.01)
    ended = advance(database)
    assert (ended.phase, ended.reason) == ("rolled_back", "its conversion is 0.01 (at least 0.02)")
    with pytest.raises(NotFoundError):
        tell(conversion=0.03)


def test_a_policy_may_go_by_the_time_alone(database: Database, shop: str) -> None:
    start(database, 2, {"mirror": POLICY["mirror"], "abort": {"min_requests": 0}})
    bake(database)
    assert advance(database).phase == "succeeded"


@pytest.mark.parametrize(
    ("measured", "reason"),
    [({"errors": 3}, "3 of 20 requests failed"), ({"ms": 400}, "over the limit of 100 ms")],
)
def test_a_bad_candidate_is_rolled_back_within_its_bake_time(
    database: Database, shop: str, measured: dict[str, int], reason: str
) -> None:
    start(database, 2, {"canary": POLICY["canary"], "abort": POLICY["abort"]})
    answer(database, errors=20, version=3)  # another version says nothing of this one
    assert advance(database).phase == "running"
    answer(database, **measured)
    ended = advance(database)
    assert ended.phase == "rolled_back"
    assert reason in ended.reason
    assert state(database) == ({"production": 100}, {}, 1)
    assert kinds(database) == ["start", "roll_back"]
    assert start(database, 2) is not None  # it may be tried again


def test_a_frozen_rollout_is_not_judged_until_it_is_resumed(database: Database, shop: str) -> None:
    start(database, 2)
    with database.write() as conn:
        with pytest.raises(ConflictError):
            rollouts.resume(conn, shop, actor="ann")
        rollouts.freeze(conn, shop, actor="ann", reason="Friday")
        assert rows.find_running(conn) == []
    bake(database)
    answer(database, errors=20)
    assert (advance(database).phase, advance(database).stage) == ("frozen", 0)
    with database.write() as conn:
        rollouts.resume(conn, shop, actor="ann")
    assert (advance(database).phase, advance(database).stage) == ("running", 0)  # baked anew
    with database.write() as conn:
        rollouts.abort(conn, shop, actor="ann", reason="enough")
        with pytest.raises(NotFoundError):
            rollouts.abort(conn, shop, actor="ann")
    assert kinds(database) == ["start", "freeze", "resume", "roll_back"]


def test_a_rollout_keeps_its_endpoint_to_itself(database: Database, shop: str) -> None:
    start(database, 2)
    for change in (
        lambda conn: endpoints.set_traffic(conn, name=shop, traffic={}, actor="ann"),
        lambda conn: endpoints.set_mirror_traffic(conn, name=shop, mirror={}, actor="ann"),
        lambda conn: endpoints.delete(conn, name=shop, actor="ann"),
        lambda conn: endpoints.delete_deployment(
            conn, endpoint=shop, name="production-candidate", actor="ann"
        ),
    ):
        with pytest.raises(ConflictError) as caught, database.write() as conn:
            change(conn)
        assert caught.value.code == "rollout_open"
    with pytest.raises(ConflictError) as caught:
        start(database, 3)
    assert caught.value.code == "rollout_open"


def test_somebody_who_moves_the_alias_ends_the_rollout(database: Database, shop: str) -> None:
    start(database, 2)
    with database.write() as conn:
        models.set_alias(conn, name="churn", alias="production", version=3, actor="ann")
    ended = advance(database)
    assert (ended.phase, "meanwhile" in ended.reason) == ("rolled_back", True)
    assert state(database) == ({"production": 100}, {}, 3)


def test_a_held_alias_is_not_rolled_out_to(database: Database, shop: str) -> None:
    with database.write() as conn:
        models.set_alias(conn, name="churn", alias="production", version=2, actor="ann")
        models.rollback(conn, name="churn", actor="ann")
    with pytest.raises(MlqError) as caught:
        start(database, 3)
    assert caught.value.code == "promotion_paused"


def test_where_nothing_serves_yet_it_is_deployed_at_once(database: Database, churn: str) -> None:
    assert start(database, 2) is None
    assert state(database) == ({"production": 100}, {}, 2)
    with pytest.raises(ConflictError):
        start(database, 2)  # it is there
    with database.read() as conn:
        assert rollouts.list_rollouts(conn, "shop") == []


def test_counts_of_many_replicas_are_one(database: Database, shop: str) -> None:
    for _ in range(3):
        answer(database, requests=10, errors=1)
    with database.read() as conn:
        found = rollouts.measure(conn, shop, seconds=60)
    assert found == {("production-candidate", 2): Measured(30, 3, 30, {bucket_of(5): 30})}
    with database.write() as conn:
        rows.forget_counts(conn, older_than_s=-1)
        assert rollouts.measure(conn, shop, seconds=60) == {}
        assert routing.read_number(conn)


def test_a_candidate_whose_predictions_drift_is_taken_back(database: Database, shop: str) -> None:
    abort = {"prediction_psi": 0.25, "min_requests": 10}

    def report(psi: float, rows: int) -> None:
        with database.write() as conn:
            monitoring.add_report(
                conn,
                endpoint="shop",
                deployment="production-candidate",
                model="churn",
                version=2,
                rows=rows,
                result={"prediction": {"psi": psi}},
                is_raised=False,
            )

    report(9.0, 1000)  # of an earlier rollout
    start(database, 2, {**POLICY, "abort": abort})
    with database.read() as conn:
        candidate = endpoints.find(conn, "shop").deployments[-1]
    assert (candidate.name, candidate.settings) == ("production-candidate", {"sampling_rate": 1.0})
    report(0.1, 50)
    assert advance(database).phase == "running"
    report(0.8, 9)
    assert advance(database).phase == "running"
    report(0.8, 50)
    ended = advance(database)
    assert ended.phase == "rolled_back"
    assert ended.reason == (
        "its predictions have drifted from those of its training: PSI 0.8 over 50 rows "
        "(at most 0.25)"
    )
    assert state(database) == ({"production": 100}, {}, 1)
