"""What was told of a rollout's candidate by others

Revision ID: 0190
Revises: 0210
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0190"
down_revision = "0210"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("rollouts") as table:
        table.add_column(sa.Column("metrics", types.Json, nullable=False, server_default="{}"))


def downgrade() -> None:
    with op.batch_alter_table("rollouts") as table:
        table.drop_column("metrics")
