"""The life of an attempt: claimed by a worker, ended by its outcome or by its loss.

Everything but a claim is fenced by (id, attempt): a stale attempt changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Float,
    Integer,
    bindparam,
    delete,
    exists,
    literal_column,
    null,
    or_,
    select,
    update,
)

from mlq.db.lineage import UPSTREAM_OUTPUTS
from mlq.db.tables import jobs, latest_metrics, limits
from mlq.db.transitions.cascade import Settled, lock_root, settle, settle_success
from mlq.db.transitions.change import Change, Noting, apply_together
from mlq.db.transitions.closing import Ended
from mlq.db.types import Json, now, now_plus
from mlq.db.window import take_next_turn
from mlq.lifecycle import Reason, State


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt of a leaf, as the worker that runs it holds it. (id, attempt) is the fence."""

    id: str
    root_id: str
    parent_id: str | None
    attempt: int
    generation: int
    path: str
    role: str | None
    component: str | None
    compute: str
    spec_digest: str
    inputs: Mapping[str, Any]
    chain_id: str | None
    downstreams: int
    failure_count: int
    lost_count: int
    max_failures: int
    force_rerun: bool
    submitted_by: str
    held: Sequence[Sequence[str]] | None = None  # limits, as (kind, name)


CLAIM_COLUMNS = tuple(jobs.c[name] for name in Claim.__dataclass_fields__)

CLAIMABLE = (
    or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now()),
    jobs.c.cancel_requested_at.is_(None),
    jobs.c.paused_at.is_(None),
)
# Who is under a limit is not for this statement: see `limited`. Where no project has a quota, that
# costs a look at a table of a few rows.
_IS_FREE = (
    jobs.c.demands.is_(None),
    ~exists().where(limits.c.kind == literal_column("'project'")),
)


def _claiming(*guards: ColumnElement[bool]) -> Change:
    return Change(
        update(jobs)
        .where(
            jobs.c.id == bindparam("job"),
            jobs.c.state == State.QUEUED.value,
            *CLAIMABLE,
            *guards,
        )
        .values(
            state=State.RUNNING.value,
            attempt=jobs.c.attempt + 1,
            lease_expires_at=now_plus(bindparam("lease_s", type_=Float)),
            worker=bindparam("by"),
            started_at=now(),
            dispatched_at=None,
            not_before=None,
            held=None,
            blocked_by=None,
        ),
        returning=CLAIM_COLUMNS,
    )


_CLAIM = _claiming(*_IS_FREE)
_CLAIM_LIMITED = _claiming()
_root = jobs.alias("root")
_FENCE = (
    jobs.c.id == bindparam("job"),
    jobs.c.attempt == bindparam("fence"),
    jobs.c.state == State.RUNNING.value,
)
# A renewal may come between reading an expired lease and acting on it; then it holds.
_EXPIRED_IF_ASKED = or_(
    bindparam("whatever_lease", type_=Boolean), jobs.c.lease_expires_at <= now()
)
# The tree's lock is taken by the subquery, before the row itself is locked: `cancel` goes the same
# way round. Not compared with root_id, whose index PostgreSQL would then prefer to the key.
# (SQLite ignores FOR UPDATE.)
_ROOT_LOCKED = (
    select(_root.c.id)
    .where(_root.c.id == bindparam("root"))
    .with_for_update()
    .scalar_subquery()
    .is_not(None)
)
_SUCCEED = Change(
    update(jobs)
    .where(*_FENCE, _ROOT_LOCKED, jobs.c.cancel_requested_at.is_(None))
    .values(
        state=State.SUCCEEDED.value,
        reason=bindparam("why"),
        error=None,
        outputs=bindparam("produced", type_=Json),
        cache_key=bindparam("key"),
        lease_expires_at=None,
        finished_at=now(),
    )
)


def _unsuccessful(state: State, *, guard: ColumnElement[bool], reason: Any) -> Change:
    return Change(
        update(jobs)
        .where(*_FENCE, _EXPIRED_IF_ASKED, guard)
        .values(
            state=state.value,
            reason=reason,
            error=bindparam("what", type_=Json),
            failure_count=jobs.c.failure_count + bindparam("failures", type_=Integer),
            lost_count=jobs.c.lost_count + bindparam("losses", type_=Integer),
            lease_expires_at=None,
            finished_at=now(),
        )
    )


_FAIL = _unsuccessful(
    State.FAILED, guard=jobs.c.cancel_requested_at.is_(None), reason=bindparam("why")
)
_CANCEL = _unsuccessful(
    State.CANCELED, guard=jobs.c.cancel_requested_at.is_not(None), reason=null()
)
_REQUEUE = Change(
    update(jobs)
    .where(*_FENCE, _EXPIRED_IF_ASKED, jobs.c.cancel_requested_at.is_(None))
    .values(
        state=State.QUEUED.value,
        error=bindparam("what", type_=Json),
        failure_count=jobs.c.failure_count + bindparam("failures", type_=Integer),
        lost_count=jobs.c.lost_count + bindparam("losses", type_=Integer),
        not_before=now_plus(bindparam("delay_s", type_=Float)),
        lease_expires_at=None,
        dispatched_at=None,
        blocked_by=None,
        turn=0.0,
        queued_at=now(),
        worker=None,
    )
)


