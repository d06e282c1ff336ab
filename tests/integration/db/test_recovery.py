"""What the reconciler looks for, and workers as it sees them."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, update

from mlq.db import events, recovery, workers
from mlq.db.engine import Database
from mlq.db.events import Cursor
from mlq.db.tables import jobs
from mlq.db.tables import workers as table
from mlq.db.types import now_plus
from mlq.errors import NotFoundError
from tests.integration.db.plans import Leaf, fan_out, line
from tests.integration.db.queue import Queue, paths_of, race
from tests.servers import wait_until

WORKER = {
    "id": "0" * 31 + "1",
    "name": "celery@one",
    "host": "one",
    "pid": 7,
    "version": "1",
    "computes": ["cpu", "gpu"],
    "slots": 2,
    "cores": 4,
    "memory_bytes": 2**30,
    "gpus": [],
}


def age(database: Database, seconds: float, *ids: str) -> None:
    """Let messages be so old."""
    with database.write() as conn:
        conn.execute(
            update(jobs)
            .where(jobs.c.dispatched_at.is_not(None), *([jobs.c.id.in_(ids)] if ids else []))
            .values(dispatched_at=now_plus(-seconds))
        )


def test_expired_leases_the_longest_gone_first(queue: Queue) -> None:
    tree = queue.submit(fan_out(4))
    for path, lease_s in (("s0", -5), ("s1", -50), ("s2", 30)):
        tree.claim(path, lease_s=lease_s)
    with queue.database.read() as conn:
        found = recovery.expired(conn, limit=10)
        assert [claim.path for claim in found] == ["s1", "s0"]
        assert [claim.path for claim in recovery.expired(conn, limit=1)] == ["s1"]


def test_outstanding_messages_past_the_grace(queue: Queue) -> None:
    cpu, gpu = queue.submit(fan_out(3)), queue.submit(Leaf(compute="gpu"))
    with queue.database.read() as conn:
        assert recovery.outstanding(conn, grace_s=5) == []
    age(queue.database, 60, cpu.ids["s0"], cpu.ids["s1"])
    cpu.claim("s1")

    with queue.database.read() as conn:
        (found,) = recovery.outstanding(conn, grace_s=5)

    assert (found.compute, found.total, found.overdue) == ("cpu", 2, 1)
    assert gpu.row().dispatched_at is not None


def test_the_oldest_messages_are_published_again_with_their_tails(queue: Queue) -> None:
    chain, tree = queue.submit(line(3)), queue.submit(fan_out(2))
    age(queue.database, 20)
    age(queue.database, 60, chain.ids["s0"])
    age(queue.database, 1, tree.ids["s1"])

    with queue.database.write() as conn:
        (first,) = recovery.republish(conn, "cpu", limit=1, older_than_s=5)
    with queue.database.write() as conn:
        rest = recovery.republish(conn, "cpu", limit=9, older_than_s=5)

    assert paths_of([first], chain) == [["s0", "s1", "s2"]]
    assert paths_of(rest, tree) == [["s0"]]
    with queue.database.write() as conn:
        assert recovery.republish(conn, "cpu", limit=9, older_than_s=5) == []


def test_two_leaders_publish_a_message_once(postgresql: Database) -> None:
    queue = Queue(postgresql)
    queue.submit(fan_out(10))
    age(postgresql, 60)

    def republish() -> int:
        return len(postgresql.transact(recovery.republish, "cpu", limit=50, older_than_s=5))

    assert sum(count for count in race(*[republish] * 4) if isinstance(count, int)) == 10


def test_a_worker_lives_while_it_beats(database: Database) -> None:
    with database.write() as conn:
        assert workers.beat(conn, WORKER["id"], busy=0, state="online") is None
        workers.register(conn, WORKER)
    with database.write() as conn:
        assert workers.beat(conn, WORKER["id"], busy=1, state="online")
        assert workers.live_slots(conn) == {"cpu": 2, "gpu": 2}
        conn.execute(update(table).values(seen_at=now_plus(-workers.SILENT_AFTER_S - 1)))
        assert workers.live(conn) == []
        assert workers.known_computes(conn) == {"cpu", "gpu"}


def test_registering_again_brings_a_worker_back(database: Database) -> None:
    with database.write() as conn:
        workers.register(conn, WORKER)
        workers.retire(conn, WORKER["id"], name="celery@one")
        assert workers.live(conn) == []
    with database.write() as conn:
        workers.register(conn, WORKER)
        assert [row.state for row in workers.live(conn)] == ["online"]
    with database.read() as conn:
        kinds = [event.kind for event in events.read_after(conn, Cursor())]
    assert kinds == ["worker.online", "worker.offline", "worker.online"]


def test_a_draining_worker_takes_nothing_new(database: Database) -> None:
    with database.write() as conn:
        workers.register(conn, WORKER)
        workers.beat(conn, WORKER["id"], busy=0, state="draining")
        assert workers.live_slots(conn) == {}
        assert workers.idle_since(conn) == {}


def test_a_drained_worker_is_told_so_with_its_beats_until_it_is_resumed(
    database: Database,
) -> None:
    def beat(conn: Connection) -> bool | None:
        return workers.beat(conn, WORKER["id"], busy=1, state="online")

    with database.write() as conn:
        workers.register(conn, WORKER)
        found = workers.find(conn, "celery@one")
        assert workers.request_drain(conn, found["id"], actor="ann")
        assert not workers.request_drain(conn, found["id"], actor="ann"), "it was so"
        assert workers.find(conn, found["id"])["state"] == "draining"
        assert beat(conn) is False
        assert [row.state for row in workers.live(conn)] == ["draining"]
        assert workers.live_slots(conn) == {}
        assert workers.resume(conn, found["id"], actor="ann")
        assert beat(conn) is True
        assert workers.live_slots(conn) == {"cpu": 2, "gpu": 2}
        assert not workers.resume(conn, found["id"], actor="ann")
    with database.write() as conn:
        workers.retire(conn, WORKER["id"], name="celery@one")
        with pytest.raises(NotFoundError, match="is offline"):
            workers.find(conn, "celery@one")
        with pytest.raises(NotFoundError, match="is not known"):
            workers.find(conn, "celery@two")
    with database.read() as conn:
        kinds = [(event.kind, event.actor) for event in events.read_after(conn, Cursor())]
    assert kinds[1:3] == [("worker.drain", "ann"), ("worker.resume", "ann")]


def test_idle_since_breaks_when_all_slots_are_taken(database: Database) -> None:
    def beat(busy: int) -> Any:
        with database.write() as conn:
            workers.beat(conn, WORKER["id"], busy=busy, state="online")
            return workers.idle_since(conn).get("gpu")

    with database.write() as conn:
        workers.register(conn, WORKER)
        since = workers.idle_since(conn)["gpu"]
    assert beat(1) == since
    assert beat(2) is None
    assert beat(1) > since


def test_a_transaction_that_stopped_within_itself_is_ended(postgresql: Database) -> None:
    url = postgresql.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    stalled = psycopg.connect(url, application_name="mlq")
    stalled.execute("UPDATE jobs SET priority = 0")

    with postgresql.read() as conn:
        wait_until(lambda: recovery.end_stalled(conn, after_s=0.05) == 1)

    with pytest.raises(psycopg.OperationalError, match="terminating connection"):
        stalled.execute("SELECT 1")
    stalled.close()
