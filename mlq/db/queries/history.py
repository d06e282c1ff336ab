"""Questions to the history that are not streams."""

from __future__ import annotations

from sqlalchemy import Connection, select
from sqlalchemy.engine import RowMapping

from mlq.db.events import Cursor
from mlq.db.tables import events
from mlq.lifecycle import TERMINAL


def newest_end(conn: Connection, job_id: str, *, root_id: str) -> Cursor | None:
    """Where a job last entered a terminal state."""
    row = conn.execute(
        select(events.c.txid, events.c.id)
        .where(
            events.c.root_id == root_id,
            events.c.job_id == job_id,
            events.c.state.in_(sorted(TERMINAL)),
        )
        .order_by(events.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else Cursor(row.txid, row.id)


def acts(conn: Connection, *, limit: int, before: int | None = None) -> list[RowMapping]:
    """What people and jobs did to things that have a name, newest first, below the id `before`."""
    query = select(events).where(events.c.subject.is_not(None))
    if before is not None:
        query = query.where(events.c.id < before)
    return list(conn.execute(query.order_by(events.c.id.desc()).limit(limit)).mappings())
