"""APIs and model servers: each says now and then that it lives, and of which version it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.engine import RowMapping

from mlq.db.tables import servers
from mlq.db.types import now, now_plus
from mlq.db.upsert import conflict_insert

#: How often one says that it lives.
BEAT_S = 15.0
#: One that has not been seen for so many seconds counts as gone.
SILENT_AFTER_S = 50.0
_FORGET_AFTER_S = 3600.0


def beat(conn: Connection, server: Mapping[str, Any]) -> None:
    """The server lives. server: id, kind (`api` or `serve`), host, pid and version."""
    seen = update(servers).where(servers.c.id == server["id"]).values(seen_at=now())
    if conn.execute(seen).rowcount:
        return
    added = conflict_insert(conn, servers).values(**server, started_at=now(), seen_at=now())
    conn.execute(added.on_conflict_do_nothing())
    conn.execute(delete(servers).where(servers.c.seen_at < now_plus(-_FORGET_AFTER_S)))


def retire(conn: Connection, server_id: str) -> None:
    """The server has stopped in good order."""
    conn.execute(delete(servers).where(servers.c.id == server_id))


def live(conn: Connection) -> list[RowMapping]:
    """Servers that have been seen lately, by kind and host."""
    query = select(servers).where(servers.c.seen_at > now_plus(-SILENT_AFTER_S))
    return list(
        conn.execute(query.order_by(servers.c.kind, servers.c.host, servers.c.pid)).mappings()
    )
