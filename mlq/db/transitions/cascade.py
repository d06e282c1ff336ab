"""What an outcome sets free: downstreams are queued or skipped, parents close.

Works level by level on the jobs that have just ended, so that a wide tree costs a few statements
and not a few per job. The caller holds the root's lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    func,
    select,
    update,
)

from mlq.db.roles import IS_BEST, IS_FINALLY, IS_RUNNER
from mlq.db.tables import job_edges, jobs
from mlq.db.together import Prepared
from mlq.db.transitions import items, rounds
from mlq.db.transitions.change import BoundChange, Change, Noting, apply_together
from mlq.db.transitions.closing import INNER, Ended, close
from mlq.db.transitions.rounds import Verdict
from mlq.db.types import Id, now
from mlq.db.window import take_turns
from mlq.lifecycle import LIVE, JobType, Reason, Role, State


@dataclass(slots=True)
class Settled:
    """What a change set free.

    ready: computes on which leaves now wait for a message (links of a running chain are not among
        them: their message follows by itself).
    chain_goes_on: whether such a link was queued.
    ended: jobs that got their outcome through it, inner ones and skipped ones included.
    """

    ready: set[str] = field(default_factory=set)
    chain_goes_on: bool = False
    ended: list[Ended] = field(default_factory=list)


class StaleAttempt(Exception):
    """The attempt is not the current one any more, or a cancel was requested.

    Raised out of the transaction, which must be rolled back.
    """


def lock_root(conn: Connection, root_id: str) -> None:
    """Take the tree's lock: one writer at a time, in one order. SQLite has one writer anyway."""
    if conn.dialect.name == "postgresql":
        conn.execute(_LOCK_ROOT, {"job": root_id})


def settle(conn: Connection, root_id: str, ended: Sequence[Ended]) -> Settled:
    """Carry outcomes on until nothing changes any more."""
    settled = Settled()
    level = list(ended)
    while level:
        settled.ended.extend(level)
        following: list[Ended] = _skip_untaken(conn, level)
        for job in level:
            if job.downstreams and job.state == State.SUCCEEDED:
                advanced = _ADVANCE.apply(
                    conn, {"job": job.id, "chain": job.chain_id}, kind="job.queue"
                )
                following += _release(conn, root_id, advanced, settled)
        stopped = [
            job.id
            for job in level
            if job.downstreams
            and job.state != State.SUCCEEDED
            and job.reason != Reason.CONDITION  # see `_skip_untaken`
        ]
        if stopped:
            following += skip(
                conn,
                jobs.c.id.in_(
                    select(job_edges.c.downstream).where(job_edges.c.upstream.in_(stopped))
                ),
            )
        following += _close_parents(conn, root_id, level, settled)
        level = following
    return settled


def _skip_untaken(conn: Connection, level: Sequence[Ended]) -> list[Ended]:
    """Skip the branches that were not chosen, and what waits for steps of such branches.

    All of it for the same reason, so that a resume leaves it as it is.
    """
    ended: list[Ended] = []
    untaken = [job_id for job in level for job_id in job.skips]
    if untaken:
        ended += skip(conn, jobs.c.id.in_(untaken), reason=Reason.CONDITION)
    without = [job.id for job in level if job.downstreams and job.reason == Reason.CONDITION]
    if without:
        after = select(job_edges.c.downstream).where(job_edges.c.upstream.in_(without))
        ended += skip(conn, jobs.c.id.in_(after), reason=Reason.CONDITION)
    return ended


