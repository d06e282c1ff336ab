"""A person's decision about a job that waits for it.

The approval was started and waits; a decision takes it through `running` to its outcome in one
transaction, and sets its downstreams free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from mlq.db.tables import jobs
from mlq.db.transitions.cascade import Settled, lock_root, settle
from mlq.db.transitions.change import Change
from mlq.db.transitions.closing import Ended
from mlq.db.types import Json, now
from mlq.lifecycle import Reason, State

_DECIDE = Change(
    update(jobs)
    .where(
        jobs.c.id == bindparam("job"),
        jobs.c.state == State.WAITING.value,
        jobs.c.cancel_requested_at.is_(None),
    )
    .values(state=State.RUNNING.value),
    returning=(jobs.c.parent_id, jobs.c.downstreams),
)
_END = Change(
    update(jobs)
    .where(jobs.c.id == bindparam("job"), jobs.c.state == State.RUNNING.value)
    .values(
        state=bindparam("outcome"),
        reason=bindparam("why"),
        error=bindparam("what", type_=Json),
        outputs=bindparam("produced", type_=Json),
        finished_at=now(),
    )
)


def approve(
    conn: Connection,
    job_id: str,
    *,
    outputs: Mapping[str, Any],
    detail: Mapping[str, Any],
    actor: str,
) -> Settled | None:
    """Let what comes after an approval go on; None when it does not wait any more.

    detail: for the history.
    """
    ended = {"outcome": State.SUCCEEDED.value, "why": None, "what": None}
    return _decide(
        conn, job_id, {**ended, "produced": dict(outputs)}, "job.succeed", detail, actor=actor
    )


def turn_down(
    conn: Connection, job_id: str, *, reason: Reason, error: Mapping[str, Any], actor: str
) -> Settled | None:
    """Fail an approval, so that what comes after is skipped; None when it does not wait any more.

    reason: rejected or timeout.
    """
    ended = {"outcome": State.FAILED.value, "why": reason.value, "what": dict(error)}
    return _decide(conn, job_id, {**ended, "produced": None}, "job.fail", error, actor=actor)


def _decide(
    conn: Connection,
    job_id: str,
    ended: Mapping[str, Any],
    kind: str,
    detail: Mapping[str, Any],
    *,
    actor: str,
) -> Settled | None:
    root_id = conn.scalar(select(jobs.c.root_id).where(jobs.c.id == job_id))
    if root_id is None:
        return None
    lock_root(conn, root_id)
    decided = _DECIDE.apply(conn, {"job": job_id}, kind="job.decide", actor=actor, detail=detail)
    if not decided:
        return None
    _END.apply(conn, {"job": job_id, **ended}, kind=kind, actor=actor, detail=detail)
    (row,) = decided
    return settle(
        conn, root_id, [Ended(job_id, row.parent_id, State(ended["outcome"]), row.downstreams)]
    )
