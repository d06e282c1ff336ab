"""Who may do what, and what was asked before."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from mlq.db.tables.base import metadata
from mlq.db.types import Id, Timestamp

tokens = Table(
    "tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("kind", String(16), nullable=False),  # api | login (used once) | session
    Column("digest", String(64), nullable=False),  # sha256 of 256 random bits
    Column("role", String(16), nullable=False),  # viewer | submitter | admin
    Column("created_at", Timestamp, nullable=False),
    Column("expires_at", Timestamp),
    Column("revoked_at", Timestamp),
    Column("used_at", Timestamp),
    Column("project", String(64)),  # None: all of them
    Column("last_used_at", Timestamp),  # to the minute
    UniqueConstraint("digest"),
)

#: What the installation's own processes share, such as the key that signs tokens of attempts.
secrets = Table(
    "secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("principal", String(255), nullable=False),
    Column("key", String(255), nullable=False),
    Column("body_digest", String(64), nullable=False),
    Column("job_id", Id, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("principal", "key"),
    Index("ix_idempotency_keys_created", "created_at"),
)

#: One row: where this installation began, and a blob by which its artifact store is known.
installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("host", String(255), nullable=False),
    Column("store_digest", String(64), nullable=False),
    Column("created_at", Timestamp, nullable=False),
)
