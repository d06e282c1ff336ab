"""Drains of workers that were asked for

Revision ID: 0200
Revises: 0181
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0200"
down_revision = "0181"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("workers") as table:
        table.add_column(sa.Column("drain_requested_at", types.Timestamp(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("workers") as table:
        table.drop_column("drain_requested_at")
