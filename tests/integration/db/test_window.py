"""The dispatch window: how many messages, which ones, and whose turn it is."""

from __future__ import annotations

from sqlalchemy import update

from mlq.db import recovery, window
from mlq.db.engine import Database
from mlq.db.tables import jobs
from mlq.service import jobs as jobs_service
from tests.integration.db.plans import Leaf, Pipe, Sweep, fan_out, line
from tests.integration.db.queue import Queue, Tree, race

LEAST = 16  # the window without a live worker


def drain(queue: Queue, *, compute: str = "cpu") -> list[str]:
    """Run everything that gets a message, one after the other; ids in the order of starts."""
    order: list[str] = []
    with queue.database.read() as conn:
        ready = [
            row.id
            for row in conn.execute(
                jobs.select()
                .where(jobs.c.state == "queued", jobs.c.compute == compute)
                .where(jobs.c.dispatched_at.is_not(None))
                .order_by(jobs.c.dispatched_at, jobs.c.id)
            )
        ]
    while ready:
        job_id = ready.pop(0)
        attempt = queue.claim(job_id)
        assert attempt is not None
        order.append(job_id)
        finished = queue.succeed(attempt)
        assert finished is not None
        ready += [delivery.links[0].id for delivery in finished.deliveries]
    return order


def place(tree: Tree, order: list[str]) -> int:
    return order.index(tree.id)


def test_no_more_than_the_window_is_outstanding(queue: Queue) -> None:
    tree = queue.submit(fan_out(40))
    assert len(tree.deliveries) == LEAST
    assert queue.submit(Leaf()).deliveries == []
    assert queue.outstanding() == LEAST

    finished = queue.succeed(tree.claim("s0"))

    assert finished is not None
    assert len(finished.deliveries) == 1
    assert queue.outstanding() == LEAST


def test_computes_have_windows_of_their_own(queue: Queue) -> None:
    queue.submit(fan_out(40))
    assert len(queue.submit(fan_out(3, compute="gpu")).deliveries) == 3


def test_the_next_link_of_a_chain_does_not_wait_for_the_window(queue: Queue) -> None:
    chain = queue.submit(line(2))
    queue.submit(fan_out(40))
    assert queue.outstanding() == LEAST
    attempt = chain.claim("s0")
    with queue.database.write() as conn:
        window.refill(conn, "cpu", window=LEAST)

    queue.succeed(attempt)

    assert chain.row("s1").dispatched_at is not None
    assert queue.outstanding() == LEAST + 1


def test_priority_comes_first(queue: Queue) -> None:
    queue.submit(fan_out(LEAST))  # fills the window
    low = queue.submit(Leaf(), priority=-1)
    normal = queue.submit(Leaf())
    high = queue.submit(Leaf(), priority=5)

    order = drain(queue)

    assert place(high, order) < place(normal, order) < place(low, order)


def test_a_wide_fan_out_does_not_starve_a_late_job(queue: Queue) -> None:
    queue.submit(fan_out(200))
    late = queue.submit(Leaf())

    order = drain(queue)

    assert len(order) == 201
    # behind the messages that were out already, and a turn or two
    assert place(late, order) <= LEAST + 2


def test_wide_trees_take_turns(queue: Queue) -> None:
    queue.submit(fan_out(LEAST))
    trees = [queue.submit(fan_out(12)) for _ in range(3)]
    order = drain(queue)[LEAST:]

    owner = {job_id: tree.id for tree in trees for job_id in tree.ids.values()}
    for start in range(0, 36, 6):
        counts = [sum(owner[one] == tree.id for one in order[start : start + 6]) for tree in trees]
        assert min(counts) >= 1, counts
    assert len(order) == 36


def test_a_tree_is_not_made_to_pay_for_another_compute(queue: Queue) -> None:
    """It was wide on cpu; on gpu it is as new as any other."""
    wide = queue.submit(
        Pipe({**{f"s{n}": Leaf() for n in range(60)}, "train": Leaf(["s0", "s1"], compute="gpu")})
    )
    queue.submit(fan_out(60, compute="gpu"))

    wide.run("s0", "s1")

    order = drain(queue, compute="gpu")
    assert order.index(wide.ids["train"]) <= LEAST + 2


def test_old_turns_are_forgotten_when_nothing_waits(queue: Queue) -> None:
    steps = {f"s{n}": Leaf() for n in range(60)}
    earlier = queue.submit(Pipe({**steps, "last": Leaf(list(steps))}))
    running = []
    for path in steps:  # all of them run: nothing waits any more
        attempt = queue.claim(earlier.ids[path])
        while attempt is None:
            with queue.database.write() as conn:
                window.refill(conn, "cpu", window=LEAST)
            attempt = queue.claim(earlier.ids[path])
        running.append(attempt)
    queue.submit(fan_out(60))

    for attempt in running:
        queue.succeed(attempt)

    order = drain(queue)
    assert order.index(earlier.ids["last"]) <= LEAST * 2 + 2


def test_what_comes_back_goes_first(queue: Queue) -> None:
    tree = queue.submit(fan_out(40))
    queue.release(tree.claim("s3"))

    assert tree.row("s3").dispatched_at is not None


def test_what_is_not_due_gets_no_message(queue: Queue) -> None:
    tree = queue.submit(Leaf(retries=1, delay_s=600))
    tree.fail()
    with queue.database.write() as conn:
        assert window.refill(conn, "cpu", window=LEAST) == []
        assert recovery.waiting_computes(conn) == ["cpu"]

    queue.set_not_before(tree.id, -1)

    with queue.database.write() as conn:
        (delivery,) = window.refill(conn, "cpu", window=LEAST)
    assert delivery.links[0].id == tree.id


def test_what_is_paused_gets_no_message(queue: Queue) -> None:
    queue.submit(fan_out(LEAST))
    paused = queue.submit(Leaf())
    with queue.database.write() as conn:
        conn.execute(
            update(jobs).where(jobs.c.id == paused.id).values(paused_at=paused.row().created_at)
        )
        assert window.refill(conn, "cpu", window=100) == []


def test_refills_at_once_take_different_leaves(postgresql: Database) -> None:
    queue = Queue(postgresql)
    queue.submit(fan_out(300))
    with postgresql.write() as conn:
        conn.execute(update(jobs).values(dispatched_at=None))

    def refill() -> list[str]:
        deliveries = postgresql.transact(window.refill, "cpu", window=20)
        return [delivery.links[0].id for delivery in deliveries]

    taken = race(*[refill] * 6)

    together = [job_id for ids in taken if isinstance(ids, list) for job_id in ids]
    assert len(together) >= 20
    assert len(set(together)) == len(together)


def test_runners_leave_room_for_steps(queue: Queue) -> None:
    """A message of a runner stands for a slot's time slice, and so does its turn."""
    sweeps = [queue.submit(Sweep(runners=16)) for _ in range(2)]
    assert queue.outstanding() == 2
    step = queue.submit(Leaf())
    assert step.row().dispatched_at is None
    for path in ("runner-1", "runner-2"):
        assert queue.claim(sweeps[0].ids[path]) is not None
    queue.database.transact(jobs_service.dispatch, ["cpu"], queue.windows)
    assert step.row().dispatched_at is not None
    assert queue.outstanding() == 3
