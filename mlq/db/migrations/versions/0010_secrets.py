"""Secrets that the installation's processes share: the key that signs tokens of attempts

Revision ID: 0010
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0010"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