def claim(
    conn: Connection, job_id: str, *, worker: str, lease_s: float
) -> tuple[Claim, dict[str, dict[str, Any]]] | None:
    """Take a queued leaf for `worker`: the next attempt begins, with a lease of `lease_s`.

    Returns the claim, and the outputs of the jobs that its inputs are bound to, by job. None when
    there is nothing to take: taken already, finished, canceled, not due, or under a limit, which
    `claim_limited` is for.
    """
    return take_claim(conn, job_id, worker=worker, lease_s=lease_s, limited=False)


def take_claim(
    conn: Connection, job_id: str, *, worker: str, lease_s: float, limited: bool
) -> tuple[Claim, dict[str, dict[str, Any]]] | None:
    """`claim`; limited: also a leaf under limits, which have room for it."""
    change = _CLAIM_LIMITED if limited else _CLAIM
    rows, upstreams = apply_together(
        conn,
        change.bind(
            {"job": job_id, "by": worker, "lease_s": float(lease_s)},
            Noting("job.claim", actor=worker),
        ),
        (UPSTREAM_OUTPUTS, {"job": job_id}),
    )
    if not rows:
        return None
    claimed = Claim(*(getattr(rows[0], column.name) for column in CLAIM_COLUMNS))
    if claimed.attempt > 1:
        # the run's record starts anew with each attempt; `metrics` keeps all values
        conn.execute(delete(latest_metrics).where(latest_metrics.c.job_id == job_id))
    return claimed, {row.id: row.outputs or {} for row in upstreams}


def succeed(
    conn: Connection,
    claimed: Claim,
    outputs: Mapping[str, Any],
    *,
    cache_key: str | None = None,
    cached: bool = False,
) -> Settled:
    """The attempt's outcome is success, unless a cancel was requested.

    Raises StaleAttempt when the attempt is not the current one or a cancel was requested; the
    transaction must then be rolled back, and `end_canceled` called in another.
    """
    success = _SUCCEED.bind(
        {
            "job": claimed.id,
            "root": claimed.root_id,
            "fence": claimed.attempt,
            "why": Reason.CACHED.value if cached else None,
            "produced": dict(outputs),
            "key": cache_key,
        },
        Noting("job.succeed"),
    )
    return settle_success(conn, claimed.root_id, _ended(claimed, State.SUCCEEDED), success)


def fail(
    conn: Connection,
    claimed: Claim,
    *,
    reason: Reason,
    error: Mapping[str, Any],
    retry_delay_s: float | None = None,
) -> Settled | None:
    """The attempt failed. retry_delay_s: try again after it, if failures are left; None: never.

    None when the attempt is not the current one any more: nothing changed.
    """
    lock_root(conn, claimed.root_id)
    if (
        retry_delay_s is not None
        and claimed.failure_count + 1 < claimed.max_failures
        and _requeue(conn, claimed, "job.retry", error=error, failures=1, delay_s=retry_delay_s)
    ):
        return Settled(ready={claimed.compute})
    return _end(conn, claimed, reason=reason, error=error, failures=1)


def release(conn: Connection, claimed: Claim) -> Settled | None:
    """A draining worker hands the attempt back; neither count goes up.

    None when the attempt is not the current one any more: nothing changed.
    """
    lock_root(conn, claimed.root_id)
    if _requeue(conn, claimed, "job.release", error=None):
        return Settled(ready={claimed.compute})
    return _end(conn, claimed, reason=Reason.LOST, error=None)


def yield_slot(conn: Connection, claimed: Claim) -> Settled | None:
    """The attempt hands itself back so that others get their turn; neither count goes up.

    None when the attempt is not the current one any more: nothing changed.
    """
    settled = release(conn, claimed)
    if settled is not None and not settled.ended:
        take_next_turn(conn, claimed.root_id, claimed.compute, claimed.id)
    return settled


def park(conn: Connection, claimed: Claim, *, delay_s: float) -> Settled | None:
    """A runner waits until one of its trials ends, at most `delay_s`; neither count goes up.

    None when the attempt is not the current one any more: nothing changed.
    """
    lock_root(conn, claimed.root_id)
    if _requeue(conn, claimed, "job.release", error=None, delay_s=delay_s):
        return Settled()
    return _end(conn, claimed, reason=Reason.LOST, error=None)


