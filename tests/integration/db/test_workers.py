"""Workers as they are listed."""

from __future__ import annotations

from sqlalchemy import Connection, update

from mlq.db import tables, workers
from mlq.db.engine import Database
from mlq.db.queries import jobs as queries
from mlq.db.queries import queues
from mlq.db.types import now_plus
from tests.integration.db.plans import Leaf
from tests.integration.db.queue import Queue


def register(conn: Connection, name: str, *, seen_s_ago: float) -> None:
    worker_id = name * 32
    row = {"id": worker_id, "name": name, "host": "h", "pid": 1, "version": "0"}
    row |= {"computes": ["cpu"], "slots": 1, "cores": 1, "memory_bytes": 1, "gpus": []}
    workers.register(conn, row)
    workers.retire(conn, worker_id, name=name)
    conn.execute(
        update(tables.workers)
        .where(tables.workers.c.id == worker_id)
        .values(seen_at=now_plus(-seen_s_ago))
    )


def test_workers_that_left_long_ago_are_listed_on_request(database: Database) -> None:
    with database.write() as conn:
        for name, ago in (("a", 0), ("b", 3500), ("c", 3700)):
            register(conn, name, seen_s_ago=ago)
    with database.read() as conn:
        assert [row["name"] for row in workers.page(conn, limit=9)] == ["a", "b"]
        assert [row["name"] for row in workers.page(conn, limit=1, after="a" * 32)] == ["b"]
        everyone = workers.page(conn, limit=9, with_gone=True)
        assert [row["name"] for row in everyone] == ["a", "b", "c"]


def test_a_job_claimed_after_its_row_was_read_has_nobody_ahead(queue: Queue) -> None:
    row = {"id": "a" * 32, "name": "a", "host": "h", "pid": 1, "version": "0"}
    row |= {"computes": ["cpu"], "slots": 1, "cores": 1, "memory_bytes": 1, "gpus": []}
    tree = queue.submit(Leaf())
    with queue.database.write() as conn:
        workers.register(conn, row)
    with queue.database.read() as conn:
        stale = [queries.read(conn, tree.id)]
    assert queue.claim(tree.id) is not None
    with queue.database.read() as conn:
        assert queues.waiting_words(conn, stale) == {tree.id: "about to start"}
