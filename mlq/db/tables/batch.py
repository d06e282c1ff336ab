"""Published pipelines: batch endpoints, their deployments, and the jobs that were invoked."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from mlq.db.tables.base import metadata
from mlq.db.types import Id, Json, Timestamp

batch_endpoints = Table(
    "batch_endpoints",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("description", Text, nullable=False),
    Column("tags", Json, nullable=False),
    Column("default_deployment", String(255)),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)

#: Every version of every deployment; the newest one is invoked unless another is asked for.
batch_deployments = Table(
    "batch_deployments",
    metadata,
    Column("endpoint", String(255), ForeignKey("batch_endpoints.name"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("description", Text, nullable=False),
    Column("tags", Json, nullable=False),
    Column("source", Json, nullable=False),  # the deployment file
    Column("job", Json, nullable=False),  # the document that an invocation submits
    Column("created_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("endpoint", "name", "version"),
)

batch_invocations = Table(
    "batch_invocations",
    metadata,
    Column("job_id", Id, primary_key=True),
    Column("endpoint", String(255), nullable=False),
    Column("deployment", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("invoked_by", String(255), nullable=False),
    Column("at", Timestamp, nullable=False),
    ForeignKeyConstraint(
        ["endpoint", "deployment", "version"],
        ["batch_deployments.endpoint", "batch_deployments.name", "batch_deployments.version"],
        name="fk_batch_invocations_deployment",
    ),
    Index("ix_batch_invocations_endpoint", "endpoint", "job_id"),
)
