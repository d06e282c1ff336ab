"""The items of a `parallel_for` that there are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from mlq.db.roles import IS_ITEM
from mlq.db.tables import jobs
from mlq.db.types import now


def count_items(conn: Connection, parent_id: str) -> int:
    """How many have been added."""
    return conn.scalar(select(func.count()).where(jobs.c.parent_id == parent_id, IS_ITEM)) or 0


def outputs_of_items(conn: Connection, parent_id: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and outputs of each, in order."""
    query = select(jobs.c.name, jobs.c.outputs).where(jobs.c.parent_id == parent_id, IS_ITEM)
    return [(row.name, row.outputs or {}) for row in conn.execute(query.order_by(jobs.c.ordinal))]


def moment(conn: Connection) -> datetime:
    """Now, by the database's clock."""
    return conn.execute(select(now())).scalar_one()
