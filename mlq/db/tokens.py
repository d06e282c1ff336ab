"""Statements over `tokens`. What may be done with them is `mlq.service.tokens`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from mlq.db.tables import tokens
from mlq.db.types import now, now_plus

_LIVE = and_(
    tokens.c.revoked_at.is_(None),
    or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now()),
)


def add(conn: Connection, row: Mapping[str, Any], *, expires_in_s: float | None) -> None:
    """Store a token's digest. row: id, name, kind, digest, role, project."""
    expires_at = None if expires_in_s is None else now_plus(expires_in_s)
    conn.execute(insert(tokens).values(**row, created_at=now(), expires_at=expires_at))


def find_live(conn: Connection, digest: str) -> RowMapping | None:
    """The token with this digest, unless it has expired or was revoked."""
    return conn.execute(select(tokens).where(tokens.c.digest == digest, _LIVE)).mappings().first()


def is_known(conn: Connection, digest: str) -> bool:
    """Whether a token with this digest was ever stored."""
    return conn.execute(select(tokens.c.id).where(tokens.c.digest == digest)).first() is not None


def use_once(conn: Connection, digest: str) -> RowMapping | None:
    """Mark a live login token used; None when it is unknown, expired or was used before."""
    return (
        conn.execute(
            update(tokens)
            .where(
                tokens.c.digest == digest,
                tokens.c.kind == "login",
                tokens.c.used_at.is_(None),
                _LIVE,
            )
            .values(used_at=now(), revoked_at=now())
            .returning(tokens)
        )
        .mappings()
        .first()
    )


def revoke(conn: Connection, where: Mapping[str, str]) -> RowMapping | None:
    """Revoke the token whose columns equal `where`; None when no live one does."""
    conditions = [tokens.c[name] == value for name, value in where.items()]
    return (
        conn.execute(
            update(tokens)
            .where(*conditions, tokens.c.revoked_at.is_(None))
            .values(revoked_at=now())
            .returning(tokens)
        )
        .mappings()
        .first()
    )


def revoke_sessions(conn: Connection, *, opener: str) -> None:
    """Close the sessions that were opened with tokens of this name."""
    conn.execute(
        update(tokens)
        .where(
            tokens.c.name == opener,
            tokens.c.kind.in_(("session", "login")),
            tokens.c.revoked_at.is_(None),
        )
        .values(revoked_at=now())
    )


def touch(conn: Connection, token_id: str) -> None:
    """Note that a token is used now."""
    conn.execute(update(tokens).where(tokens.c.id == token_id).values(last_used_at=now()))


def page(conn: Connection, *, limit: int, before: str | None) -> list[RowMapping]:
    """API tokens, newest first, without sessions and logins."""
    query = select(tokens).where(tokens.c.kind == "api").order_by(tokens.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(tokens.c.id < before)
    return list(conn.execute(query).mappings())


def count_live_admins(conn: Connection) -> int:
    """How many API tokens could still make another token."""
    query = select(func.count()).where(tokens.c.kind == "api", tokens.c.role == "admin", _LIVE)
    return conn.execute(query).scalar_one()