def forgive(conn: Connection, claimed: Claim) -> None:
    """The attempt gets on: earlier losses do not count against it any more."""
    conn.execute(update(jobs).where(jobs.c.id == claimed.id).values(lost_count=0))


def lose(
    conn: Connection,
    claimed: Claim,
    *,
    error: Mapping[str, Any],
    max_lost: int,
    excused: bool = False,
    whatever_lease: bool = False,
) -> Settled | None:
    """The attempt was lost with its worker: queued again, or failed at the `max_lost`th time.

    excused: the loss is the platform's (an outage, fenced by itself) and is not counted.
    whatever_lease: True when the worker is known to be dead; else only an expired lease counts.
    None when the attempt ended or was renewed meanwhile: nothing changed.
    """
    lock_root(conn, claimed.root_id)
    losses = 0 if excused else 1
    if claimed.lost_count + losses < max_lost and _requeue(
        conn, claimed, "job.lose", error=error, losses=losses, whatever_lease=whatever_lease
    ):
        return Settled(ready={claimed.compute})
    return _end(
        conn,
        claimed,
        reason=Reason.LOST,
        error=error,
        losses=losses,
        whatever_lease=whatever_lease,
    )


def end_canceled(conn: Connection, claimed: Claim) -> Settled | None:
    """The attempt was stopped because a cancel was requested.

    None when the attempt is not the current one any more: nothing changed.
    """
    lock_root(conn, claimed.root_id)
    return _end(conn, claimed, reason=Reason.ERROR, error=None)


def is_current(conn: Connection, job_id: str, attempt: int) -> bool:
    """Whether (id, attempt) still is the running attempt; it stays so for this transaction."""
    return conn.scalar(_IS_CURRENT, {"job": job_id, "fence": attempt}) is not None


def may_succeed(conn: Connection, claimed: Claim) -> bool:
    """Whether `succeed` would commit success; it stays so for this transaction.

    Asked before work that only success may do, such as moving an alias.
    """
    lock_root(conn, claimed.root_id)
    return conn.scalar(_MAY_SUCCEED, {"job": claimed.id, "fence": claimed.attempt}) is not None


def find_claim(conn: Connection, job_id: str, attempt: int) -> Claim | None:
    """The running attempt (id, attempt), None when it has ended."""
    row = conn.execute(_FIND, {"job": job_id, "fence": attempt}).one_or_none()
    return Claim(*row) if row else None


def find_success(conn: Connection, job_id: str, attempt: int) -> bool:
    """Whether (id, attempt) has committed success."""
    return (
        conn.scalar(
            select(jobs.c.id).where(
                jobs.c.id == job_id,
                jobs.c.attempt == attempt,
                jobs.c.state == State.SUCCEEDED.value,
            )
        )
        is not None
    )


# Locked, or a new attempt could begin between this look and what the old one writes after it.
_IS_CURRENT = select(jobs.c.id).where(*_FENCE).with_for_update(read=True)
_MAY_SUCCEED = select(jobs.c.id).where(*_FENCE, jobs.c.cancel_requested_at.is_(None))
_FIND = select(*CLAIM_COLUMNS).where(*_FENCE)


def _requeue(
    conn: Connection,
    claimed: Claim,
    kind: str,
    *,
    error: Mapping[str, Any] | None,
    failures: int = 0,
    losses: int = 0,
    delay_s: float = 0.0,
    whatever_lease: bool = True,
) -> bool:
    changed = _REQUEUE.apply(
        conn,
        {
            "job": claimed.id,
            "fence": claimed.attempt,
            "what": error,
            "failures": failures,
            "losses": losses,
            "delay_s": float(delay_s),
            "whatever_lease": whatever_lease,
        },
        kind=kind,
        detail=error,
    )
    return bool(changed)


def _end(
    conn: Connection,
    claimed: Claim,
    *,
    reason: Reason,
    error: Mapping[str, Any] | None,
    failures: int = 0,
    losses: int = 0,
    whatever_lease: bool = True,
) -> Settled | None:
    """End as failed, or as canceled if that was requested."""
    params = {
        "job": claimed.id,
        "fence": claimed.attempt,
        "why": reason.value,
        "what": error,
        "failures": failures,
        "losses": losses,
        "whatever_lease": whatever_lease,
    }
    for ending, state in ((_FAIL, State.FAILED), (_CANCEL, State.CANCELED)):
        kind = "job.fail" if ending is _FAIL else "job.cancel"
        if ending.apply(conn, params, kind=kind, detail=error):
            return _settle(conn, claimed, state)
    return None


def _settle(conn: Connection, claimed: Claim, state: State) -> Settled:
    return settle(conn, claimed.root_id, [_ended(claimed, state)])


def _ended(claimed: Claim, state: State) -> Ended:
    return Ended(claimed.id, claimed.parent_id, state, claimed.downstreams, claimed.chain_id)
