"""What `mlq doctor` asks the database about itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, text

from mlq.db.types import now


def clock(conn: Connection) -> datetime:
    """The database's time."""
    return conn.execute(select(now())).scalar_one()


def database_bytes(conn: Connection) -> int:
    """How much the database takes on disk, in bytes."""
    if conn.dialect.name == "postgresql":
        query = "SELECT pg_database_size(current_database())"
    else:
        query = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    return int(conn.execute(text(query)).scalar_one())
