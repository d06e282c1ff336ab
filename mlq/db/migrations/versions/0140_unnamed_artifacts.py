"""Artifacts that nothing names, since when

Revision ID: 0140
Revises: 0120
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0140"
down_revision = "0120"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unnamed_artifacts",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("since", types.Timestamp(), nullable=False),
        sa.Column("used_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_unnamed_artifacts")),
    )


def downgrade() -> None:
    op.drop_table("unnamed_artifacts")
