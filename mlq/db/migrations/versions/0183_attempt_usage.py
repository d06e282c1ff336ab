"""What attempts used of their machines

Revision ID: 0183
Revises: 0182
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0183"
down_revision = "0182"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attempt_usage",
        sa.Column("job_id", types.Id(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("wall_s", sa.Float(), nullable=False),
        sa.Column("cpu_s", sa.Float(), nullable=False),
        sa.Column("peak_rss_bytes", sa.BigInteger(), nullable=False),
        sa.Column("samples", types.Json, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "attempt", name=op.f("pk_attempt_usage")),
    )


def downgrade() -> None:
    op.drop_table("attempt_usage")
