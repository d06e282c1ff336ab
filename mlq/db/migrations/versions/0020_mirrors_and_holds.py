"""Mirrored traffic, what deployments say of themselves, and aliases that are held

Revision ID: 0020
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0020"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "endpoints",
        sa.Column("mirror_traffic", types.Json, nullable=False, server_default="{}"),
    )
    op.add_column(
        "deployments", sa.Column("description", sa.Text(), nullable=False, server_default="")
    )
    for name in ("tags", "settings"):
        op.add_column(
            "deployments", sa.Column(name, types.Json, nullable=False, server_default="{}")
        )
    op.create_table(
        "alias_holds",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("at", types.Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(["name"], ["models.name"], name=op.f("fk_alias_holds_name_models")),
        sa.PrimaryKeyConstraint("name", "alias", name=op.f("pk_alias_holds")),
    )


def downgrade() -> None:
    op.drop_table("alias_holds")
    for name in ("settings", "tags", "description"):
        op.drop_column("deployments", name)
    op.drop_column("endpoints", "mirror_traffic")
