"""Statements over components: step definitions that were registered, by name and version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.engine import RowMapping

from mlq.db.projects import names_of
from mlq.db.tables import components
from mlq.db.types import now
from mlq.db.upsert import conflict_insert
from mlq.ids import new_id

_NAMES_LIMIT = 2000


def find(conn: Connection, name: str, *, version: str | None = None) -> RowMapping | None:
    """A version of a component, the latest where `version` is None."""
    query = select(components).where(components.c.name == name)
    if version is not None:
        query = query.where(components.c.version == version)
    return conn.execute(query.order_by(components.c.ordinal.desc()).limit(1)).mappings().first()


def find_digest(conn: Connection, name: str, digest: str) -> RowMapping | None:
    """The latest version of a component that says this."""
    query = select(components).where(components.c.name == name, components.c.digest == digest)
    return conn.execute(query.order_by(components.c.ordinal.desc()).limit(1)).mappings().first()


def last_ordinal(conn: Connection, name: str) -> int:
    """How many versions of a component there are."""
    query = select(func.max(components.c.ordinal)).where(components.c.name == name)
    return conn.scalar(query) or 0


def insert(conn: Connection, values: Mapping[str, Any]) -> RowMapping | None:
    """Add a version; None when another transaction was first with its number or version."""
    statement = (
        conflict_insert(conn, components)
        .values(id=new_id(), created_at=now(), **values)
        .on_conflict_do_nothing()
        .returning(components)
    )
    return conn.execute(statement).mappings().first()


def page(
    conn: Connection, *, limit: int, after: str | None, project: str | None
) -> Sequence[RowMapping]:
    """The latest version of each component, by name, names after `after` only."""
    other = components.alias()
    latest = (
        select(func.max(other.c.ordinal)).where(other.c.name == components.c.name).scalar_subquery()
    )
    query = select(components).where(components.c.ordinal == latest, names_of("component", project))
    if after is not None:
        query = query.where(components.c.name > after)
    return conn.execute(query.order_by(components.c.name).limit(limit)).mappings().all()


def page_versions(
    conn: Connection, name: str, *, limit: int, before: int | None
) -> Sequence[RowMapping]:
    """Versions of a component, latest first, those below the ordinal `before` only."""
    query = select(components).where(components.c.name == name)
    if before is not None:
        query = query.where(components.c.ordinal < before)
    return conn.execute(query.order_by(components.c.ordinal.desc()).limit(limit)).mappings().all()


def names(conn: Connection) -> list[str]:
    """Names of components, for the nearest one to a typo."""
    return list(conn.scalars(select(components.c.name).distinct().limit(_NAMES_LIMIT)))
