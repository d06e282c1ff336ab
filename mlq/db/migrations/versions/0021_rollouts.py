"""Staged rollouts, and what serving replicas measured

Revision ID: 0021
Revises: 0032
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0021"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("endpoint", sa.String(length=255), nullable=False),
        sa.Column("serving", sa.String(length=255), nullable=False),
        sa.Column("candidate", sa.String(length=255), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("previous", sa.Integer(), nullable=False),
        sa.Column("policy", types.Json, nullable=False),
        sa.Column("traffic", types.Json, nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("job_id", types.Id(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("stage_at", types.Timestamp(), nullable=False),
        sa.Column("ended_at", types.Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollouts")),
    )
    op.create_index(
        "uq_rollouts_open",
        "rollouts",
        ["endpoint"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
        sqlite_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_rollouts_endpoint", "rollouts", ["endpoint", "id"])
    op.create_table(
        "serving_counts",
        sa.Column("id", types.Serial, nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.Column("replica", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.String(length=255), nullable=False),
        sa.Column("deployment", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_copy", sa.Boolean(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("latency", types.Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_serving_counts")),
    )
    op.create_index("ix_serving_counts_endpoint", "serving_counts", ["endpoint", "at"])
    op.create_index("ix_serving_counts_at", "serving_counts", ["at"])


def downgrade() -> None:
    op.drop_table("serving_counts")
    op.drop_table("rollouts")
