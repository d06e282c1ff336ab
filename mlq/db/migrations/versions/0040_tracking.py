"""What MLflow's clients record

Revision ID: 0040
Revises: 0033
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0040"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    experiments = op.create_table(
        "experiments",
        sa.Column("id", types.Serial, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("tags", types.Json, nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments")),
        sa.UniqueConstraint("name", name=op.f("uq_experiments_name")),
    )
    op.create_table(
        "runs",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("owner_id", types.Id(), nullable=True),
        sa.Column("owner_attempt", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.Column("started_at", types.Timestamp(), nullable=False),
        sa.Column("ended_at", types.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index("ix_runs_experiment", "runs", ["experiment_id", "started_at"])
    op.create_table(
        "run_params",
        sa.Column("run_id", types.Id(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_run_params")),
    )
    op.create_table(
        "run_tags",
        sa.Column("run_id", types.Id(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_run_tags")),
    )
    op.create_table(
        "run_links",
        sa.Column("id", types.Serial, nullable=False),
        sa.Column("run_id", types.Id(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("content", types.Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_links")),
    )
    op.create_index("ix_run_links_run", "run_links", ["run_id"])
    op.create_table(
        "tracked_files",
        sa.Column("owner_id", types.Id(), nullable=False),
        sa.Column("path", sa.String(length=500), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "path", name=op.f("pk_tracked_files")),
    )
    op.create_index("ix_tracked_files_digest", "tracked_files", ["digest"])
    op.create_table(
        "logged_models",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("run_id", types.Id(), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("params", types.Json, nullable=False),
        sa.Column("tags", types.Json, nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logged_models")),
    )
    op.create_index("ix_logged_models_run", "logged_models", ["run_id"])
    op.create_table(
        "version_sources",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("run_id", types.Id(), nullable=True),
        sa.Column("model_id", types.Id(), nullable=True),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_version_sources")),
    )
    op.create_table(
        "model_tags",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", "key", name=op.f("pk_model_tags")),
    )
    # where runs go whose client names no experiment; MLflow's own number for it
    op.execute(
        experiments.insert().values(
            id=0,
            name="Default",
            tags={},
            is_deleted=False,
            created_at=types.now(),
            updated_at=types.now(),
        )
    )
