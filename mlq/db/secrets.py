"""Secrets that the installation's own processes share. They never leave the database."""

from __future__ import annotations

from sqlalchemy import Connection, select

from mlq.db.tables import secrets
from mlq.db.types import now
from mlq.db.upsert import conflict_insert


def find(conn: Connection, name: str) -> str | None:
    """The secret of this name."""
    return conn.scalar(select(secrets.c.value).where(secrets.c.name == name))


def keep(conn: Connection, name: str, value: str) -> None:
    """Store a secret, unless there is one of this name."""
    statement = conflict_insert(conn, secrets).values(name=name, value=value, created_at=now())
    conn.execute(statement.on_conflict_do_nothing())