def settle_success(conn: Connection, root_id: str, job: Ended, success: BoundChange) -> Settled:
    """Commit a leaf's success and carry it on: the hot path, in one round trip for most leaves.

    success: the guarded change of the leaf itself, which takes the root's lock.
    Raises StaleAttempt when it changed nothing; the caller's transaction must be rolled back.
    """
    steps: list[BoundChange | tuple[Prepared, Mapping[str, Any]]] = [success]
    if job.downstreams:
        steps.append(_ADVANCE.bind({"job": job.id, "chain": job.chain_id}, Noting("job.queue")))
    if job.parent_id is not None:
        steps.append((_CLOSE_CHILD, {"parent": job.parent_id, "closed": 1}))
    changed, *results = apply_together(conn, *steps)
    if not changed:
        raise StaleAttempt(job.id)
    settled = Settled(ended=[job])
    following: list[Ended] = []
    if job.downstreams:
        following += _release(conn, root_id, results.pop(0), settled)
    if job.parent_id is not None:
        following += _close_if_done(conn, root_id, results.pop(0)[0], settled)
    if following:
        more = settle(conn, root_id, following)
        settled.ready |= more.ready
        settled.ended += more.ended
        settled.chain_goes_on |= more.chain_goes_on
    return settled


def start_inner(conn: Connection, root_id: str, ids: Iterable[str]) -> Settled:
    """Start inner jobs whose upstreams are done, and queue their entry leaves."""
    settled = Settled()
    ended = _start_inner(conn, root_id, list(ids), settled)
    if ended:
        more = settle(conn, root_id, ended)
        settled.ready |= more.ready
        settled.ended += more.ended
    return settled


def close_empty(conn: Connection, root_id: str) -> Settled:
    """Close started inner jobs of a new tree that have no children at all."""
    empty = conn.execute(
        select(jobs.c.id, *INNER).where(
            jobs.c.root_id == root_id,
            jobs.c.is_leaf.is_(False),
            jobs.c.state == State.RUNNING.value,
            jobs.c.open_children == 0,
        )
    ).all()
    return settle(conn, root_id, [close(conn, row) for row in empty])


_LOCK_ROOT = select(jobs.c.id).where(jobs.c.id == bindparam("job")).with_for_update()

_upstream = jobs.alias("upstream")

