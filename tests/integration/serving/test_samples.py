"""Predictions that are drawn: what is kept of them, and how much at most."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import func, select

from mlq.db import monitoring, routing
from mlq.db.tables import prediction_samples as table
from mlq.db.tables import prediction_truths
from mlq.models.signature import Field
from mlq_api.serving.rows import Table
from mlq_api.serving.samples import Samples, Source
from tests.integration.serving.conftest import ROWS, World

SHOP = Source("shop", "production", 1, False, "classification")


def put(world: World, name: str, version: int, **settings: Any) -> None:
    with world.database.write() as conn:
        routing.put_deployment(
            conn,
            endpoint="shop",
            name=name,
            model="churn",
            alias=None,
            version=version,
            settings=settings,
        )
        routing.raise_number(conn)


def stored(world: World) -> list[Any]:
    with world.database.read() as conn:
        return list(conn.execute(select(table).order_by(table.c.id)))


def rows_of(count: int, text: str = "basic") -> Table:
    fields = (Field("months", "double"), Field("plan", "string"))
    return Table(fields, [(months, text) for months in range(count)])


def test_answers_are_kept_with_their_request_id_once_a_deployment_asks_for_it(
    world: World,
) -> None:
    version = world.register("real")
    world.deploy(version)
    world.start()
    assert len(world.score().headers["x-request-id"]) == 32  # named, though nothing is kept
    put(world, "production", version, sampling_rate=1.0)
    put(world, "copy", world.register("one"), sampling_rate=1.0)
    with world.database.write() as conn:
        routing.update_endpoint(conn, "shop", mirror_traffic={"copy": 100})
        routing.raise_number(conn)

    def ask() -> bool:
        answer = world.score(headers={"x-request-id": "order-17"})
        assert answer.headers["x-request-id"] == "order-17"
        return {one.deployment for one in stored(world)} == {"production", "copy"}

    world.wait(ask)
    found = {one.deployment: one for one in stored(world)}
    kept = found["production"]
    assert (kept.request_id, kept.version, kept.is_copy) == ("order-17", version, False)
    assert (kept.count, kept.task) == (2, "classification")
    assert kept.columns == {"months": [1, 60], "plan": ["basic", "plus"]}
    assert kept.predictions == ["yes", "no"]
    assert found["copy"].is_copy
    # what could be no id is not taken over, in whatever header it came
    assert "mlq_serving_samples_left_out_total 0.0" in world.http.get("/metrics").text
    assert world.score(headers={"x-request-id": "a b"}).headers["x-request-id"] != "a b"


def test_a_share_is_drawn_and_many_rows_of_large_requests_are_left_out(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    version = world.register("real")
    world.deploy(version)
    put(world, "production", version, sampling_rate=0.5)
    world.start()
    # each request takes a draw for its route and one for itself: the draws are even
    many = {"rows": ROWS * 150}
    for _ in range(10):
        assert world.http.post("/endpoints/shop/score", json=many).status_code == 200
    world.wait(lambda: stored(world))
    kept = stored(world)
    assert 0 < len(kept) < 10
    assert {(one.count, len(one.predictions)) for one in kept} == {(300, 100)}
    assert len(kept[0].columns["months"]) == 100


def test_memory_and_batches_are_bounded(sqlite_world: World) -> None:
    samples = Samples(capacity=3)
    said = np.array(["yes"] * 1000, dtype=object)
    for number in range(5):
        samples.add(f"r{number}", SHOP, rows_of(1000, "x" * 1000), said)
    samples.store(sqlite_world.database)
    assert samples.left_out == 2
    kept = stored(sqlite_world)
    assert [one.request_id for one in kept] == ["r0", "r1", "r2"]
    assert kept[0].columns["months"] == list(range(0, 1000, 10))
    assert kept[0].columns["plan"][0] == "x" * 200
    samples.store(sqlite_world.database)
    assert len(stored(sqlite_world)) == 3


def test_storage_is_bounded_and_goes_with_its_endpoint(world: World) -> None:
    samples = Samples()
    for number in range(4):
        samples.add(f"r{number}", SHOP, rows_of(1), np.array(["yes"], dtype=object))
    samples.store(world.database)
    with world.database.write() as conn:
        conn.execute(table.update().values(size_bytes=monitoring.KEPT_BYTES // 2))
        monitoring.put_truths(conn, "shop", [("r3", 1, ["no"])])
        monitoring.trim(conn, "shop")
    assert [one.request_id for one in stored(world)] == ["r2", "r3"]
    with world.database.write() as conn:
        routing.delete_endpoint(conn, "shop")
        truths = conn.scalar(select(func.count()).select_from(prediction_truths))
    assert (stored(world), truths) == ([], 0)
