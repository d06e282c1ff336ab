"""What endpoints were asked and answered, what turned out to be true, and how far it has moved."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
)

from mlq.db.tables.base import metadata, where
from mlq.db.types import Json, Serial, Timestamp

#: A request that was drawn, with what was answered. See `mlq.db.monitoring.Sample`.
prediction_samples = Table(
    "prediction_samples",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("at", Timestamp, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("endpoint", String(255), nullable=False),
    Column("deployment", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("is_copy", Boolean, nullable=False),
    Column("task", String(16), nullable=False),  # classification | regression
    Column("count", Integer, nullable=False),  # rows of the request
    Column("columns", Json, nullable=False),  # name -> values of the rows that are kept
    Column("predictions", Json, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Index("ix_prediction_samples_deployment", "endpoint", "deployment", "version", "id"),
    Index("ix_prediction_samples_request", "endpoint", "request_id"),
)

#: The truth about a request, which comes later.
prediction_truths = Table(
    "prediction_truths",
    metadata,
    Column("endpoint", String(255), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("at", Timestamp, nullable=False),
    Column("count", Integer, nullable=False),  # rows of the request
    Column("truth", Json, nullable=False),  # of the rows that are kept
    PrimaryKeyConstraint("endpoint", "request_id"),
    Index("ix_prediction_truths_at", "endpoint", "at"),
)

#: How a version behind a deployment did when it was last looked at.
drift_reports = Table(
    "drift_reports",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("at", Timestamp, nullable=False),
    Column("endpoint", String(255), nullable=False),
    Column("deployment", String(255), nullable=False),
    Column("model", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("result", Json, nullable=False),  # see mlq.service.monitoring
    Column("is_raised", Boolean, nullable=False),  # the first of those over a limit
    Index("ix_drift_reports_deployment", "endpoint", "deployment", "version", "id"),
    Index("ix_drift_reports_raised", "endpoint", "id", **where("is_raised")),
)
