"""Experiments belong to projects

Revision ID: 0181
Revises: 0180
"""

import sqlalchemy as sa
from alembic import op

revision = "0181"
down_revision = "0180"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("experiments") as table:
        table.add_column(
            sa.Column("project", sa.String(length=64), nullable=False, server_default="default")
        )
        table.drop_constraint("uq_experiments_name", type_="unique")
        table.create_unique_constraint(op.f("uq_experiments_project_name"), ["project", "name"])
    with op.batch_alter_table("experiments") as table:
        table.alter_column("project", server_default=None)


def downgrade() -> None:
    op.execute("DELETE FROM experiments WHERE project <> 'default'")
    with op.batch_alter_table("experiments") as table:
        table.drop_constraint(op.f("uq_experiments_project_name"), type_="unique")
        table.create_unique_constraint("uq_experiments_name", ["name"])
        table.drop_column("project")
