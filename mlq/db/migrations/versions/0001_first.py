"""The tables of the first version

Revision ID: 0001
Revises: none
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alias_history",
        sa.Column("id", types.Serial, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("previous", sa.Integer(), nullable=True),
        sa.Column("act", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("job_id", types.Id(), nullable=True),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alias_history")),
    )
    op.create_index(
        "ix_alias_history_alias", "alias_history", ["name", "alias", "id"], unique=False
    )
    op.create_table(
        "artifacts",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_artifacts")),
    )
    op.create_table(
        "data_versions",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("file_name", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", types.Json, nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_versions")),
        sa.UniqueConstraint("name", "digest", name=op.f("uq_data_versions_name_digest")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_data_versions_name_version")),
    )
    op.create_table(
        "endpoints",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("traffic", types.Json, nullable=False),
        sa.Column("tags", types.Json, nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_endpoints")),
    )
    op.create_table(
        "events",
        sa.Column("id", types.Serial, nullable=False),
        sa.Column("txid", sa.BigInteger(), nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("job_id", types.Id(), nullable=True),
        sa.Column("root_id", types.Id(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.String(length=16), nullable=True),
        sa.Column("subject", sa.String(length=300), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=True),
        sa.Column("detail", types.Json, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index("ix_events_order", "events", ["txid", "id"], unique=False)
    op.create_index(
        "ix_events_root",
        "events",
        ["root_id", "id"],
        unique=False,
        postgresql_where=sa.text("root_id IS NOT NULL"),
        sqlite_where=sa.text("root_id IS NOT NULL"),
    )
    op.create_index(
        "ix_events_subject",
        "events",
        ["subject", "id"],
        unique=False,
        postgresql_where=sa.text("subject IS NOT NULL"),
        sqlite_where=sa.text("subject IS NOT NULL"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("job_id", types.Id(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("store_digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "job_edges",
        sa.Column("upstream", types.Id(), nullable=False),
        sa.Column("downstream", types.Id(), nullable=False),
        sa.PrimaryKeyConstraint("upstream", "downstream", name=op.f("pk_job_edges")),
    )
    op.create_index("ix_job_edges_downstream", "job_edges", ["downstream"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("parent_id", types.Id(), nullable=True),
        sa.Column("root_id", types.Id(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("is_leaf", sa.Boolean(), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("shadow", sa.String(length=255), nullable=False),
        sa.Column("experiment", sa.String(length=255), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("component", sa.String(length=255), nullable=True),
        sa.Column("compute", sa.String(length=64), nullable=True),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("spec_digest", sa.String(length=64), nullable=False),
        sa.Column("params", types.Json, nullable=True),
        sa.Column("inputs", types.Json, nullable=True),
        sa.Column("outputs", types.Json, nullable=True),
        sa.Column("tags", types.Json, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=True),
        sa.Column("error", types.Json, nullable=True),
        sa.Column("waiting_on", sa.Integer(), nullable=False),
        sa.Column("downstreams", sa.Integer(), nullable=False),
        sa.Column("open_children", sa.Integer(), nullable=False),
        sa.Column("no_more_children", sa.Boolean(), nullable=False),
        sa.Column("chain_id", types.Id(), nullable=True),
        sa.Column("chain_position", sa.Integer(), nullable=True),
        sa.Column("timeout_s", sa.Float(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failure_count", sa.Integer(), nullable=False),
        sa.Column("lost_count", sa.Integer(), nullable=False),
        sa.Column("max_failures", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("not_before", types.Timestamp(), nullable=True),
        sa.Column("lease_expires_at", types.Timestamp(), nullable=True),
        sa.Column("worker", sa.String(length=255), nullable=True),
        sa.Column("turn", sa.Float(), nullable=True),
        sa.Column("dispatched_at", types.Timestamp(), nullable=True),
        sa.Column("cancel_requested_at", types.Timestamp(), nullable=True),
        sa.Column("paused_at", types.Timestamp(), nullable=True),
        sa.Column("cache_key", sa.String(length=64), nullable=True),
        sa.Column("runner_id", types.Id(), nullable=True),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("force_rerun", sa.Boolean(), nullable=False),
        sa.Column("submitted_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("queued_at", types.Timestamp(), nullable=True),
        sa.Column("started_at", types.Timestamp(), nullable=True),
        sa.Column("finished_at", types.Timestamp(), nullable=True),
        sa.Column("archived_at", types.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(
        "ix_jobs_cache",
        "jobs",
        ["cache_key"],
        unique=False,
        postgresql_where=sa.text("state = 'succeeded' AND cache_key IS NOT NULL"),
        sqlite_where=sa.text("state = 'succeeded' AND cache_key IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_chain",
        "jobs",
        ["chain_id", "chain_position"],
        unique=False,
        postgresql_where=sa.text("chain_id IS NOT NULL"),
        sqlite_where=sa.text("chain_id IS NOT NULL"),
    )
    op.create_index("ix_jobs_children", "jobs", ["parent_id", "ordinal"], unique=False)
    op.create_index(
        "ix_jobs_runners",
        "jobs",
        ["parent_id"],
        unique=False,
        postgresql_where=sa.text("role = 'runner'"),
        sqlite_where=sa.text("role = 'runner'"),
    )
    op.create_index(
        "ix_jobs_held_trials",
        "jobs",
        ["runner_id"],
        unique=False,
        postgresql_where=sa.text("runner_id IS NOT NULL AND state IN ('queued', 'running')"),
        sqlite_where=sa.text("runner_id IS NOT NULL AND state IN ('queued', 'running')"),
    )
    op.create_index(
        "ix_jobs_returned_trials",
        "jobs",
        ["parent_id", "ordinal"],
        unique=False,
        postgresql_where=sa.text("role = 'trial' AND state = 'queued' AND runner_id IS NULL"),
        sqlite_where=sa.text("role = 'trial' AND state = 'queued' AND runner_id IS NULL"),
    )
    op.create_index(
        "ix_jobs_leases",
        "jobs",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'running' AND lease_expires_at IS NOT NULL"),
        sqlite_where=sa.text("state = 'running' AND lease_expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_outstanding",
        "jobs",
        ["compute", "dispatched_at"],
        unique=False,
        postgresql_where=sa.text("state = 'queued' AND dispatched_at IS NOT NULL"),
        sqlite_where=sa.text("state = 'queued' AND dispatched_at IS NOT NULL"),
    )
    op.create_index("ix_jobs_root", "jobs", ["root_id"], unique=False)
    op.create_index(
        "ix_jobs_roots",
        "jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("parent_id IS NULL"),
        sqlite_where=sa.text("parent_id IS NULL"),
    )
    op.create_index(
        "ix_jobs_timeouts",
        "jobs",
        ["started_at"],
        unique=False,
        postgresql_where=sa.text("state = 'running' AND timeout_s IS NOT NULL"),
        sqlite_where=sa.text("state = 'running' AND timeout_s IS NOT NULL"),
    )
    op.create_table(
        "latest_metrics",
        sa.Column("job_id", types.Id(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "key", name=op.f("pk_latest_metrics")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "log_chunks",
        sa.Column("id", types.Serial, nullable=False),
        sa.Column("job_id", types.Id(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("stream", sa.String(length=8), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_chunks")),
    )
    op.create_index("ix_log_chunks_job", "log_chunks", ["job_id", "id"], unique=False)
    op.create_table(
        "metrics",
        sa.Column("id", types.Serial, nullable=False),
        sa.Column("job_id", types.Id(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metrics")),
    )
    op.create_index("ix_metrics_job", "metrics", ["job_id", "key", "step"], unique=False)
    op.create_table(
        "models",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("last_version", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_models")),
    )
    op.create_table(
        "routing_version",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routing_version")),
    )
    op.create_table(
        "specs",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", types.Json, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_specs")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("expires_at", types.Timestamp(), nullable=True),
        sa.Column("revoked_at", types.Timestamp(), nullable=True),
        sa.Column("used_at", types.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
    )
    op.create_table(
        "workers",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("computes", types.Json, nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("busy", sa.Integer(), nullable=False),
        sa.Column("cores", sa.Integer(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("gpus", types.Json, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("started_at", types.Timestamp(), nullable=False),
        sa.Column("seen_at", types.Timestamp(), nullable=False),
        sa.Column("idle_since", types.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_index("ix_workers_seen", "workers", ["seen_at"], unique=False)
    op.create_table(
        "deployments",
        sa.Column("endpoint", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=64), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint"], ["endpoints.name"], name=op.f("fk_deployments_endpoint_endpoints")
        ),
        sa.PrimaryKeyConstraint("endpoint", "name", name=op.f("pk_deployments")),
    )
    op.create_table(
        "model_aliases",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["name"], ["models.name"], name=op.f("fk_model_aliases_name_models")
        ),
        sa.PrimaryKeyConstraint("name", "alias", name=op.f("pk_model_aliases")),
    )
    op.create_table(
        "model_versions",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("job_id", types.Id(), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("metrics", types.Json, nullable=False),
        sa.Column("report", types.Json, nullable=False),
        sa.Column("tags", types.Json, nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["name"], ["models.name"], name=op.f("fk_model_versions_name_models")
        ),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_model_versions")),
    )
    op.create_index("ix_model_versions_digest", "model_versions", ["digest"], unique=False)
    op.create_index("ix_model_versions_job", "model_versions", ["job_id"], unique=False)

    # Autogeneration leaves out indexes with an expression.
    op.create_index(
        "ix_jobs_waiting",
        "jobs",
        ["compute", sa.text("priority DESC"), "turn", "queued_at"],
        postgresql_where=sa.text("state = 'queued' AND dispatched_at IS NULL"),
        sqlite_where=sa.text("state = 'queued' AND dispatched_at IS NULL"),
    )
    op.execute("INSERT INTO routing_version (id, number) VALUES (1, 1)")


def downgrade() -> None:
    op.drop_index("ix_model_versions_job", table_name="model_versions")
    op.drop_index("ix_model_versions_digest", table_name="model_versions")
    op.drop_table("model_versions")
    op.drop_table("model_aliases")
    op.drop_table("deployments")
    op.drop_index("ix_workers_seen", table_name="workers")
    op.drop_table("workers")
    op.drop_table("tokens")
    op.drop_table("specs")
    op.drop_table("routing_version")
    op.drop_table("models")
    op.drop_index("ix_metrics_job", table_name="metrics")
    op.drop_table("metrics")
    op.drop_index("ix_log_chunks_job", table_name="log_chunks")
    op.drop_table("log_chunks")
    op.drop_table("leases")
    op.drop_table("latest_metrics")
    op.drop_index(
        "ix_jobs_timeouts",
        table_name="jobs",
        postgresql_where=sa.text("state = 'running' AND timeout_s IS NOT NULL"),
        sqlite_where=sa.text("state = 'running' AND timeout_s IS NOT NULL"),
    )
    op.drop_index(
        "ix_jobs_roots",
        table_name="jobs",
        postgresql_where=sa.text("parent_id IS NULL"),
        sqlite_where=sa.text("parent_id IS NULL"),
    )
    op.drop_index("ix_jobs_root", table_name="jobs")
    op.drop_index(
        "ix_jobs_outstanding",
        table_name="jobs",
        postgresql_where=sa.text("state = 'queued' AND dispatched_at IS NOT NULL"),
        sqlite_where=sa.text("state = 'queued' AND dispatched_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_jobs_leases",
        table_name="jobs",
        postgresql_where=sa.text("state = 'running' AND lease_expires_at IS NOT NULL"),
        sqlite_where=sa.text("state = 'running' AND lease_expires_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_jobs_runners",
        table_name="jobs",
        postgresql_where=sa.text("role = 'runner'"),
        sqlite_where=sa.text("role = 'runner'"),
    )
    op.drop_index(
        "ix_jobs_returned_trials",
        table_name="jobs",
        postgresql_where=sa.text("role = 'trial' AND state = 'queued' AND runner_id IS NULL"),
        sqlite_where=sa.text("role = 'trial' AND state = 'queued' AND runner_id IS NULL"),
    )
    op.drop_index(
        "ix_jobs_held_trials",
        table_name="jobs",
        postgresql_where=sa.text("runner_id IS NOT NULL AND state IN ('queued', 'running')"),
        sqlite_where=sa.text("runner_id IS NOT NULL AND state IN ('queued', 'running')"),
    )
    op.drop_index("ix_jobs_children", table_name="jobs")
    op.drop_index(
        "ix_jobs_chain",
        table_name="jobs",
        postgresql_where=sa.text("chain_id IS NOT NULL"),
        sqlite_where=sa.text("chain_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_jobs_cache",
        table_name="jobs",
        postgresql_where=sa.text("state = 'succeeded' AND cache_key IS NOT NULL"),
        sqlite_where=sa.text("state = 'succeeded' AND cache_key IS NOT NULL"),
    )
    op.drop_table("jobs")
    op.drop_index("ix_job_edges_downstream", table_name="job_edges")
    op.drop_table("job_edges")
    op.drop_table("installation")
    op.drop_index("ix_idempotency_keys_created", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_index(
        "ix_events_subject",
        table_name="events",
        postgresql_where=sa.text("subject IS NOT NULL"),
        sqlite_where=sa.text("subject IS NOT NULL"),
    )
    op.drop_index(
        "ix_events_root",
        table_name="events",
        postgresql_where=sa.text("root_id IS NOT NULL"),
        sqlite_where=sa.text("root_id IS NOT NULL"),
    )
    op.drop_index("ix_events_order", table_name="events")
    op.drop_table("events")
    op.drop_table("endpoints")
    op.drop_table("data_versions")
    op.drop_table("artifacts")
    op.drop_index("ix_alias_history_alias", table_name="alias_history")
    op.drop_table("alias_history")
