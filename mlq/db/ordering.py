"""The order in which trees that wait for a message get theirs, changed by people.

What is in the broker already keeps its place there; it is a window of a few messages per slot.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from mlq.db.tables import jobs
from mlq.lifecycle import LIVE, State

_LIVE = sorted(LIVE)
_WAITING = (jobs.c.state == State.QUEUED.value, jobs.c.dispatched_at.is_(None))
#: Less than any turn is long.
_JUST = 0.001


def set_priority(conn: Connection, root_id: str, priority: int) -> None:
    """Let everything of a tree that has not ended have this priority."""
    conn.execute(
        update(jobs)
        .where(jobs.c.root_id == root_id, jobs.c.state.in_(_LIVE))
        .values(priority=priority)
    )


def to_front(conn: Connection, root_id: str) -> None:
    """Before all others of its priority: the turn of what had its turn and comes back."""
    conn.execute(update(jobs).where(jobs.c.root_id == root_id, *_WAITING).values(turn=0))


def to_back(conn: Connection, root_id: str) -> None:
    """Behind all that wait now on the same compute."""
    for compute in _computes(conn, root_id):
        last = conn.scalar(
            select(func.max(jobs.c.turn)).where(
                jobs.c.compute == compute, jobs.c.root_id != root_id, *_WAITING
            )
        )
        conn.execute(
            update(jobs)
            .where(jobs.c.root_id == root_id, jobs.c.compute == compute, *_WAITING)
            .values(turn=float(last or 0) + jobs.c.ordinal + 1)
        )


def before(conn: Connection, root_id: str, other_id: str) -> bool:
    """Just before another tree, on every compute where both wait; False where they do on none.

    It takes over the other's priority too, which comes first.
    """
    moved = False
    for compute in _computes(conn, root_id):
        other = conn.execute(
            select(jobs.c.priority, jobs.c.turn)
            .where(jobs.c.root_id == other_id, jobs.c.compute == compute, *_WAITING)
            .order_by(jobs.c.priority.desc(), jobs.c.turn)
            .limit(1)
        ).first()
        if other is None:
            continue
        moved = True
        set_priority(conn, root_id, other.priority)
        conn.execute(
            update(jobs)
            .where(jobs.c.root_id == root_id, jobs.c.compute == compute, *_WAITING)
            .values(turn=float(other.turn or 0) - _JUST)
        )
    return moved


def _computes(conn: Connection, root_id: str) -> list[str]:
    return list(
        conn.scalars(
            select(jobs.c.compute)
            .where(jobs.c.root_id == root_id, jobs.c.compute.is_not(None), *_WAITING)
            .distinct()
        )
    )
