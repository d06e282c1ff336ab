"""The tree of jobs, and what each is made from."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

from mlq.db.tables.base import metadata, where
from mlq.db.types import Id, Json, Timestamp

#: What is the same from run to run, stored once; digest: sha256 of canonical JSON.
specs = Table(
    "specs",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("content", Json, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("parent_id", Id),
    Column("root_id", Id, nullable=False),
    Column("type", String(16), nullable=False),
    Column("is_leaf", Boolean, nullable=False),
    # what a child is for that is no step: see mlq.lifecycle.Role
    Column("role", String(8)),
    Column("name", String(255), nullable=False),
    Column("path", Text, nullable=False),  # names from below the root: "outer.inner"
    Column("display_name", String(255), nullable=False),
    Column("shadow", String(255), nullable=False),  # the name Celery and Flower show: churn.train
    Column("experiment", String(255), nullable=False),
    Column("ordinal", Integer, nullable=False),  # place among siblings, upstreams first
    Column("component", String(255)),
    Column("compute", String(64)),
    Column("project", String(64)),  # None: `default`; a tree's is in project_jobs too
    # what a leaf asks for beside a slot: {"limits": [name], "gpu_memory_bytes": n}
    Column("demands", Json),
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
    # limits: what the running attempt holds, [[kind, name]]; which of them a queued leaf waits for
    Column("held", Json),
    Column("blocked_by", String(300)),
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
    Index("ix_jobs_roots", "id", **where("parent_id IS NULL")),
    Index("ix_jobs_root", "root_id"),
    Index(
        "ix_jobs_waiting",
        "compute",
        text("priority DESC"),
        "turn",
        "queued_at",
        **where("state = 'queued' AND dispatched_at IS NULL AND blocked_by IS NULL"),
    ),
    Index(
        "ix_jobs_shares",
        "compute",
        "project",
        text("priority DESC"),
        "turn",
        "queued_at",
        **where(
            "state = 'queued' AND dispatched_at IS NULL AND blocked_by IS NULL"
            " AND project IS NOT NULL"
        ),
    ),
    Index(
        "ix_jobs_blocked",
        "blocked_by",
        text("priority DESC"),
        "turn",
        "queued_at",
        **where("state = 'queued' AND blocked_by IS NOT NULL"),
    ),
    Index(
        "ix_jobs_outstanding",
        "compute",
        "dispatched_at",
        **where("state = 'queued' AND dispatched_at IS NOT NULL"),
    ),
    Index(
        "ix_jobs_leases",
        "lease_expires_at",
        **where("state = 'running' AND lease_expires_at IS NOT NULL"),
    ),
    Index(
        "ix_jobs_timeouts",
        "started_at",
        **where("state IN ('running', 'waiting') AND timeout_s IS NOT NULL"),
    ),
    Index("ix_jobs_approvals", "id", **where("state = 'waiting'")),
    Index(
        "ix_jobs_cache",
        "cache_key",
        **where("state = 'succeeded' AND cache_key IS NOT NULL"),
    ),
    Index("ix_jobs_chain", "chain_id", "chain_position", **where("chain_id IS NOT NULL")),
    Index("ix_jobs_runners", "parent_id", **where("role = 'runner'")),
    Index(
        "ix_jobs_held_trials",
        "runner_id",
        **where("runner_id IS NOT NULL AND state IN ('queued', 'running')"),
    ),
    Index(
        "ix_jobs_returned_trials",
        "parent_id",
        "ordinal",
        **where("role = 'trial' AND state = 'queued' AND runner_id IS NULL"),
    ),
)

#: Of job trees whose code lies in a git repository: what it was submitted from.
job_git = Table(
    "job_git",
    metadata,
    Column("root_id", Id, primary_key=True),
    Column("commit_id", String(64), nullable=False),
    Column("branch", String(255)),  # None: no branch was checked out
    Column("repository", Text),
    Column("is_dirty", Boolean, nullable=False),
    Column("diff", String(64)),  # a blob; None where nothing differs
)

job_edges = Table(
    "job_edges",
    metadata,
    Column("upstream", Id, nullable=False),
    Column("downstream", Id, nullable=False),
    PrimaryKeyConstraint("upstream", "downstream"),
    Index("ix_job_edges_downstream", "downstream"),
)
