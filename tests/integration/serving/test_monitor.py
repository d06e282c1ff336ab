"""Drift of what endpoints are asked, and of what they answer; the truth about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mlq.db import events, monitoring, routing
from mlq.db.engine import Database
from mlq.db.events import Cursor
from mlq.errors import MlqError, NotFoundError
from mlq.models.signature import Field
from mlq.service import monitoring as service
from mlq.service import tokens
from mlq_api.serving.monitor import Monitor
from mlq_api.serving.rows import Table
from mlq_api.serving.samples import Samples, Source
from tests.integration.serving.conftest import World

FIELDS = (Field("months", "double"), Field("plan", "string"))
USUAL = [1, 2, 3, 40, 50, 60]


def put(world: World, version: int, **settings: Any) -> None:
    with world.database.write() as conn:
        routing.put_deployment(
            conn,
            endpoint="shop",
            name="production",
            model="churn",
            alias="production",
            version=None,
            settings={"sampling_rate": 1.0, "drift": {"min_rows": 6, "min_truths": 2}, **settings},
        )
        routing.raise_number(conn)
    assert version


def keep(
    world: World, months: Sequence[float | None], plan: str, said: str, *, version: int, id: str
) -> None:
    """Let a request have been answered."""
    samples = Samples()
    count = len(months)
    plans = ["basic", plan] * (count // 2)
    table = Table(FIELDS, [*zip(months, plans, strict=True)])
    source = Source("shop", "production", version, False, "classification")
    samples.add(id, source, table, np.array([said, "no"] * (count // 2), dtype=object))
    samples.store(world.database)


def monitor(world: World, holder: str = "one") -> Monitor:
    def table() -> routing.Routing:
        with world.database.read() as conn:
            return routing.read_routing(conn)

    return Monitor(world.database, world.store, table, holder=holder, interval_s=1e-9)


def reports(world: World) -> list[monitoring.Report]:
    with world.database.read() as conn:
        return [found for _, found in service.list_reports(conn, "shop") if found is not None]


def raised(database: Database) -> list[events.Event]:
    with database.read() as conn:
        found = events.read_after(conn, Cursor(), subject="endpoint:shop")
    return [one for one in found if one.kind == "endpoint.drift"]


@pytest.fixture
def shop(world: World) -> int:
    """A sampled deployment of a model with a profile; its version."""
    version = world.register("real")
    world.deploy(version)
    put(world, version)
    return version


def test_what_is_as_it_was_in_training_raises_nothing(world: World, shop: int) -> None:
    looking = monitor(world)
    looking.look()
    assert reports(world) == []  # nobody asked
    keep(world, USUAL, "plus", "yes", version=shop, id="a")
    looking.look()
    (report,) = reports(world)
    assert (report.rows, report.result["has_profile"]) == (6, True)
    assert report.result["breaches"] == []
    assert {one["drift"] for one in report.result["features"]} == {"none"}
    looking.look()
    assert reports(world)[0].id == report.id  # nothing new, no report
    assert raised(world.database) == []


def test_drift_raises_one_event_each_time_that_it_begins(world: World, shop: int) -> None:
    looking = monitor(world)
    keep(world, [100, None, 100, None, 100, None] * 5, "gold", "yes", version=shop, id="a")
    looking.look()
    (report,) = reports(world)
    said = report.result["breaches"]
    assert [words.partition(" ")[0] for words in said] == ["months:"] * 3 + ["plan:"] * 2
    assert "months: 100.0% out of range > 10.0%" in said
    assert "plan: 50.0% unknown labels > 10.0%" in said
    assert report.is_raised
    (event,) = raised(world.database)
    assert event.detail == {
        "deployment": "production",
        "model": f"models:/churn/{shop}",
        "breaches": said,
    }
    keep(world, USUAL, "plus", "yes", version=shop, id="b")
    looking.look()
    (report,) = reports(world)
    assert report.result["breaches"]
    assert not report.is_raised  # it goes on: told already
    keep(world, USUAL * 100, "plus", "yes", version=shop, id="c")
    put(world, shop, drift={"min_rows": 6, "psi": None, "prediction_psi": None, "missing": 0.3,
                            "unknown": 0.4, "out_of_range": 0.9})  # fmt: skip
    looking.look()
    assert reports(world)[0].result["breaches"] == []
    put(world, shop)
    keep(world, [100] * 6, "gold", "yes", version=shop, id="d")
    looking.look()
    assert len(raised(world.database)) == 2


def test_the_truth_comes_later_and_gives_live_accuracy(world: World, shop: int) -> None:
    looking = monitor(world)
    keep(world, USUAL[:2], "plus", "yes", version=shop, id="order-1")
    looking.look()
    assert reports(world)[0].result["live"] == {"truths": 0}
    put(world, shop, drift={"accuracy": 0.8, "min_truths": 2})
    with world.database.write() as conn:
        body = {"items": [{"request_id": "order-1", "truth": ["yes", "yes"]},
                          {"request_id": "unknown", "truth": "no"}]}  # fmt: skip
        assert service.give_feedback(conn, "shop", body) == 2
    looking.look()
    (report,) = reports(world)
    assert report.result["live"] == {"truths": 2, "accuracy": 0.5}
    assert report.result["breaches"] == ["accuracy 0.5 < 0.8"]
    assert report.rows == 2  # what was known of the rows stands
    assert len(raised(world.database)) == 1
    with world.database.write() as conn:  # a later word on a request stands
        service.give_feedback(conn, "shop", {"request_id": "order-1", "truth": ["yes", None]})
    looking.look()
    assert reports(world)[0].result["live"] == {"truths": 1, "accuracy": 1.0}


def test_the_truth_about_numbers_is_measured_in_their_unit() -> None:
    class Told:
        task, predictions, truth = "regression", [1.0, 5.0, 7], [2.0, 3.0, None]

    assert service.score([Told]) == {"truths": 2, "mae": 1.5, "rmse": pytest.approx(2.5**0.5)}


def test_another_replica_looks_when_the_first_has_ended(world: World, shop: int) -> None:
    first, second = monitor(world), monitor(world, "two")
    keep(world, USUAL, "plus", "yes", version=shop, id="a")
    first.look()
    keep(world, USUAL, "plus", "yes", version=shop, id="b")
    second.look()
    assert reports(world)[0].rows == 6
    first.start()
    first.stop()
    second.look()
    assert reports(world)[0].rows == 12


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": []},
        {"items": "a"},
        {"request_id": "a b", "truth": 1},
        {"request_id": "a", "truth": []},
        {"request_id": "a", "truth": [{}]},
        {"items": [{"request_id": "a", "truth": 1}] * 1001},
    ],
)
def test_feedback_that_says_nothing_is_refused(sqlite_world: World, body: dict[str, Any]) -> None:
    sqlite_world.deploy(sqlite_world.register("one"))
    with sqlite_world.database.write() as conn:
        with pytest.raises(MlqError) as caught:
            service.give_feedback(conn, "shop", body)
        assert caught.value.code == "invalid"
        with pytest.raises(NotFoundError):
            service.give_feedback(conn, "shap", {"request_id": "a", "truth": 1})


def test_a_request_is_answered_watched_and_told_the_truth_about(sqlite_world: World) -> None:
    """The replica's own threads, over HTTP."""
    world = sqlite_world
    version = world.register("real")
    world.deploy(version)
    put(world, version)
    with world.database.write() as conn:
        token = tokens.create(conn, name="app", role="submitter", actor="ann").token
    world.start()
    request_id = world.score().headers["x-request-id"]
    body = {"request_id": request_id, "truth": ["yes", "yes"]}
    path = "/endpoints/shop/feedback"
    assert world.http.post(path, json=body).status_code == 403  # a viewer's token
    app = {"authorization": f"Bearer {token}"}
    answer = world.http.post(path, json=body, headers=app)
    assert (answer.status_code, answer.json()) == (200, {"kept": 1})
    world.wait(lambda: reports(world))
    report = reports(world)[0]
    assert report.result["live"] in ({"truths": 0}, {"truths": 2, "accuracy": 0.5})
    assert [one["name"] for one in report.result["features"]] == ["months", "plan"]
