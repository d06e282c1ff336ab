"""Where a version of a dataset came from

Revision ID: 0065
Revises: 0076
"""

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision = "0076"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("data_versions", sa.Column("source", sa.Text()))
