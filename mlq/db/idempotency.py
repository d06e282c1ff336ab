"""Keys by which a client may repeat a submission without submitting twice."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from mlq.db.tables import idempotency_keys
from mlq.db.together import Prepared, run_together
from mlq.db.types import Id, now, now_plus

#: The earlier use of a key by a principal, at most one row; parameters: `principal`, `key`.
EARLIER = Prepared(
    select(idempotency_keys).where(
        idempotency_keys.c.principal == bindparam("principal"),
        idempotency_keys.c.key == bindparam("key"),
    )
)

_NEW_KEY = {
    **{name: bindparam(name) for name in ("principal", "key", "body_digest")},
    "job_id": bindparam("job_id", type_=Id),
    "created_at": now(),
}
#: By dialect. By RETURNING: the row count of an INSERT is not kept on PostgreSQL.
_CLAIM = {
    dialect: Prepared(
        insert(idempotency_keys)
        .values(_NEW_KEY)
        .on_conflict_do_nothing()
        .returning(idempotency_keys.c.key)
    )
    for dialect, insert in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}


def find(conn: Connection, *, principal: str, key: str) -> Any | None:
    """The earlier use of `key` by `principal`: a row with body_digest and job_id."""
    [rows] = run_together(conn, [(EARLIER, {"principal": principal, "key": key})])
    return rows[0] if rows else None


def claim(conn: Connection, *, principal: str, key: str, body_digest: str, job_id: str) -> bool:
    """Take the key; False when another transaction took it first (and has committed by now)."""
    values = {"principal": principal, "key": key, "body_digest": body_digest, "job_id": job_id}
    [taken] = run_together(conn, [(_CLAIM[conn.dialect.name], values)])
    return bool(taken)


def forget(conn: Connection, *, older_than_s: float) -> int:
    """Delete keys that no client will use again; returns how many."""
    return conn.execute(
        delete(idempotency_keys).where(idempotency_keys.c.created_at < now_plus(-older_than_s))
    ).rowcount
