"""Jobs by the values of their metrics

Revision ID: 0201
Revises: 0190
"""

from alembic import op

revision = "0201"
down_revision = "0190"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_latest_metrics_values", "latest_metrics", ["key", "value", "job_id"])


def downgrade() -> None:
    op.drop_index("ix_latest_metrics_values", table_name="latest_metrics")
