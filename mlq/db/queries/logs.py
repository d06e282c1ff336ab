"""Reading what jobs printed."""

from __future__ import annotations

from sqlalchemy import Connection, select
from sqlalchemy.engine import RowMapping

from mlq.db.queries.jobs import subtree
from mlq.db.tables import log_chunks
from mlq.db.types import now_plus

# Ids are given out before commit: a chunk this young may yet be overtaken by one with a lower id.
_SETTLED_S = 0.25


def page(
    conn: Connection,
    job_id: str,
    *,
    limit: int,
    after: int = 0,
    attempt: int | None = None,
    settled: bool = False,
) -> list[RowMapping]:
    """Log chunks of a job and all below it, above the chunk id `after`, oldest first.

    settled: leave out what was written a moment ago, so that a reader who goes on after the last id
    misses nothing of jobs that write side by side.
    """
    query = select(log_chunks).where(
        log_chunks.c.job_id.in_(subtree(job_id)), log_chunks.c.id > after
    )
    if attempt is not None:
        query = query.where(log_chunks.c.attempt == attempt)
    if settled:
        query = query.where(log_chunks.c.at < now_plus(-_SETTLED_S))
    return list(conn.execute(query.order_by(log_chunks.c.id).limit(limit)).mappings())
