"""An open database of each kind, and a model with a few versions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlq.db.engine import Database
from mlq.service import models


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database with room for a few threads."""
    opened = Database.open(database_url, pool_size=8)
    yield opened
    opened.close()


@pytest.fixture
def churn(database: Database) -> str:
    """A model with versions 1, 2 and 3, no alias."""
    with database.write() as conn:
        for number in (1, 2, 3):
            models.register(conn, name="churn", digest=f"{number:064x}", size_bytes=7, actor="ann")
    return "churn"
