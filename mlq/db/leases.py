"""Exclusive duties: one holder at a time, for as long as it renews."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, case, or_, select, update

from mlq.db.tables import leases
from mlq.db.types import now, now_plus
from mlq.db.upsert import insert_missing

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Lease:
    """A duty that is held. term: raised at each change of holder."""

    term: int
    is_new: bool


def hold(conn: Connection, name: str, *, holder: str, lease_s: float) -> Lease | None:
    """Take or renew the duty `name`; None while somebody else holds it."""
    before = conn.execute(
        select(leases.c.holder, leases.c.term).where(leases.c.name == name)
    ).one_or_none()
    if before is None:
        insert_missing(
            conn, leases, [{"name": name, "holder": "", "term": 0, "expires_at": _LONG_AGO}]
        )
    term = conn.scalar(
        update(leases)
        .where(leases.c.name == name, or_(leases.c.holder == holder, leases.c.expires_at <= now()))
        .values(
            holder=holder,
            term=leases.c.term + case((leases.c.holder == holder, 0), else_=1),
            expires_at=now_plus(float(lease_s)),
        )
        .returning(leases.c.term)
    )
    if term is None:
        return None
    return Lease(term, is_new=before is None or before.holder != holder or before.term != term)


def release(conn: Connection, name: str, *, holder: str) -> None:
    """Give the duty up, so that another can take it at once."""
    conn.execute(
        update(leases)
        .where(leases.c.name == name, leases.c.holder == holder)
        .values(holder="", expires_at=now())
    )