# Not `state = 'pending'`: where PostgreSQL has no statistics yet it takes that for the most
# selective condition there is, and looks through the whole table before it looks at the edges.
_IS_PENDING = tuple(jobs.c.state != state.value for state in State if state != State.PENDING)
_IS_READY_LEAF = and_(jobs.c.waiting_on == 1, jobs.c.is_leaf)
_ADVANCE = Change(
    update(jobs)
    .where(
        jobs.c.id.in_(
            select(job_edges.c.downstream).where(job_edges.c.upstream == bindparam("job"))
        ),
        *_IS_PENDING,
    )
    .values(
        waiting_on=jobs.c.waiting_on - 1,
        state=case((_IS_READY_LEAF, State.QUEUED.value), else_=jobs.c.state),
        queued_at=case((_IS_READY_LEAF, now()), else_=jobs.c.queued_at),
        # The message of the chain that ran `job` goes on to its next link by itself.
        dispatched_at=case(
            (and_(_IS_READY_LEAF, jobs.c.chain_id == bindparam("chain", type_=Id)), now()),
            else_=None,
        ),
    ),
    returning=(
        jobs.c.waiting_on,
        jobs.c.is_leaf,
        jobs.c.compute,
        jobs.c.ordinal,
        jobs.c.dispatched_at,
    ),
    only_state=State.QUEUED.value,
)
_QUEUE_ENTRIES = Change(
    update(jobs)
    .where(
        jobs.c.parent_id.in_(bindparam("parents", expanding=True)),
        jobs.c.state == State.PENDING.value,
        jobs.c.waiting_on == 0,
        jobs.c.is_leaf,
    )
    .values(state=State.QUEUED.value, queued_at=now()),
    returning=(jobs.c.compute, jobs.c.ordinal),
)
_START = Change(
    update(jobs)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)), jobs.c.state == State.PENDING.value)
    .values(state=State.RUNNING.value, started_at=now()),
    returning=INNER,
)
_WAIT = Change(
    update(jobs)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)), jobs.c.state == State.RUNNING.value)
    .values(state=State.WAITING.value)
)
_INNER_ENTRIES = select(jobs.c.id).where(
    jobs.c.parent_id.in_(bindparam("parents", expanding=True)),
    jobs.c.state == State.PENDING.value,
    jobs.c.waiting_on == 0,
    jobs.c.is_leaf.is_(False),
)
_CLOSE_CHILDREN = (
    update(jobs)
    .where(jobs.c.id == bindparam("parent"))
    .values(open_children=jobs.c.open_children - bindparam("closed"))
    .returning(jobs.c.id, *INNER, jobs.c.state)
)
_CLOSE_CHILD = Prepared(_CLOSE_CHILDREN)
_FAILED_RUNNER = (
    select(jobs.c.id)
    .where(
        jobs.c.parent_id == bindparam("parent"),
        IS_RUNNER,
        jobs.c.state == State.FAILED.value,
    )
    .limit(1)
)
_QUEUE_BEST = Change(
    update(jobs)
    .where(
        jobs.c.parent_id == bindparam("parent"),
        IS_BEST,
        jobs.c.state == State.PENDING.value,
        jobs.c.cancel_requested_at.is_(None),
    )
    .values(state=State.QUEUED.value, queued_at=now(), waiting_on=0),
    returning=(jobs.c.compute, jobs.c.ordinal),
)
_WAKE = (
    update(jobs)
    .where(
        jobs.c.parent_id == bindparam("parent"),
        IS_RUNNER,
        jobs.c.state == State.QUEUED.value,
        jobs.c.not_before.is_not(None),
    )
    .values(not_before=None, dispatched_at=None)
    .returning(jobs.c.id, jobs.c.compute, jobs.c.ordinal)
)
# What is left of a pipeline are its `finally` steps: they wait for each other only. To be told so
# again changes nothing.
_OPEN_FINALLY = (
    update(jobs)
    .where(jobs.c.parent_id == bindparam("parent"), IS_FINALLY, *_IS_PENDING)
    .values(
        waiting_on=select(func.count())
        .select_from(job_edges.join(_upstream, _upstream.c.id == job_edges.c.upstream))
        .where(job_edges.c.downstream == jobs.c.id, _upstream.c.state != State.SUCCEEDED.value)
        .scalar_subquery()
    )
)
_LIVE_STEP = (
    select(jobs.c.id)
    .where(
        jobs.c.parent_id == bindparam("parent"),
        jobs.c.role.is_distinct_from(Role.FINALLY.value),
        jobs.c.state.in_(sorted(LIVE)),
    )
    .limit(1)
)
_LET_START = (
    update(jobs).where(jobs.c.id.in_(bindparam("jobs", expanding=True))).values(waiting_on=0)
)


def _release(
    conn: Connection, root_id: str, advanced: Sequence[Any], settled: Settled
) -> list[Ended]:
    """Go on with downstreams that have one upstream less; those without any can start."""
    inner: list[str] = []
    waiting: dict[str, dict[str, int]] = {}
    for row in advanced:
        if row.waiting_on > 0:
            continue
        if not row.is_leaf:
            inner.append(row.id)
        elif row.dispatched_at is None:
            waiting.setdefault(row.compute, {})[row.id] = row.ordinal
        else:
            settled.chain_goes_on = True
    _wait_for_message(conn, root_id, waiting, settled)
    return _start_inner(conn, root_id, inner, settled) if inner else []


