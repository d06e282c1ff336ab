"""Batch endpoints

Revision ID: 0032
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0032"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batch_endpoints",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", types.Json, nullable=False),
        sa.Column("default_deployment", sa.String(length=255), nullable=True),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_batch_endpoints")),
    )
    op.create_table(
        "batch_deployments",
        sa.Column("endpoint", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", types.Json, nullable=False),
        sa.Column("source", types.Json, nullable=False),
        sa.Column("job", types.Json, nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint"],
            ["batch_endpoints.name"],
            name=op.f("fk_batch_deployments_endpoint_batch_endpoints"),
        ),
        sa.PrimaryKeyConstraint("endpoint", "name", "version", name=op.f("pk_batch_deployments")),
    )
    op.create_table(
        "batch_invocations",
        sa.Column("job_id", types.Id(), nullable=False),
        sa.Column("endpoint", sa.String(length=255), nullable=False),
        sa.Column("deployment", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("invoked_by", sa.String(length=255), nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint", "deployment", "version"],
            ["batch_deployments.endpoint", "batch_deployments.name", "batch_deployments.version"],
            name="fk_batch_invocations_deployment",
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_batch_invocations")),
    )
    op.create_index("ix_batch_invocations_endpoint", "batch_invocations", ["endpoint", "job_id"])


def downgrade() -> None:
    for table in ("batch_invocations", "batch_deployments", "batch_endpoints"):
        op.drop_table(table)
