"""What is dropped of jobs that ended long ago, and of the history of jobs that are gone.

A tree that a registered model version came from keeps everything: its lineage needs it. The last
value of each metric stays with its job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, or_, select

from mlq.db.tables import events, jobs, log_chunks, metrics, model_versions
from mlq.db.types import now_plus

_root = jobs.alias("root")
_member = jobs.alias("member")
_TABLES: dict[str, Table] = {"logs": log_chunks, "metrics": metrics}

What = Literal["logs", "metrics"]


@dataclass(frozen=True, slots=True)
class Amount:
    """How many, and how many bytes where that is known."""

    count: int = 0
    size_bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.count + other.count, self.size_bytes + other.size_bytes)


def _is_old(age_s: float) -> tuple[ColumnElement[bool], ...]:
    """Of `_root`: a whole tree that ended so long ago and that no model version came from."""
    return (
        _root.c.parent_id.is_(None),
        _root.c.finished_at < now_plus(-float(age_s)),
        ~exists().where(model_versions.c.job_id == _member.c.id, _member.c.root_id == _root.c.id),
    )


def old_trees(
    conn: Connection, *, age_s: float, limit: int, after: str = "", holding: What | None = None
) -> list[str]:
    """Ids of such trees, by id; holding: of those that still have logs, or metrics."""
    query = select(_root.c.id).where(*_is_old(age_s))
    if after:
        query = query.where(_root.c.id > after)
    if holding is not None:
        table, job = _TABLES[holding], jobs.alias("job")
        query = query.where(exists().where(table.c.job_id == job.c.id, job.c.root_id == _root.c.id))
    return list(conn.scalars(query.order_by(_root.c.id).limit(limit)))


def measure(conn: Connection, what: What, *, age_s: float) -> Amount:
    """How much such trees hold."""
    table, job = _TABLES[what], jobs.alias("job")
    query = (
        select(func.count(), func.coalesce(func.sum(_size_of(table)), 0))
        .select_from(table)
        .join(job, job.c.id == table.c.job_id)
        .join(_root, _root.c.id == job.c.root_id)
        .where(*_is_old(age_s))
    )
    return Amount(*map(int, conn.execute(query).one()))


def drop(conn: Connection, what: What, root_id: str, *, limit: int) -> Amount:
    """Remove up to `limit` rows of a tree."""
    table = _TABLES[what]
    tree = select(jobs.c.id).where(jobs.c.root_id == root_id)
    some = select(table.c.id).where(table.c.job_id.in_(tree)).limit(limit)
    gone = conn.scalars(delete(table).where(table.c.id.in_(some)).returning(_size_of(table))).all()
    return Amount(len(gone), sum(gone))


def _size_of(table: Table) -> ColumnElement[int]:
    return func.length(table.c.content) if table is log_chunks else func.length("")


def count_events(conn: Connection, *, age_s: float) -> int:
    """How many events `drop_events` would remove."""
    return int(conn.scalar(select(func.count()).where(*_is_forgotten(age_s))) or 0)


def drop_events(conn: Connection, *, age_s: float, limit: int) -> int:
    """Remove up to `limit` events older than this, oldest first, but none of a job that is there:
    the audit replays it."""
    some = select(events.c.id).where(*_is_forgotten(age_s)).order_by(events.c.id).limit(limit)
    return int(conn.execute(delete(events).where(events.c.id.in_(some))).rowcount)


def _is_forgotten(age_s: float) -> tuple[Any, ...]:
    return (
        events.c.at < now_plus(-float(age_s)),
        or_(events.c.root_id.is_(None), ~exists().where(jobs.c.id == events.c.root_id)),
    )
