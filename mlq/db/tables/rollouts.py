"""Staged rollouts, and what serving replicas measured."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from mlq.db.tables.base import metadata, where
from mlq.db.types import Id, Json, Serial, Timestamp

#: A version on its way to an alias. At most one of an endpoint is open (ended_at NULL).
rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("endpoint", String(255), nullable=False),
    Column("serving", String(255), nullable=False),  # the deployment that follows the alias
    Column("candidate", String(255), nullable=False),  # the deployment of the version
    Column("model", String(255), nullable=False),
    Column("alias", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("previous", Integer, nullable=False),  # what the alias is on until the end
    Column("policy", Json, nullable=False),
    Column("traffic", Json, nullable=False),  # as it was before, which an end restores
    Column("stage", Integer, nullable=False),  # place in the policy's stages
    Column("phase", String(16), nullable=False),  # running | frozen | succeeded | rolled_back
    Column("reason", Text, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("job_id", Id),
    Column("created_at", Timestamp, nullable=False),
    Column("stage_at", Timestamp, nullable=False),  # its bake time counts from here
    # name -> value: what was told of the candidate in this stage, for the policy's own metrics
    Column("metrics", Json, nullable=False, server_default="{}"),
    Column("ended_at", Timestamp),
    Index("uq_rollouts_open", "endpoint", unique=True, **where("ended_at IS NULL")),
    Index("ix_rollouts_endpoint", "endpoint", "id"),
)

#: What one replica answered since it reported last.
serving_counts = Table(
    "serving_counts",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("at", Timestamp, nullable=False),
    Column("replica", String(64), nullable=False),
    Column("endpoint", String(255), nullable=False),
    Column("deployment", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("is_copy", Boolean, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("latency", Json, nullable=False),  # bucket of mlq.latency -> requests
    Index("ix_serving_counts_endpoint", "endpoint", "at"),
    Index("ix_serving_counts_at", "at"),
)
