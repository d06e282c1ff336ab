"""Workers, servers, who leads, and what a fleet shares."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
)

from mlq.db.tables.base import metadata
from mlq.db.types import Id, Json, Timestamp

workers = Table(
    "workers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(255), nullable=False),  # Celery node name: celery@host
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(64), nullable=False),
    Column("computes", Json, nullable=False),  # ["cpu", "gpu"]
    Column("slots", Integer, nullable=False),
    Column("busy", Integer, nullable=False),
    Column("cores", Integer, nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("gpus", Json, nullable=False),
    Column("state", String(16), nullable=False),  # online | draining | offline
    Column("started_at", Timestamp, nullable=False),
    Column("seen_at", Timestamp, nullable=False),
    # since when a slot has been free without a break; None while all are busy
    Column("idle_since", Timestamp),
    # set while somebody wants it to take no further step; gone with the process
    Column("drain_requested_at", Timestamp),
    Index("ix_workers_seen", "seen_at"),
)

#: APIs and model servers, each process a row while it lives.
servers = Table(
    "servers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(16), nullable=False),  # api | serve
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(64), nullable=False),
    Column("started_at", Timestamp, nullable=False),
    Column("seen_at", Timestamp, nullable=False),
)

#: Leadership and other exclusive duties: who holds it until when.
leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(255), nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("expires_at", Timestamp, nullable=False),
)

#: How much may be held at once, on all machines together. kind `limit`: steps that name it;
#: `project`: running steps of a project; `gpu`: memory of a GPU in MiB, by its UUID.
limits = Table(
    "limits",
    metadata,
    Column("kind", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("set_by", String(255), nullable=False),
    Column("set_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("kind", "name"),
)

#: What attempts hold of limits. A row counts while (job, attempt) runs, and is swept up later.
limit_holds = Table(
    "limit_holds",
    metadata,
    Column("kind", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("job_id", Id, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("amount", Integer, nullable=False),
    PrimaryKeyConstraint("kind", "name", "job_id"),
)
