"""Projects, whose tokens reach nothing of another; when a token was last used

Revision ID: 0011
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0011"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_projects")),
    )
    op.create_table(
        "project_jobs",
        sa.Column("root_id", types.Id(), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["project"], ["projects.name"], name=op.f("fk_project_jobs_project_projects")
        ),
        sa.PrimaryKeyConstraint("root_id", name=op.f("pk_project_jobs")),
    )
    op.create_index("ix_project_jobs_project", "project_jobs", ["project", "root_id"])
    op.create_table(
        "project_names",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["project"], ["projects.name"], name=op.f("fk_project_names_project_projects")
        ),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_project_names")),
    )
    op.create_index("ix_project_names_project", "project_names", ["project", "kind"])
    op.create_table(
        "project_blobs",
        sa.Column("project", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["project"], ["projects.name"], name=op.f("fk_project_blobs_project_projects")
        ),
        sa.PrimaryKeyConstraint("project", "digest", name=op.f("pk_project_blobs")),
    )
    op.add_column("tokens", sa.Column("project", sa.String(length=64)))
    op.add_column("tokens", sa.Column("last_used_at", types.Timestamp()))
