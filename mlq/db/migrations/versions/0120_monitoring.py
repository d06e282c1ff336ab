"""Sampled predictions, the truth about them, and reports on drift

Revision ID: 0120
Revises: 0065
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0120"
down_revision = "0065"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "prediction_samples",
        sa.Column("id", types.Serial, nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.String(length=255), nullable=False),
        sa.Column("deployment", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_copy", sa.Boolean(), nullable=False),
        sa.Column("task", sa.String(length=16), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("columns", types.Json, nullable=False),
        sa.Column("predictions", types.Json, nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction_samples")),
    )
    op.create_index(
        "ix_prediction_samples_deployment",
        "prediction_samples",
        ["endpoint", "deployment", "version", "id"],
    )
    op.create_index(
        "ix_prediction_samples_request", "prediction_samples", ["endpoint", "request_id"]
    )
    op.create_table(
        "prediction_truths",
        sa.Column("endpoint", sa.String(length=255), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("truth", types.Json, nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "request_id", name=op.f("pk_prediction_truths")),
    )
    op.create_index("ix_prediction_truths_at", "prediction_truths", ["endpoint", "at"])
    op.create_table(
        "drift_reports",
        sa.Column("id", types.Serial, nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.Column("endpoint", sa.String(length=255), nullable=False),
        sa.Column("deployment", sa.String(length=255), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("result", types.Json, nullable=False),
        sa.Column("is_raised", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_reports")),
    )
    op.create_index(
        "ix_drift_reports_deployment", "drift_reports", ["endpoint", "deployment", "version", "id"]
    )
    op.create_index(
        "ix_drift_reports_raised",
        "drift_reports",
        ["endpoint", "id"],
        sqlite_where=sa.text("is_raised"),
        postgresql_where=sa.text("is_raised"),
    )


def downgrade() -> None:
    op.drop_table("drift_reports")
    op.drop_table("prediction_truths")
    op.drop_table("prediction_samples")
