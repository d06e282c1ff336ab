"""Schedules and their firings

Revision ID: 0030
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0030"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", types.Json, nullable=False),
        sa.Column("trigger", types.Json, nullable=False),
        sa.Column("job", types.Json, nullable=False),
        sa.Column("catch_up", sa.String(length=8), nullable=False),
        sa.Column("overlap", sa.String(length=16), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("next_at", types.Timestamp(), nullable=True),
        sa.Column("watched", sa.String(length=255), nullable=True),
        sa.Column("seen_version", sa.Integer(), nullable=True),
        sa.Column("secret", sa.String(length=128), nullable=True),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
    )
    for column in ("next_at", "watched"):
        condition = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_schedules_{column.removesuffix('_at')}",
            "schedules",
            [column],
            postgresql_where=condition,
            sqlite_where=condition,
        )
    op.create_table(
        "schedule_firings",
        sa.Column("schedule", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("due_at", types.Timestamp(), nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("job_id", types.Id(), nullable=True),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("context", types.Json, nullable=False),
        sa.Column("detail", types.Json, nullable=True),
        sa.ForeignKeyConstraint(
            ["schedule"],
            ["schedules.name"],
            name=op.f("fk_schedule_firings_schedule_schedules"),
        ),
        sa.PrimaryKeyConstraint("schedule", "key", name=op.f("pk_schedule_firings")),
    )
    op.create_index("ix_schedule_firings_at", "schedule_firings", ["schedule", "at", "key"])
    op.create_index(
        "ix_schedule_firings_waiting",
        "schedule_firings",
        ["schedule", "due_at"],
        postgresql_where=sa.text("outcome = 'waiting'"),
        sqlite_where=sa.text("outcome = 'waiting'"),
    )
    op.create_index(
        "ix_schedule_firings_open",
        "schedule_firings",
        ["schedule", "job_id"],
        postgresql_where=sa.text("is_open"),
        sqlite_where=sa.text("is_open"),
    )
    op.create_index(
        "ix_schedule_firings_job",
        "schedule_firings",
        ["job_id"],
        postgresql_where=sa.text("job_id IS NOT NULL"),
        sqlite_where=sa.text("job_id IS NOT NULL"),
    )
    op.create_table(
        "watched_files",
        sa.Column("schedule", sa.String(length=255), nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("fingerprint", sa.String(length=255), nullable=False),
        sa.Column("is_taken", sa.Boolean(), nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["schedule"], ["schedules.name"], name=op.f("fk_watched_files_schedule_schedules")
        ),
        sa.PrimaryKeyConstraint("schedule", "path", name=op.f("pk_watched_files")),
    )


def downgrade() -> None:
    for table in ("watched_files", "schedule_firings", "schedules"):
        op.drop_table(table)
