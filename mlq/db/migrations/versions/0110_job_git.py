"""The commit that a job's code was submitted from

Revision ID: 0110
Revises: 0140
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0110"
down_revision = "0140"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_git",
        sa.Column("root_id", types.Id(), nullable=False),
        sa.Column("commit_id", sa.String(length=64), nullable=False),
        sa.Column("branch", sa.String(length=255)),
        sa.Column("repository", sa.Text()),
        sa.Column("is_dirty", sa.Boolean(), nullable=False),
        sa.Column("diff", sa.String(length=64)),
        sa.PrimaryKeyConstraint("root_id", name=op.f("pk_job_git")),
    )


def downgrade() -> None:
    op.drop_table("job_git")
