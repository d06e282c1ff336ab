"""Jobs that wait for a person

Revision ID: 0031
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_RUNNING = "state = 'running' AND timeout_s IS NOT NULL"
_RUNNING_OR_WAITING = "state IN ('running', 'waiting') AND timeout_s IS NOT NULL"


def upgrade() -> None:
    _index_timeouts(_RUNNING_OR_WAITING)
    waiting = sa.text("state = 'waiting'")
    op.create_index(
        "ix_jobs_approvals", "jobs", ["id"], postgresql_where=waiting, sqlite_where=waiting
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_approvals", table_name="jobs")
    _index_timeouts(_RUNNING)


def _index_timeouts(condition: str) -> None:
    op.drop_index("ix_jobs_timeouts", table_name="jobs")
    clause = sa.text(condition)
    op.create_index(
        "ix_jobs_timeouts", "jobs", ["started_at"], postgresql_where=clause, sqlite_where=clause
    )
