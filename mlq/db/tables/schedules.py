"""Stored jobs with their triggers, and every time that one fired."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from mlq.db.tables.base import metadata, where
from mlq.db.types import Id, Json, Timestamp

schedules = Table(
    "schedules",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("display_name", String(255), nullable=False),
    Column("description", Text, nullable=False),
    Column("tags", Json, nullable=False),
    Column("trigger", Json, nullable=False),
    Column("job", Json, nullable=False),  # its document, with expressions
    Column("git", Json),  # of its code: `mlq.db.job_git.GitRecord`
    Column("catch_up", String(8), nullable=False),  # all | latest | none
    Column("overlap", String(16), nullable=False),  # allow | skip | queue | cancel_previous
    Column("is_enabled", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),  # raised by each change of the file
    Column("next_at", Timestamp),  # of a timed one that is enabled
    # of one that waits for data: the asset, and its version that fired last; of one that waits for
    # drift: `endpoint:NAME`, and the id of the report
    Column("watched", String(255)),
    Column("seen_version", Integer),
    Column("secret", String(128)),  # of a webhook
    Column("created_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Index("ix_schedules_next", "next_at", **where("next_at IS NOT NULL")),
    Index("ix_schedules_watched", "watched", **where("watched IS NOT NULL")),
)

#: Every due time once. key: the time, `data:VERSION`, `drift:REPORT`, `hook:DELIVERY` or
#: `manual:ID`.
schedule_firings = Table(
    "schedule_firings",
    metadata,
    Column("schedule", String(255), ForeignKey("schedules.name"), nullable=False),
    Column("key", String(255), nullable=False),
    Column("due_at", Timestamp, nullable=False),
    Column("at", Timestamp, nullable=False),
    # submitted | waiting (for the one before) | skipped | missed | failed
    Column("outcome", String(16), nullable=False),
    Column("job_id", Id),
    Column("is_open", Boolean, nullable=False),  # its job may still be live
    Column("context", Json, nullable=False),
    Column("detail", Json),
    PrimaryKeyConstraint("schedule", "key"),
    Index("ix_schedule_firings_at", "schedule", "at", "key"),
    Index("ix_schedule_firings_waiting", "schedule", "due_at", **where("outcome = 'waiting'")),
    Index("ix_schedule_firings_open", "schedule", "job_id", **where("is_open")),
    Index("ix_schedule_firings_job", "job_id", **where("job_id IS NOT NULL")),
)

#: Files that a schedule has seen in a watched store, as they were then.
watched_files = Table(
    "watched_files",
    metadata,
    Column("schedule", String(255), ForeignKey("schedules.name"), nullable=False),
    Column("path", String(1000), nullable=False),
    Column("fingerprint", String(255), nullable=False),  # size and time of change, or entity tag
    Column("is_taken", Boolean, nullable=False),  # False: seen once, perhaps still being written
    Column("at", Timestamp, nullable=False),
    PrimaryKeyConstraint("schedule", "path"),
)
