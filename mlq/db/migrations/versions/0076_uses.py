"""Which job trees use which versions of data and models

Revision ID: 0076
Revises: 0075
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from mlq.db import types

revision = "0076"
down_revision = "0075"
branch_labels = None
depends_on = None

_AT_ONCE = 1000


def upgrade() -> None:
    uses = op.create_table(
        "asset_uses",
        sa.Column("uri", sa.String(length=300), nullable=False),
        sa.Column("root_id", types.Id(), nullable=False),
        sa.PrimaryKeyConstraint("uri", "root_id", name=op.f("pk_asset_uses")),
    )
    op.create_index("ix_asset_uses_root", "asset_uses", ["root_id"])
    # numbers of versions are never given twice, also when the newest is deleted
    op.create_table(
        "data_numbers",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("last_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_data_numbers")),
    )
    _note_earlier(uses)


def downgrade() -> None:
    op.drop_table("data_numbers")
    op.drop_index("ix_asset_uses_root", table_name="asset_uses")
    op.drop_table("asset_uses")


def _note_earlier(uses: Any) -> None:
    """What trees that are there already were given."""
    jobs = sa.table(
        "jobs",
        sa.column("id", types.Id()),
        sa.column("root_id", types.Id()),
        sa.column("inputs", types.Json),
    )
    conn = op.get_bind()
    query = sa.select(jobs.c.id, jobs.c.root_id, jobs.c.inputs).order_by(jobs.c.id).limit(_AT_ONCE)
    noted: set[tuple[str, str]] = set()
    rows = conn.execute(query).all()
    while rows:
        found = {
            (given["asset"]["uri"], row.root_id)
            for row in rows
            for given in (row.inputs or {}).values()
            if isinstance(given, dict) and (given.get("asset") or {}).get("uri")
        }
        new = [
            {"uri": uri, "root_id": root_id}
            for uri, root_id in sorted(found - noted)
            if uri.startswith(("mlq:", "models:/"))
        ]
        if new:
            conn.execute(uses.insert(), new)
        noted |= found
        rows = conn.execute(query.where(jobs.c.id > rows[-1].id)).all()
