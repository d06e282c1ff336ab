"""Who is told of events, and every time that one was."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from mlq.db.tables.base import metadata, where
from mlq.db.types import Id, Json, Timestamp

webhooks = Table(
    "webhooks",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("form", String(8), nullable=False),  # json | slack | email
    Column("target", Text, nullable=False),  # a URL, or an address
    Column("kinds", Json, nullable=False),  # of events: "job.fail", or "model" for all of models
    Column("secret", String(128), nullable=False),
    # place in the history up to which deliveries have been made
    Column("seen_txid", BigInteger, nullable=False),
    Column("seen_id", BigInteger, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("webhook", String(255), ForeignKey("webhooks.name"), nullable=False),
    Column("event", String(40), nullable=False),  # its place in the history, or test:ID
    Column("payload", Json, nullable=False),
    Column("state", String(16), nullable=False),  # pending | delivered | failed
    Column("tries", Integer, nullable=False),
    Column("next_at", Timestamp),  # of a pending one
    Column("status", Integer),  # HTTP status of the last answer
    Column("error", Text),
    Column("created_at", Timestamp, nullable=False),
    Column("delivered_at", Timestamp),
    Column("is_test", Boolean, nullable=False),
    UniqueConstraint("webhook", "event"),
    Index("ix_webhook_deliveries_due", "next_at", **where("state = 'pending'")),
    Index("ix_webhook_deliveries_webhook", "webhook", "id"),
)
