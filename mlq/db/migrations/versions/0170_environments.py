"""Environments that were registered, by name and version

Revision ID: 0170
Revises: 0100
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0170"
down_revision = "0100"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "environments",
        sa.Column("id", types.Id(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("definition", types.Json, nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environments")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_environments_name_version")),
        sa.UniqueConstraint("name", "ordinal", name=op.f("uq_environments_name_ordinal")),
    )


def downgrade() -> None:
    op.drop_table("environments")
