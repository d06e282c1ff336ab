"""Limits that all machines keep together: never exceeded, and nobody waits for ever."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from mlq.db import limits as table
from mlq.db.limits import Demand
from mlq.db.queries.jobs import read
from mlq.db.queries.queues import waiting_words
from mlq.db.tables import jobs, projects
from mlq.db.types import now
from mlq.errors import NotFoundError, SpecError
from mlq.service import limits
from mlq.service.capacity import Windows
from mlq.service.execution import Attempt
from tests.integration.db.plans import Leaf, Pipe, fan_out
from tests.integration.db.queue import Queue, Tree

STORE = {"limits": ["store"]}
GIB = 1 << 30


def set_limit(queue: Queue, name: str, slots: int) -> None:
    queue.database.transact(limits.set_limit, name, slots, actor="ann", windows=queue.windows)


def set_quota(queue: Queue, project: str, slots: int) -> None:
    queue.database.transact(limits.set_quota, project, slots, actor="ann", windows=queue.windows)
    queue.windows = Windows(per_slot=8)


def add_project(queue: Queue, name: str) -> None:
    with queue.database.write() as conn:
        conn.execute(projects.insert().values(name=name, created_by="ann", created_at=now()))
    queue.windows = Windows(per_slot=8)


def words(queue: Queue, job_id: str) -> str | None:
    with queue.database.read() as conn:
        row = read(conn, job_id)
        return waiting_words(conn, [row]).get(job_id)


def in_use(queue: Queue, kind: str = table.NAMED) -> dict[str, int]:
    with queue.database.read() as conn:
        return {row["name"]: row["in_use"] for row in table.list_all(conn, kind)}


def run_all(queue: Queue, ids: list[str], *, running: Callable[[], Mapping[str, int]]) -> int:
    """Claim and end all of `ids` in many threads; the most that ran at once."""
    most = Counter[str]()

    def work(job_id: str) -> bool:
        attempt = queue.claim(job_id)
        if attempt is None:
            return False
        most["most"] = max(most["most"], *running().values())
        queue.succeed(attempt)
        return True

    left = list(ids)
    draw = random.Random(7)
    with ThreadPoolExecutor(10) as pool:
        while left:
            draw.shuffle(left)
            left = [
                job_id
                for job_id, ended in zip(left, pool.map(work, left), strict=True)
                if not ended
            ]
            queue.database.transact(limits.wake, queue.windows)
    return most["most"]


def test_a_limit_is_never_exceeded_by_claims_at_once(queue: Queue) -> None:
    set_limit(queue, "store", 3)
    tree = queue.submit(fan_out(24, demands=STORE))
    ids = [tree.ids[f"s{n}"] for n in range(24)]

    assert run_all(queue, ids, running=lambda: in_use(queue)) <= 3
    assert queue.row(tree.id).state == "succeeded"
    assert in_use(queue) == {"store": 0}


def test_a_quota_is_never_exceeded_by_claims_at_once(queue: Queue) -> None:
    add_project(queue, "fraud")
    set_quota(queue, "fraud", 2)
    mine = queue.submit(fan_out(12), project="fraud")
    others = queue.submit(fan_out(6))
    ids = [tree.ids[f"s{n}"] for tree, n in ((mine, 12), (others, 6)) for n in range(n)]

    assert run_all(queue, ids, running=lambda: in_use(queue, table.PROJECT)) <= 2
    assert {queue.row(tree.id).state for tree in (mine, others)} == {"succeeded"}


def test_who_is_refused_waits_in_the_database_and_is_woken_by_an_end(queue: Queue) -> None:
    set_limit(queue, "store", 1)
    tree = queue.submit(fan_out(3, demands=STORE))
    first = tree.claim("s0")
    assert queue.claim(tree.ids["s1"]) is None
    assert queue.claim(tree.ids["s2"]) is None

    refused = queue.row(tree.ids["s1"])
    assert (refused.state, refused.dispatched_at) == ("queued", None)
    assert words(queue, tree.ids["s1"]) == "limit store: its one slot is in use"
    assert queue.outstanding() == 0

    finished = queue.succeed(first)

    assert finished is not None
    assert len(finished.deliveries) == 1, "one place, one message"
    assert queue.claim(finished.deliveries[0].links[0].id) is not None


@pytest.mark.parametrize("how", ["fail", "lose", "release", "cancel"])
def test_however_an_attempt_ends_its_place_is_free(queue: Queue, how: str) -> None:
    set_limit(queue, "store", 1)
    tree, other = queue.submit(Leaf(demands=STORE)), queue.submit(Leaf(demands=STORE))
    attempt = queue.claim(tree.id)
    assert attempt is not None
    assert queue.claim(other.id) is None
    if how == "cancel":
        queue.cancel(tree.id)
        queue.end_canceled(attempt)
    else:
        getattr(queue, how)(attempt)
    if how in ("lose", "release"):  # work begun goes first
        again = queue.claim(tree.id)
        assert again is not None
        queue.succeed(again)
    queue.database.transact(limits.wake, queue.windows)
    assert queue.claim(other.id) is not None


def test_a_raised_and_a_removed_limit_let_go_on(queue: Queue) -> None:
    set_limit(queue, "store", 1)
    trees = [queue.submit(Leaf(demands=STORE)) for _ in range(4)]
    assert [queue.claim(tree.id) is not None for tree in trees] == [True, False, False, False]
    set_limit(queue, "store", 2)
    assert queue.claim(trees[1].id) is not None
    assert queue.claim(trees[2].id) is None
    queue.database.transact(limits.remove_limit, "store", actor="ann", windows=queue.windows)
    assert queue.claim(trees[2].id) is not None
    assert queue.claim(trees[3].id) is not None
    with pytest.raises(NotFoundError, match="no limit 'store'"):
        queue.database.transact(limits.remove_limit, "store", actor="ann", windows=queue.windows)


def test_several_limits_are_taken_together_or_not_at_all(queue: Queue) -> None:
    set_limit(queue, "store", 1)
    set_limit(queue, "licence", 1)
    both = queue.submit(Leaf(demands={"limits": ["store", "licence"]}))
    one = queue.submit(Leaf(demands=STORE))
    assert queue.claim(one.id) is not None
    assert queue.claim(both.id) is None
    assert in_use(queue) == {"licence": 0, "store": 1}


def test_a_limit_that_nobody_has_set_is_refused_at_submit(queue: Queue) -> None:
    with pytest.raises(SpecError, match="no limit 'stoer'") as refused:
        queue.submit(Pipe({"a": Leaf(demands={"limits": ["stoer"]})}))
    assert refused.value.problems[0].path == "jobs.a.limits.concurrency"


def test_a_quota_of_one_project_does_not_hold_another(queue: Queue) -> None:
    add_project(queue, "fraud")
    set_quota(queue, "fraud", 1)
    trees = [queue.submit(Leaf(), project="fraud") for _ in range(2)]
    assert queue.claim(trees[0].id) is not None
    assert queue.claim(trees[1].id) is None
    assert words(queue, trees[1].id) == "quota of project fraud: its one slot is in use"
    assert queue.claim(queue.submit(Leaf()).id) is not None


def test_projects_share_evenly_whatever_they_have_queued(queue: Queue) -> None:
    for name in ("few", "many"):
        add_project(queue, name)
    for _ in range(3):
        queue.submit(fan_out(20), project="many")
    queue.submit(fan_out(60), project="few")
    started: Counter[str] = Counter()
    running: list[Attempt] = []
    ids = sent(queue)
    for turn in range(60):  # four slots; a step ends, and the next message is taken
        while ids and len(running) < 4:
            attempt = queue.claim(ids.pop(0))
            assert attempt is not None
            running.append(attempt)
            project = queue.row(attempt.claim.id).project
            if turn >= 20:  # what was sent before `few` came is worked off first
                started[project] += 1
        finished = queue.succeed(running.pop(0))
        assert finished is not None
        ids += [delivery.links[0].id for delivery in finished.deliveries]
    assert abs(started["few"] - started["many"]) <= 6, started


def sent(queue: Queue) -> list[str]:
    with queue.database.read() as conn:
        query = select(jobs.c.id).where(jobs.c.dispatched_at.is_not(None))
        return list(conn.scalars(query.order_by(jobs.c.dispatched_at, jobs.c.id)))


def gpu(uuid: str, *, total: int = 80, free: int | None = None) -> Callable[[int], list[Demand]]:
    def ask(memory_bytes: int) -> list[Demand]:
        return [
            Demand(
                table.GPU,
                uuid,
                memory_bytes >> 20,
                capacity=total << 10,
                free=None if free is None else free << 10,
            )
        ]

    return ask


def test_memory_of_a_gpu_is_taken_only_where_it_is_free(queue: Queue) -> None:
    def submit(gib: int) -> Tree:
        return queue.submit(Leaf(compute="gpu", demands={"gpu_memory_bytes": gib * GIB}))

    big, small, late = submit(60), submit(20), submit(30)
    first = queue.claim(big.id, ask_gpus=gpu("GPU-1"))
    assert first is not None
    assert queue.claim(late.id, ask_gpus=gpu("GPU-1")) is None, "60 + 30 > 80"
    assert words(queue, late.id) == "no live worker of gpu has a GPU with 30 GiB"
    assert queue.claim(small.id, ask_gpus=gpu("GPU-1")) is not None, "60 + 20 = 80"
    assert queue.claim(late.id, ask_gpus=gpu("GPU-2", free=20)) is None, "others use it"
    assert queue.claim(late.id, ask_gpus=gpu("GPU-2", total=24)) is None, "it is too small"
    queue.succeed(first)
    assert queue.row(late.id).blocked_by is None, "woken"
    assert queue.claim(late.id, ask_gpus=gpu("GPU-1")) is not None


def test_a_resumed_job_waits_for_no_limit_of_before(queue: Queue) -> None:
    set_limit(queue, "store", 1)
    holder = queue.submit(Leaf(demands=STORE))
    attempt = queue.claim(holder.id)
    assert attempt is not None
    tree = queue.submit(Pipe({"a": Leaf(demands=STORE)}))
    assert queue.claim(tree.ids["a"]) is None
    queue.cancel(tree.id)
    queue.succeed(attempt)
    assert [d.links[0].id for d in queue.resume(tree.id)] == [tree.ids["a"]]
