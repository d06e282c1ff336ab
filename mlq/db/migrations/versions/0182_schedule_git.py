"""What the code of a schedule's jobs was sent from

Revision ID: 0182
Revises: 0200
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0182"
down_revision = "0200"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("schedules", sa.Column("git", types.Json))


def downgrade() -> None:
    with op.batch_alter_table("schedules") as table:
        table.drop_column("git")
