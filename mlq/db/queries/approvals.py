"""Jobs that wait for a person."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select
from sqlalchemy.engine import RowMapping

from mlq.db.projects import jobs_of
from mlq.db.tables import jobs
from mlq.db.types import now
from mlq.lifecycle import State

_root = jobs.alias("root")
_WAITING = (
    select(
        jobs,
        _root.c.display_name.label("root_name"),
        _root.c.submitted_by.label("root_submitted_by"),
        now().label("now"),
    )
    .join(_root, _root.c.id == jobs.c.root_id)
    .where(jobs.c.state == State.WAITING.value)
)


def page(
    conn: Connection, *, limit: int, after: str | None = None, project: str | None = None
) -> Sequence[RowMapping]:
    """Approvals that wait, the longest waiting first; after: the last id of a page."""
    query = _WAITING.where(jobs_of(project)).order_by(jobs.c.id).limit(limit)
    if after is not None:
        query = query.where(jobs.c.id > after)
    return conn.execute(query).mappings().all()


def below(conn: Connection, root_id: str) -> Sequence[RowMapping]:
    """Those of one tree."""
    return conn.execute(_WAITING.where(jobs.c.root_id == root_id)).mappings().all()


def outputs(conn: Connection, job_ids: Sequence[str]) -> dict[str, RowMapping]:
    """Of the jobs that an approval's inputs come from: id -> path and outputs."""
    rows = conn.execute(
        select(jobs.c.id, jobs.c.path, jobs.c.outputs).where(jobs.c.id.in_(job_ids))
    )
    return {row["id"]: row for row in rows.mappings()}