def _start_inner(conn: Connection, root_id: str, ids: list[str], settled: Settled) -> list[Ended]:
    """Start inner jobs, level by level; return those that have nothing to wait for."""
    ended: list[Ended] = []
    waiting: dict[str, dict[str, int]] = {}
    while ids:
        started = _START.apply(conn, {"ids": ids}, kind="job.start")
        if not started:
            break
        approvals = [row.id for row in started if row.type == JobType.APPROVAL]
        if approvals:
            _WAIT.apply(conn, {"ids": approvals}, kind="job.wait")
            started = [row for row in started if row.type != JobType.APPROVAL]
        ended += [
            close(conn, row) for row in started if row.open_children == 0 and row.no_more_children
        ]
        parents = [row.id for row in started]
        for row in _QUEUE_ENTRIES.apply(conn, {"parents": parents}, kind="job.queue"):
            if row.compute is not None:  # trials of a resumed sweep wait for a runner instead
                waiting.setdefault(row.compute, {})[row.id] = row.ordinal
        # of a sweep that is resumed, trials may be pipelines
        nested = [
            row.id
            for row in started
            if row.type == JobType.SWEEP or (row.params or {}).get("has_inner")
        ]
        ids = list(conn.scalars(_INNER_ENTRIES, {"parents": nested})) if nested else []
        for row in started:  # of a resumed job, nothing else may be left
            _open_finally(conn, row, waiting)
            if (row.params or {}).get("spread"):
                ended += _go_on_items(conn, root_id, row, settled)
    _wait_for_message(conn, root_id, waiting, settled)
    return ended


def _wait_for_message(
    conn: Connection, root_id: str, waiting: dict[str, dict[str, int]], settled: Settled
) -> None:
    for compute, leaves in waiting.items():
        take_turns(conn, root_id, compute, leaves)
        settled.ready.add(compute)


def skip(
    conn: Connection, which: ColumnElement[bool], *, reason: Reason = Reason.UPSTREAM
) -> list[Ended]:
    """Skip pending and queued jobs and all that lies below them."""
    ended: list[Ended] = []
    top = True
    while True:
        change = Change(
            update(jobs)
            .where(which, jobs.c.state.in_((State.PENDING.value, State.QUEUED.value)))
            .values(
                state=State.SKIPPED.value,
                reason=reason.value,
                finished_at=now(),
                dispatched_at=None,
                not_before=None,
            ),
            returning=(jobs.c.parent_id, jobs.c.downstreams, jobs.c.is_leaf),
        )
        rows = change.apply(conn, {}, kind="job.skip")
        if top:  # those below have a parent that has ended with them
            ended += [
                Ended(row.id, row.parent_id, State.SKIPPED, row.downstreams, reason=reason.value)
                for row in rows
            ]
        inner = [row.id for row in rows if not row.is_leaf]
        if not inner:
            return ended
        which, top = jobs.c.parent_id.in_(inner), False


def _close_parents(
    conn: Connection, root_id: str, level: Sequence[Ended], settled: Settled
) -> list[Ended]:
    """Count ended children off their parents; close those that have none open any more."""
    ended: list[Ended] = []
    counts = Counter(job.parent_id for job in level if job.parent_id is not None)
    failed = {job.parent_id for job in level if job.state == State.FAILED}
    for parent_id, closed in sorted(counts.items()):
        row = conn.execute(_CLOSE_CHILDREN, {"parent": parent_id, "closed": closed}).one()
        if row.state != State.RUNNING:
            continue
        if row.type == JobType.SWEEP:
            _wake_runner(conn, root_id, parent_id, settled)
        if parent_id in failed and (row.params or {}).get("stop_on_failure"):
            steps = jobs.c.role.is_distinct_from(Role.FINALLY.value)
            ended += skip(conn, and_(jobs.c.parent_id == parent_id, steps))
        ended += _close_if_done(conn, root_id, row, settled)
    return ended


def _close_if_done(conn: Connection, root_id: str, row: Any, settled: Settled) -> list[Ended]:
    """Close a running inner job that has no open child any more; else go on to the next round."""
    if row.state != State.RUNNING or not row.no_more_children:
        return []
    if row.open_children == 0:
        return [close(conn, row)]
    waiting: dict[str, dict[str, int]] = {}
    if _open_finally(conn, row, waiting):
        _wait_for_message(conn, root_id, waiting, settled)
        return []
    if (row.params or {}).get("rounds"):
        return _go_round(conn, root_id, row, settled)
    if (row.params or {}).get("spread"):
        return _go_on_items(conn, root_id, row, settled)
    if row.open_children == 1 and row.type == JobType.SWEEP:
        return _queue_best(conn, root_id, row.id, settled)
    return []


