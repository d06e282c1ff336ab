"""What happened, and what jobs said: append-only."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from mlq.db.tables.base import metadata, where
from mlq.db.types import Id, Json, Serial, Timestamp

#: Append-only: every transition and every admin act.
events = Table(
    "events",
    metadata,
    Column("id", Serial, primary_key=True),
    # The writing transaction. Ids are given out before commit, so a reader that follows ids alone
    # would miss the one that commits late; see mlq.db.events.
    Column("txid", BigInteger, nullable=False),
    Column("at", Timestamp, nullable=False),
    Column("kind", String(64), nullable=False),  # "job.claim", "model.promote", …
    Column("job_id", Id),
    Column("root_id", Id),
    Column("attempt", Integer),
    Column("generation", Integer),
    Column("state", String(16)),
    Column("reason", String(16)),
    Column("subject", String(300)),  # of an admin act: "models:/churn", "token:ci"
    Column("actor", String(255)),
    Column("detail", Json),
    Index("ix_events_order", "txid", "id"),
    Index("ix_events_root", "root_id", "id", **where("root_id IS NOT NULL")),
    Index("ix_events_subject", "subject", "id", **where("subject IS NOT NULL")),
)

metrics = Table(
    "metrics",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("job_id", Id, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("key", String(255), nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("value", Float, nullable=False),
    Column("at", Timestamp, nullable=False),
    Index("ix_metrics_job", "job_id", "key", "step"),
)

latest_metrics = Table(
    "latest_metrics",
    metadata,
    Column("job_id", Id, nullable=False),
    Column("key", String(255), nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("value", Float, nullable=False),
    Column("at", Timestamp, nullable=False),
    PrimaryKeyConstraint("job_id", "key"),
    Index("ix_latest_metrics_values", "key", "value", "job_id"),
)

log_chunks = Table(
    "log_chunks",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("job_id", Id, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("stream", String(8), nullable=False),  # stdout | stderr | mlq
    Column("content", Text, nullable=False),
    Column("at", Timestamp, nullable=False),
    Index("ix_log_chunks_job", "job_id", "id"),
)

#: What attempts of commands used; samples: `mlq.db.usage.Sample`s as lists.
attempt_usage = Table(
    "attempt_usage",
    metadata,
    Column("job_id", Id, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("wall_s", Float, nullable=False),
    Column("cpu_s", Float, nullable=False),
    Column("peak_rss_bytes", BigInteger, nullable=False),
    Column("samples", Json, nullable=False),
    PrimaryKeyConstraint("job_id", "attempt"),
)
