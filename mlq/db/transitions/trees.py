"""Changes of a whole tree: canceled, timed out, resumed, archived."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    and_,
    bindparam,
    case,
    func,
    not_,
    or_,
    select,
    update,
)

from mlq.db.events import record
from mlq.db.roles import IS_FINALLY
from mlq.db.tables import job_edges, jobs
from mlq.db.transitions.approvals import turn_down
from mlq.db.transitions.cascade import Settled, lock_root, settle, skip, start_inner
from mlq.db.transitions.change import Change
from mlq.db.transitions.closing import Ended
from mlq.db.types import now
from mlq.db.window import take_turns
from mlq.errors import ConflictError
from mlq.lifecycle import LIVE, TERMINAL, JobType, Reason, Role, State

_LIVE = sorted(LIVE)
_TERMINAL = sorted(TERMINAL)
#: No worker has to stop anything first.
_UNHELD = (State.PENDING.value, State.QUEUED.value, State.WAITING.value)
_UNSUCCESSFUL = sorted(TERMINAL - {State.SUCCEEDED})

_QUEUE_ROOT = Change(
    update(jobs)
    .where(jobs.c.id == bindparam("root"), jobs.c.state == State.PENDING.value)
    .values(state=State.QUEUED.value, queued_at=now()),
    returning=(jobs.c.compute, jobs.c.ordinal),
)
_below = jobs.alias("below")
_reopened = (
    select(jobs.c.id)
    .where(jobs.c.id == bindparam("root"), jobs.c.state.in_(_UNSUCCESSFUL))
    .cte("reopened", recursive=True)
)
# From the top down: what failed below a job that has succeeded (a trial, a round) is over.
_reopened = _reopened.union_all(
    select(_below.c.id).where(
        _below.c.parent_id == _reopened.c.id,
        or_(
            and_(
                _below.c.state.in_(_UNSUCCESSFUL),
                # what early termination decided stands
                _below.c.reason.is_distinct_from(Reason.PRUNED.value),
                # and so does which branch was taken
                _below.c.reason.is_distinct_from(Reason.CONDITION.value),
            ),
            # there is something to be found, or to be cleared up, again
            _below.c.role.in_((Role.RUNNER.value, Role.FINALLY.value)),
        ),
    )
)
_REOPEN = Change(
    update(jobs)
    .where(jobs.c.id.in_(select(_reopened.c.id)))
    .values(
        state=State.PENDING.value,
        reason=None,
        error=None,
        outputs=None,
        generation=bindparam("next_generation"),
        failure_count=0,
        lost_count=0,
        cancel_requested_at=None,
        not_before=None,
        dispatched_at=None,
        blocked_by=None,
        lease_expires_at=None,
        queued_at=None,
        started_at=None,
        finished_at=None,
        archived_at=None,
        paused_at=None,
        worker=None,
        runner_id=None,
        turn=None,
    )
)


def cancel(conn: Connection, job_id: str, *, actor: str) -> Settled | None:
    """Cancel a job and all its live descendants; a running leaf ends when its worker stopped it.

    The `finally` steps of pipelines that have begun still run, unless `job_id` is one of them.
    None when the job has ended already, or does not exist.
    """
    target = _lock_live(conn, job_id)
    if target is None:
        return None
    stamped = conn.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.cancel_requested_at.is_(None))
        .values(cancel_requested_at=now())
    ).rowcount
    if stamped:
        record(
            conn,
            "job.request_cancel",
            job_id=job_id,
            root_id=target.root_id,
            generation=target.generation,
            actor=actor,
        )
    return _stop(conn, target, _subtree(job_id), actor=actor)


def time_out(conn: Connection, job_id: str) -> Settled | None:
    """An inner job has taken longer than its timeout: stop what is below it, then it fails.

    A sweep ends with the best trial so far instead, an approval is turned down. None when it has
    ended already.
    """
    target = _lock_live(conn, job_id)
    if target is None:
        return None
    if target.type == JobType.SWEEP:
        return finish_early(conn, job_id, reason=Reason.TIMEOUT)
    if target.type == JobType.APPROVAL:
        error = {"code": "timeout", "message": "Nobody decided in time."}
        return turn_down(conn, job_id, reason=Reason.TIMEOUT, error=error, actor="timeout")
    conn.execute(update(jobs).where(jobs.c.id == job_id).values(reason=Reason.TIMEOUT.value))
    return _stop(conn, target, _subtree(job_id, with_top=False), actor="timeout")


def finish_early(
    conn: Connection, sweep_id: str, *, reason: Reason, spare: str | None = None
) -> Settled | None:
    """A sweep is to end with what it has: stop its runners and trials, then make its outputs.

    reason: target or timeout. spare: a runner that ends by itself. None when the sweep has ended.
    """
    target = _lock_live(conn, sweep_id)
    if target is None:
        return None
    conn.execute(update(jobs).where(jobs.c.id == sweep_id).values(reason=reason.value))
    spared = _below.c.role == Role.BEST.value
    if spare is not None:
        spared = or_(spared, _below.c.id == spare)
    kept = select(_below.c.id).where(_below.c.parent_id == sweep_id, spared)
    which = _subtree(sweep_id, with_top=False)
    (found,) = which.selected_columns
    return _stop(conn, target, which.where(found.not_in(kept)), actor=reason.value)


def retire_runners(conn: Connection, sweep_id: str) -> Settled | None:
    """There is nothing left to run: end the runners that nobody has claimed yet."""
    target = _lock_live(conn, sweep_id)
    if target is None:
        return None
    which = select(_below.c.id).where(
        _below.c.parent_id == sweep_id,
        _below.c.role == Role.RUNNER.value,
        _below.c.state == State.QUEUED.value,
    )
    return _stop(conn, target, which, actor="sweep")


def _lock_live(conn: Connection, job_id: str) -> Any | None:
    """Lock the tree of a job that has not ended; its row, or None."""
    root_id = conn.scalar(select(jobs.c.root_id).where(jobs.c.id == job_id))
    if root_id is None:
        return None
    lock_root(conn, root_id)
    target = conn.execute(
        select(jobs.c.state, jobs.c.type, jobs.c.generation, jobs.c.root_id).where(
            jobs.c.id == job_id
        )
    ).one()
    return None if target.state in TERMINAL else target


def _stop(conn: Connection, target: Any, which: Select[tuple[str]], *, actor: str) -> Settled:
    """Ask the live jobs among `which` to stop, and end those that no worker has."""
    scope = (
        jobs.c.root_id == target.root_id,
        jobs.c.state.in_(_LIVE),
        jobs.c.id.in_(which),
    )
    conn.execute(
        update(jobs)
        .where(*scope, jobs.c.cancel_requested_at.is_(None))
        .values(cancel_requested_at=now())
    )
    change = Change(
        update(jobs)
        .where(*scope, jobs.c.state.in_(_UNHELD))
        .values(state=State.CANCELED.value, finished_at=now(), dispatched_at=None, not_before=None),
        returning=(jobs.c.parent_id, jobs.c.downstreams, jobs.c.role, jobs.c.is_leaf),
    )
    rows = change.apply(conn, {}, kind="job.cancel", actor=actor)
    return settle(
        conn,
        target.root_id,
        [
            Ended(row.id, row.parent_id, State.CANCELED, row.downstreams)
            for row in rows
            if not (row.role == Role.TRIAL and row.is_leaf)  # its runner's, nobody's open child
        ],
    )


def reopen(conn: Connection, root_id: str, *, actor: str) -> Settled:
    """Resume a finished tree: what did not succeed starts again in the next generation.

    Attempt numbers go on; failure and loss counts, cancel requests and errors are cleared.
    Raises ConflictError when the tree still runs, has succeeded, or is a step.
    """
    lock_root(conn, root_id)
    root = conn.execute(
        select(
            jobs.c.state,
            jobs.c.generation,
            jobs.c.parent_id,
            jobs.c.is_leaf,
            jobs.c.root_id,
            jobs.c.cancel_requested_at,
        ).where(jobs.c.id == root_id)
    ).one()
    _require_resumable(root)
    record(
        conn,
        "job.resume",
        job_id=root_id,
        root_id=root_id,
        generation=root.generation + 1,
        actor=actor,
    )
    _REOPEN.apply(
        conn, {"root": root_id, "next_generation": root.generation + 1}, kind="job.reopen"
    )
    _skip_untaken(conn, root_id)
    _recount(conn, root_id)
    return _begin(conn, root_id, is_leaf=root.is_leaf)


def _skip_untaken(conn: Connection, root_id: str) -> None:
    """What waits for a branch that was not taken, and for something that failed too, goes as well.

    The branch stays untaken, so that it would wait for ever.
    """
    upstream = jobs.alias("upstream")
    untaken = (
        select(job_edges.c.downstream)
        .join(upstream, upstream.c.id == job_edges.c.upstream)
        .where(
            upstream.c.root_id == root_id,
            upstream.c.state == State.SKIPPED.value,
            upstream.c.reason == Reason.CONDITION.value,
        )
    )
    while skip(conn, jobs.c.id.in_(untaken), reason=Reason.CONDITION):
        pass


def archive(conn: Connection, root_id: str) -> bool:
    """Hide a finished tree from lists; False unless `root_id` is a root that has ended."""
    return bool(
        conn.execute(
            update(jobs)
            .where(jobs.c.id == root_id, jobs.c.parent_id.is_(None), jobs.c.state.in_(_TERMINAL))
            .values(archived_at=now())
        ).rowcount
    )


def _require_resumable(root: Any) -> None:
    if root.parent_id is not None:
        raise ConflictError(
            "Only a whole job can be resumed, not one of its steps.",
            hint=f"Resume the job that the step belongs to: {root.root_id}.",
        )
    if root.state not in TERMINAL and root.cancel_requested_at is not None:
        raise ConflictError(
            f"The job is being canceled; it is still {root.state}.",
            hint=f"Wait until it has ended (`mlq job stream {root.root_id}` does), then resume it.",
        )
    if root.state not in TERMINAL:
        raise ConflictError(
            f"The job is still {root.state}.", hint="Wait for its end, or cancel it first."
        )
    if root.state == State.SUCCEEDED:
        raise ConflictError(
            "The job has succeeded; there is nothing to resume.",
            hint="Submit it again to run it once more.",
        )


def _begin(conn: Connection, root_id: str, *, is_leaf: bool) -> Settled:
    if not is_leaf:
        return start_inner(conn, root_id, [root_id])
    (row,) = _QUEUE_ROOT.apply(conn, {"root": root_id}, kind="job.queue")
    take_turns(conn, root_id, row.compute, {root_id: row.ordinal})
    return Settled(ready={row.compute})


def _recount(conn: Connection, root_id: str) -> None:
    """Compute both counters of a tree's pending jobs from its edges and children."""
    upstream, earlier, child = jobs.alias("upstream"), jobs.alias("earlier"), jobs.alias("child")
    waiting = (
        select(func.count())
        .select_from(job_edges.join(upstream, upstream.c.id == job_edges.c.upstream))
        .where(job_edges.c.downstream == jobs.c.id, upstream.c.state != State.SUCCEEDED.value)
        .scalar_subquery()
    )
    waiting_rounds = (
        select(func.count())
        .where(
            earlier.c.parent_id == jobs.c.parent_id,
            earlier.c.role == Role.ROUND.value,
            earlier.c.ordinal < jobs.c.ordinal,
            earlier.c.state != State.SUCCEEDED.value,
        )
        .scalar_subquery()
    )
    children = (
        select(func.count())
        .select_from(child)
        .where(
            child.c.parent_id == jobs.c.id,
            child.c.state.not_in(_TERMINAL),
            or_(child.c.role.is_distinct_from(Role.TRIAL.value), child.c.is_leaf.is_(False)),
        )
        .scalar_subquery()
    )
    conn.execute(
        update(jobs)
        .where(jobs.c.root_id == root_id, jobs.c.state == State.PENDING.value)
        .values(
            waiting_on=case(
                (jobs.c.role.in_((Role.BEST.value, Role.ITEM.value, Role.COLLECT.value)), 1),
                (jobs.c.role == Role.ROUND.value, case((waiting_rounds > 0, 1), else_=0)),
                (IS_FINALLY, waiting + 1),
                else_=waiting,
            ),
            open_children=children,
        )
    )


def _subtree(job_id: str, *, with_top: bool = True) -> Select[tuple[str]]:
    """A job and what lies below it, but for what a running pipeline does finally."""
    tree = select(jobs.c.id, jobs.c.state).where(jobs.c.id == job_id).cte("subtree", recursive=True)
    always = and_(jobs.c.role == Role.FINALLY.value, tree.c.state == State.RUNNING.value)
    tree = tree.union_all(
        select(jobs.c.id, jobs.c.state).where(
            jobs.c.parent_id == tree.c.id, or_(jobs.c.role.is_(None), not_(always))
        )
    )
    ids = select(tree.c.id)
    return ids if with_top else ids.where(tree.c.id != job_id)
