"""Passes of the reconciler over a real database and a real broker, with a clock of the test's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text, update

from mlq.broker import Broker
from mlq.db import workers
from mlq.db.engine import Database
from mlq.db.tables import jobs
from mlq.db.tables import workers as table
from mlq.db.types import now_plus
from mlq.settings import Settings, load_settings
from mlq_workers.reconciler import Reconciler
from tests.integration.db.plans import Leaf, Pipe, fan_out, line
from tests.integration.db.queue import Queue
from tests.servers import Valkey


class Clock:
    """Boot time, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url, pool_size=3)
    yield opened
    opened.close()


@pytest.fixture
def queue(database: Database) -> Iterator[Queue]:
    yield (opened := Queue(database))
    assert opened.violations() == []


@pytest.fixture
def settings(valkey_server: Valkey) -> Settings:
    # a leader's own lease must not run out while a test looks on
    return load_settings(broker_url=valkey_server.url, leader_lease_s=600)


@pytest.fixture
def broker(settings: Settings) -> Iterator[Broker]:
    opened = Broker.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reconciler(database: Database, broker: Broker, settings: Settings, clock: Clock) -> Reconciler:
    return make(database, broker, settings, clock)


def make(
    database: Database, broker: Broker, settings: Settings, clock: Clock, holder: str = "one"
) -> Reconciler:
    return Reconciler(
        holder=holder, settings=settings, database=database, broker=broker, boot_clock=clock
    )


def settle_in(reconciler: Reconciler, clock: Clock) -> None:
    """Lead until no lease is spared and no loss excused any more.

    Only boot time moves, in steps that are not taken for a pause or a jump.
    """
    for _ in range(40):
        assert reconciler.reconcile()
        clock.seconds += 1.5


def age_messages(database: Database, seconds: float) -> None:
    with database.write() as conn:
        conn.execute(
            update(jobs)
            .where(jobs.c.dispatched_at.is_not(None))
            .values(dispatched_at=now_plus(-seconds))
        )


def test_one_leads_and_another_follows_when_it_stops(
    reconciler: Reconciler, database: Database, broker: Broker, settings: Settings, clock: Clock
) -> None:
    other = make(database, broker, settings, clock, "two")
    assert reconciler.reconcile()
    assert not other.reconcile()
    reconciler.stop()
    reconciler.run()  # gives the duty up
    assert other.reconcile()
    assert not reconciler.reconcile()


def test_a_new_leader_gives_running_leaves_a_renewals_time(
    reconciler: Reconciler, queue: Queue, clock: Clock
) -> None:
    tree = queue.submit(Leaf())
    tree.claim(lease_s=-1)
    reconciler.reconcile()
    assert tree.row().state == "running"

    settle_in(reconciler, clock)

    # lost in the gap, so it is nobody's fault
    assert (tree.row().state, tree.row().lost_count) == ("queued", 0)


def test_an_expired_lease_is_a_loss_and_the_message_goes_out(
    reconciler: Reconciler, queue: Queue, broker: Broker, clock: Clock
) -> None:
    settle_in(reconciler, clock)
    tree = queue.submit(line(2))
    tree.claim("s0", lease_s=-1)
    assert broker.depth("cpu") == 0

    reconciler.reconcile()

    row = tree.row("s0")
    assert (row.state, row.lost_count) == ("queued", 1)
    assert row.error["cause"] == "expired"
    assert row.dispatched_at is not None
    assert broker.depth("cpu") == 1


def test_a_poison_step_ends(reconciler: Reconciler, queue: Queue, clock: Clock) -> None:
    settle_in(reconciler, clock)
    tree = queue.submit(Leaf())
    for _ in range(3):
        tree.claim(lease_s=-1)
        reconciler.reconcile()
        clock.seconds += 1
    assert tree.states() == {"": "failed/lost"}


def test_after_a_pause_leases_are_spared(
    reconciler: Reconciler, queue: Queue, clock: Clock
) -> None:
    settle_in(reconciler, clock)
    tree = queue.submit(Leaf())
    tree.claim(lease_s=-1)
    clock.seconds += 100  # the machine slept, the database's clock went on less

    reconciler.reconcile()
    assert tree.row().state == "running"

    settle_in(reconciler, clock)
    assert (tree.row().state, tree.row().lost_count) == ("queued", 0)


