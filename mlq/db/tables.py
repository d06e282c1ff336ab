"""The tables. Every statement over them lives in `mlq.db`.

Timestamps are UTC from the database's clock (`mlq.db.types.now`); ids are `mlq.ids`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mlq.db.types import Id, Json, Serial, Timestamp

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _where(condition: str) -> dict[str, Any]:
    """A partial index, the same on both databases."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("parent_id", Id),
    Column("root_id", Id, nullable=False),
    Column("type", String(16), nullable=False),
    Column("is_leaf", Boolean, nullable=False),
    # of a sweep's children: runner | best | trial; None for everything else
    Column("role", String(8)),
    Column("name", String(255), nullable=False),
    Column("path", Text, nullable=False),  # names from below the root: "outer.inner"
    Column("display_name", String(255), nullable=False),
    Column("shadow", String(255), nullable=False),  # the name Celery and Flower show: churn.train
    Column("experiment", String(255), nullable=False),
    Column("ordinal", Integer, nullable=False),  # place among siblings, upstreams first
    Column("component", String(255)),
    Column("compute", String(64)),
    Column("priority", SmallInteger, nullable=False),
    Column("spec_digest", String(64), nullable=False),
    Column("params", Json),
    Column("inputs", Json),
    Column("outputs", Json),
    Column("tags", Json),
    Column("state", String(16), nullable=False),
    Column("reason", String(16)),
    Column("error", Json),
    # graph counters
    Column("waiting_on", Integer, nullable=False),  # unfinished upstreams
    Column("downstreams", Integer, nullable=False),  # how many jobs wait for this one
    Column("open_children", Integer, nullable=False),
    Column("no_more_children", Boolean, nullable=False),
    # Celery chain of a linear run of leaves
    Column("chain_id", Id),
    Column("chain_position", Integer),
    Column("timeout_s", Float),  # of an inner job; a leaf's is in its spec
    # fencing and retries
    Column("attempt", Integer, nullable=False),
    Column("failure_count", Integer, nullable=False),
    Column("lost_count", Integer, nullable=False),
    Column("max_failures", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("not_before", Timestamp),
    Column("lease_expires_at", Timestamp),
    Column("worker", String(255)),
    Column("turn", Float),  # fair share: see mlq.db.window
    Column("dispatched_at", Timestamp),
    Column("cancel_requested_at", Timestamp),
    Column("paused_at", Timestamp),
    Column("cache_key", String(64)),
    # of a trial: who runs it, and the primary metric; a sweep's value is the best so far
    Column("runner_id", Id),
    Column("value", Float),
    Column("force_rerun", Boolean, nullable=False),
    Column("submitted_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("queued_at", Timestamp),
    Column("started_at", Timestamp),
    Column("finished_at", Timestamp),
    Column("archived_at", Timestamp),
    Index("ix_jobs_children", "parent_id", "ordinal"),
    Index("ix_jobs_roots", "id", **_where("parent_id IS NULL")),
    Index("ix_jobs_root", "root_id"),
    Index(
        "ix_jobs_waiting",
        "compute",
        text("priority DESC"),
        "turn",
        "queued_at",
        **_where("state = 'queued' AND dispatched_at IS NULL"),
    ),
    Index(
        "ix_jobs_outstanding",
        "compute",
        "dispatched_at",
        **_where("state = 'queued' AND dispatched_at IS NOT NULL"),
    ),
    Index(
        "ix_jobs_leases",
        "lease_expires_at",
        **_where("state = 'running' AND lease_expires_at IS NOT NULL"),
    ),
    Index(
        "ix_jobs_timeouts",
        "started_at",
        **_where("state = 'running' AND timeout_s IS NOT NULL"),
    ),
    Index(
        "ix_jobs_cache",
        "cache_key",
        **_where("state = 'succeeded' AND cache_key IS NOT NULL"),
    ),
    Index("ix_jobs_chain", "chain_id", "chain_position", **_where("chain_id IS NOT NULL")),
    Index("ix_jobs_runners", "parent_id", **_where("role = 'runner'")),
    Index(
        "ix_jobs_held_trials",
        "runner_id",
        **_where("runner_id IS NOT NULL AND state IN ('queued', 'running')"),
    ),
    Index(
        "ix_jobs_returned_trials",
        "parent_id",
        "ordinal",
        **_where("role = 'trial' AND state = 'queued' AND runner_id IS NULL"),
    ),
)

job_edges = Table(
    "job_edges",
    metadata,
    Column("upstream", Id, nullable=False),
    Column("downstream", Id, nullable=False),
    PrimaryKeyConstraint("upstream", "downstream"),
    Index("ix_job_edges_downstream", "downstream"),
)

#: What is the same from run to run, stored once; digest: sha256 of canonical JSON.
specs = Table(
    "specs",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("content", Json, nullable=False),
)

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
    Index("ix_events_root", "root_id", "id", **_where("root_id IS NOT NULL")),
    Index("ix_events_subject", "subject", "id", **_where("subject IS NOT NULL")),
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
    Index("ix_workers_seen", "seen_at"),
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

artifacts = Table(
    "artifacts",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(8), nullable=False),  # blob | tree
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

data_versions = Table(
    "data_versions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("type", String(32), nullable=False),  # uri_file | uri_folder
    Column("digest", String(64), nullable=False),
    Column("file_name", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("description", Text, nullable=False),
    Column("tags", Json, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("name", "version"),
    UniqueConstraint("name", "digest"),  # identical bytes are the same version
)

models = Table(
    "models",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("description", Text, nullable=False),
    Column("last_version", Integer, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("name", String(255), ForeignKey("models.name"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(64), nullable=False),  # tree of the MLflow-format package
    Column("job_id", Id),  # the job that registered it
    Column("description", Text, nullable=False),
    Column("metrics", Json, nullable=False),
    Column("report", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("name", "version"),
    Index("ix_model_versions_job", "job_id"),
    Index("ix_model_versions_digest", "digest"),
)

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("name", String(255), ForeignKey("models.name"), nullable=False),
    Column("alias", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("name", "alias"),
)

#: Every move of an alias, the source of rollback. version None: the alias was removed.
alias_history = Table(
    "alias_history",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("alias", String(64), nullable=False),
    Column("version", Integer),
    Column("previous", Integer),
    Column("act", String(16), nullable=False),  # promote | rollback | deploy | remove
    Column("reason", Text, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("job_id", Id),
    Column("at", Timestamp, nullable=False),
    Index("ix_alias_history_alias", "name", "alias", "id"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("description", Text, nullable=False),
    Column("traffic", Json, nullable=False),  # deployment -> percent, sums to 100 or 0
    Column("tags", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    Column("endpoint", String(255), ForeignKey("endpoints.name"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("model", String(255), nullable=False),
    Column("alias", String(64)),  # follows the alias, or
    Column("version", Integer),  # stays on a version
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("endpoint", "name"),
)

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
    UniqueConstraint("digest"),
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

#: One row: any change of aliases, endpoints or deployments raises `number`, which servers watch.
routing_version = Table(
    "routing_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
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
