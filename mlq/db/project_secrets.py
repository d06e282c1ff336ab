"""Secrets of projects, encrypted: statements. What they mean is decided in mlq.service.secrets."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, select
from sqlalchemy.engine import RowMapping

from mlq.db.tables import project_secrets
from mlq.db.types import now
from mlq.db.upsert import conflict_insert

_LISTED = (project_secrets.c.name, project_secrets.c.set_by, project_secrets.c.set_at)


def put(conn: Connection, project: str, name: str, *, value: str, key_id: str, actor: str) -> None:
    """Store a secret, in place of an earlier one. value: encrypted with the key of key_id."""
    row = {"value": value, "key_id": key_id, "set_by": actor, "set_at": now()}
    statement = conflict_insert(conn, project_secrets).values(project=project, name=name, **row)
    conn.execute(statement.on_conflict_do_update(index_elements=["project", "name"], set_=row))


def remove(conn: Connection, project: str, name: str) -> bool:
    """Forget a secret; False where there is none."""
    where = (project_secrets.c.project == project, project_secrets.c.name == name)
    return bool(conn.execute(delete(project_secrets).where(*where)).rowcount)


def list_all(conn: Connection, project: str) -> Sequence[RowMapping]:
    """name, set_by and set_at of a project's secrets, by name."""
    query = select(*_LISTED).where(project_secrets.c.project == project)
    return conn.execute(query.order_by(project_secrets.c.name)).mappings().all()


def find(conn: Connection, project: str, names: Collection[str]) -> dict[str, tuple[str, str]]:
    """name -> (encrypted value, id of its key), of those that there are."""
    query = select(project_secrets).where(
        project_secrets.c.project == project, project_secrets.c.name.in_(sorted(names))
    )
    return {row.name: (row.value, row.key_id) for row in conn.execute(query)}


def other_keys(conn: Connection, key_id: str) -> bool:
    """Whether some secret is encrypted with another key than that of key_id."""
    query = select(project_secrets.c.name).where(project_secrets.c.key_id != key_id).limit(1)
    return conn.scalar(query) is not None
