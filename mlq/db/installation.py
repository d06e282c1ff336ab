"""The one row that says where this installation began and which artifact store is its own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from mlq.db.tables import installation
from mlq.db.types import now
from mlq.db.upsert import conflict_insert


def find(conn: Connection) -> Any | None:
    """The row with host and store_digest, None before anything has joined."""
    return conn.execute(select(installation)).one_or_none()


def found(conn: Connection, *, host: str, store_digest: str) -> None:
    """Write the row unless another process was first."""
    statement = conflict_insert(conn, installation).values(
        id=1, host=host, store_digest=store_digest, created_at=now()
    )
    conn.execute(statement.on_conflict_do_nothing())
