"""Limits that a whole fleet keeps: by name, by project, and of a GPU's memory

Revision ID: 0075
Revises: 0040
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0075"
down_revision = "0040"
branch_labels = None
depends_on = None

_WAITING = "state = 'queued' AND dispatched_at IS NULL"
_ORDER: list[Any] = [sa.text("priority DESC"), "turn", "queued_at"]


def upgrade() -> None:
    op.create_table(
        "limits",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("set_by", sa.String(length=255), nullable=False),
        sa.Column("set_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_limits")),
    )
    op.create_table(
        "limit_holds",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("job_id", types.Id(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "job_id", name=op.f("pk_limit_holds")),
    )
    op.add_column("jobs", sa.Column("project", sa.String(length=64)))
    op.add_column("jobs", sa.Column("demands", types.Json))
    op.add_column("jobs", sa.Column("held", types.Json))
    op.add_column("jobs", sa.Column("blocked_by", sa.String(length=300)))
    op.execute(
        "UPDATE jobs SET project = (SELECT project FROM project_jobs"
        " WHERE project_jobs.root_id = jobs.root_id)"
        " WHERE root_id IN (SELECT root_id FROM project_jobs)"
    )
    op.drop_index("ix_jobs_waiting", table_name="jobs")
    _index("ix_jobs_waiting", ["compute", *_ORDER], f"{_WAITING} AND blocked_by IS NULL")
    _index(
        "ix_jobs_shares",
        ["compute", "project", *_ORDER],
        f"{_WAITING} AND blocked_by IS NULL AND project IS NOT NULL",
    )
    _index(
        "ix_jobs_blocked",
        ["blocked_by", *_ORDER],
        "state = 'queued' AND blocked_by IS NOT NULL",
    )


def downgrade() -> None:
    for name in ("ix_jobs_blocked", "ix_jobs_shares", "ix_jobs_waiting"):
        op.drop_index(name, table_name="jobs")
    _index("ix_jobs_waiting", ["compute", *_ORDER], _WAITING)
    for name in ("blocked_by", "held", "demands", "project"):
        op.drop_column("jobs", name)
    op.drop_table("limit_holds")
    op.drop_table("limits")


def _index(name: str, columns: list[Any], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "jobs", columns, postgresql_where=where, sqlite_where=where)
