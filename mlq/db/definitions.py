"""Statements over definitions that were registered by name and version: components, environments.

What a version says never changes; the order of registration says which is the latest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.engine import RowMapping

from mlq.db.projects import names_of
from mlq.db.tables import components, environments
from mlq.db.types import now
from mlq.db.upsert import conflict_insert
from mlq.ids import new_id

_NAMES_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class Definitions:
    """Those of one kind. kind: as `mlq.db.projects.NAMED` has it; also the word for people."""

    kind: str
    table: Table

    def find(self, conn: Connection, name: str, *, version: str | None = None) -> RowMapping | None:
        """A version, the latest where `version` is None."""
        query = select(self.table).where(self.table.c.name == name)
        if version is not None:
            query = query.where(self.table.c.version == version)
        query = query.order_by(self.table.c.ordinal.desc()).limit(1)
        return conn.execute(query).mappings().first()

    def find_digest(self, conn: Connection, name: str, digest: str) -> RowMapping | None:
        """The latest version of a name that says this."""
        query = select(self.table).where(self.table.c.name == name, self.table.c.digest == digest)
        query = query.order_by(self.table.c.ordinal.desc()).limit(1)
        return conn.execute(query).mappings().first()

    def last_ordinal(self, conn: Connection, name: str) -> int:
        """How many versions of a name there are."""
        query = select(func.max(self.table.c.ordinal)).where(self.table.c.name == name)
        return conn.scalar(query) or 0

    def insert(self, conn: Connection, values: Mapping[str, Any]) -> RowMapping | None:
        """Add a version; None when another transaction was first with its number or version."""
        statement = (
            conflict_insert(conn, self.table)
            .values(id=new_id(), created_at=now(), **values)
            .on_conflict_do_nothing()
            .returning(self.table)
        )
        return conn.execute(statement).mappings().first()

    def page(
        self, conn: Connection, *, limit: int, after: str | None, project: str | None
    ) -> Sequence[RowMapping]:
        """The latest version of each, by name, names after `after` only."""
        other = self.table.alias()
        latest = (
            select(func.max(other.c.ordinal))
            .where(other.c.name == self.table.c.name)
            .scalar_subquery()
        )
        query = select(self.table).where(
            self.table.c.ordinal == latest, names_of(self.kind, project)
        )
        if after is not None:
            query = query.where(self.table.c.name > after)
        query = query.order_by(self.table.c.name).limit(limit)
        return conn.execute(query).mappings().all()

    def page_versions(
        self, conn: Connection, name: str, *, limit: int, before: int | None
    ) -> Sequence[RowMapping]:
        """Versions of a name, latest first, those below the ordinal `before` only."""
        query = select(self.table).where(self.table.c.name == name)
        if before is not None:
            query = query.where(self.table.c.ordinal < before)
        query = query.order_by(self.table.c.ordinal.desc()).limit(limit)
        return conn.execute(query).mappings().all()

    def names(self, conn: Connection) -> list[str]:
        """Names that there are, for the nearest one to a typo."""
        return list(conn.scalars(select(self.table.c.name).distinct().limit(_NAMES_LIMIT)))


COMPONENTS = Definitions("component", components)
ENVIRONMENTS = Definitions("environment", environments)