def test_after_an_outage_a_new_leader_spares_leases_for_a_whole_lease(
    reconciler: Reconciler,
    queue: Queue,
    database: Database,
    broker: Broker,
    settings: Settings,
    clock: Clock,
) -> None:
    """The leader's own lease runs out in the outage too: whoever follows knows of the outage."""
    follower = make(database, broker, settings, clock, "two")
    settle_in(reconciler, clock)
    tree = queue.submit(Leaf())
    tree.claim(lease_s=-1)
    _rename(database, "leases", "away")
    follower.try_to_reconcile()
    _rename(database, "away", "leases")
    reconciler.stop()
    reconciler.run()  # gives the duty up

    while clock.seconds < (until := settings.lease_s + 1000 + 40 * 1.5 - 2):
        follower.try_to_reconcile()
        assert tree.row().state == "running", f"{until - clock.seconds:g} s too early"
        clock.seconds += 1.5

    settle_in(follower, clock)
    assert (tree.row().state, tree.row().lost_count) == ("queued", 0)


def _rename(database: Database, old: str, new: str) -> None:
    with database.write() as conn:
        conn.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def test_lost_messages_are_published_again_and_no_others(
    reconciler: Reconciler, queue: Queue, broker: Broker, valkey_server: Valkey
) -> None:
    tree = queue.submit(fan_out(4))
    broker.publish(tree.deliveries)
    reconciler.reconcile()
    assert broker.depth("cpu") == 4
    age_messages(queue.database, 10)
    reconciler.reconcile()
    assert broker.depth("cpu") == 4, "nothing was missing"

    valkey_server.flush()
    reconciler.reconcile()
    assert broker.depth("cpu") == 4

    valkey_server.flush()
    reconciler.reconcile()
    assert broker.depth("cpu") == 0, "still within the grace"


def test_a_submit_whose_publishing_failed_is_published(
    reconciler: Reconciler, queue: Queue, broker: Broker
) -> None:
    queue.submit(line(3))
    age_messages(queue.database, 10)
    reconciler.reconcile()
    assert broker.depth("cpu") == 1


@pytest.mark.parametrize("idle", [True, False])
def test_a_message_that_is_stuck_beside_a_free_slot_gets_a_second_copy(
    reconciler: Reconciler, queue: Queue, broker: Broker, idle: bool
) -> None:
    tree = queue.submit(fan_out(2))
    broker.publish(tree.deliveries)
    age_messages(queue.database, 70)
    worker: dict[str, Any] = {
        "id": "1" * 32, "name": "w", "host": "h", "pid": 1, "version": "1",
        "computes": ["cpu"], "slots": 2, "cores": 2, "memory_bytes": 1, "gpus": [],
    }  # fmt: skip
    with queue.database.write() as conn:
        workers.register(conn, worker)
        conn.execute(update(table).values(idle_since=now_plus(-65.0 if idle else -5.0)))

    reconciler.reconcile()

    assert broker.depth("cpu") == (4 if idle else 2)


def test_due_retries_get_their_message(
    reconciler: Reconciler, queue: Queue, broker: Broker
) -> None:
    tree = queue.submit(Leaf(retries=1, delay_s=600))
    tree.fail()
    reconciler.reconcile()
    assert broker.depth("cpu") == 0

    queue.set_not_before(tree.id, -1)
    reconciler.reconcile()

    assert broker.depth("cpu") == 1
    assert tree.row().dispatched_at is not None


def test_without_a_broker_losses_are_still_settled_and_counted(
    reconciler: Reconciler, queue: Queue, valkey_server: Valkey, broker: Broker, clock: Clock
) -> None:
    settle_in(reconciler, clock)
    tree = queue.submit(fan_out(3))
    for path in ("s0", "s1", "s2"):
        tree.claim(path, lease_s=-1)
    valkey_server.kill()

    assert reconciler.reconcile()
    clock.seconds += 1
    assert [tree.row(path).lost_count for path in ("s0", "s1", "s2")] == [1, 1, 1]
    assert reconciler.reconcile()

    valkey_server.start()
    age_messages(queue.database, 10)
    clock.seconds += 1
    reconciler.reconcile()
    assert broker.depth("cpu") == 3


def test_a_pipeline_over_its_timeout_fails_once_its_running_step_has_stopped(
    reconciler: Reconciler, queue: Queue, database: Database, clock: Clock
) -> None:
    tree = queue.submit(
        Pipe(
            {"a": Leaf(), "b": Leaf(after=["a"]), "in": Pipe({"c": Leaf()}, after=["a"])},
            timeout_s=60,
        )
    )
    running = tree.claim("a")
    settle_in(reconciler, clock)
    assert tree.states()["b"] == "pending"
    with database.write() as conn:
        conn.execute(update(jobs).where(jobs.c.id == tree.id).values(started_at=now_plus(-61)))

    assert reconciler.reconcile()

    assert tree.states() == {
        "": "running/timeout",
        "a": "running",
        "b": "canceled",
        "in": "canceled",
        "in.c": "canceled",
    }
    assert queue.end_canceled(running) is not None
    assert tree.states()[""] == "failed/timeout"
    assert tree.row().error["code"] == "timeout"