def _open_finally(conn: Connection, row: Any, waiting: dict[str, dict[str, int]]) -> bool:
    """Queue the `finally` steps of a running pipeline where all others have ended.

    waiting: compute -> leaves that wait for a message, which they are added to.
    """
    last = (row.params or {}).get("finally", 0)
    if not 0 < row.open_children <= last:
        return False
    if conn.scalar(_LIVE_STEP, {"parent": row.id}) is not None:
        return False  # some of the last ones were canceled before it was their turn
    conn.execute(_OPEN_FINALLY, {"parent": row.id})
    for leaf in _QUEUE_ENTRIES.apply(conn, {"parents": [row.id]}, kind="job.queue"):
        waiting.setdefault(leaf.compute, {})[leaf.id] = leaf.ordinal
    return True


def _go_round(conn: Connection, root_id: str, repeated: Any, settled: Settled) -> list[Ended]:
    """A round may have ended: start the next one, or skip those that are not needed any more."""
    found = rounds.read(conn, repeated.id)
    verdict, one = rounds.judge(found, repeated.params["rounds"])
    if verdict == Verdict.START:
        conn.execute(_LET_START, {"jobs": [one.id]})
        for row in _QUEUE_ENTRIES.apply(conn, {"parents": [repeated.id]}, kind="job.queue"):
            _wait_for_message(conn, root_id, {row.compute: {row.id: row.ordinal}}, settled)
        return _start_inner(conn, root_id, [one.id], settled)
    if verdict in (Verdict.GOOD, Verdict.STOP):
        why = Reason.CONDITION if verdict == Verdict.GOOD else Reason.UPSTREAM
        left = [other.id for other in found if other.state == State.PENDING]
        return skip(conn, jobs.c.id.in_(left), reason=why) if left else []
    return []


def _go_on_items(conn: Connection, root_id: str, spread: Any, settled: Settled) -> list[Ended]:
    """An item may have ended: start others, or have what there is collected."""
    following = items.find_next(items.read(conn, spread.id), spread.params["spread"])
    if following.skip is not None:
        return skip(conn, jobs.c.id == following.skip)
    start = [*following.start, *filter(None, [following.collect])]
    if not start:
        return []
    conn.execute(_LET_START, {"jobs": start})
    waiting: dict[str, dict[str, int]] = {}
    for row in _QUEUE_ENTRIES.apply(conn, {"parents": [spread.id]}, kind="job.queue"):
        waiting.setdefault(row.compute, {})[row.id] = row.ordinal
    _wait_for_message(conn, root_id, waiting, settled)
    return _start_inner(conn, root_id, start, settled)


def _wake_runner(conn: Connection, root_id: str, sweep_id: str, settled: Settled) -> None:
    """A trial has ended: the runner that waits for one may go on."""
    rows = conn.execute(_WAKE, {"parent": sweep_id}).all()
    waiting = {row.compute: {row.id: row.ordinal} for row in rows}
    _wait_for_message(conn, root_id, waiting, settled)


def _queue_best(conn: Connection, root_id: str, sweep_id: str, settled: Settled) -> list[Ended]:
    """All runners have ended: the outputs can be made, unless one of them has failed."""
    if conn.scalar(_FAILED_RUNNER, {"parent": sweep_id}) is not None:
        return skip(conn, and_(jobs.c.parent_id == sweep_id, IS_BEST))
    rows = _QUEUE_BEST.apply(conn, {"parent": sweep_id}, kind="job.queue")
    waiting = {row.compute: {row.id: row.ordinal} for row in rows}
    _wait_for_message(conn, root_id, waiting, settled)
    return []
