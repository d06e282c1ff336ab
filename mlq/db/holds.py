"""Aliases that only people move: pipelines and rollouts leave them alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from mlq.db.tables import alias_holds
from mlq.db.types import now
from mlq.db.upsert import conflict_insert


@dataclass(frozen=True, slots=True)
class Hold:
    """Who stopped automatic moves of an alias, when and why."""

    alias: str
    reason: str
    actor: str
    at: datetime


def place(conn: Connection, *, name: str, alias: str, reason: str, actor: str) -> None:
    """Hold an alias; a hold that is there takes the new reason. The caller locks the model."""
    values = {"reason": reason, "actor": actor, "at": now()}
    statement = conflict_insert(conn, alias_holds).values(name=name, alias=alias, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["name", "alias"], set_=values))


def lift(conn: Connection, *, name: str, alias: str) -> bool:
    """Let an alias go; False where it was not held."""
    statement = delete(alias_holds).where(alias_holds.c.name == name, alias_holds.c.alias == alias)
    return bool(conn.execute(statement).rowcount)


def read(conn: Connection, name: str) -> Mapping[str, Hold]:
    """The holds of a model, by alias."""
    query = select(alias_holds).where(alias_holds.c.name == name)
    return {
        row.alias: Hold(row.alias, row.reason, row.actor, row.at) for row in conn.execute(query)
    }
