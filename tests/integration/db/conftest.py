"""An open database of each kind, emptied after each test, and a queue to play with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlq.db.engine import Database
from mlq.db.tables import metadata
from tests.integration.db.queue import Queue
from tests.servers import Postgres


@pytest.fixture(scope="module")
def shared_sqlite(
    _sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    file = tmp_path_factory.mktemp("shared") / "mlq.db"
    file.write_bytes(_sqlite_template.read_bytes())
    database = Database.open(f"sqlite:///{file}", pool_size=12)
    yield database
    database.close()


@pytest.fixture(scope="module")
def shared_postgresql(postgres: Postgres, _postgres_template: str) -> Iterator[Database]:
    url = postgres.create(template=_postgres_template)
    database = Database.open(url, pool_size=12)
    yield database
    database.close()
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated database with room for the threads of a race."""
    opened: Database = request.getfixturevalue(f"shared_{request.param}")
    yield opened
    empty(opened)


@pytest.fixture
def postgresql(shared_postgresql: Database) -> Iterator[Database]:
    """The same, for what SQLite's one writer at a time rules out."""
    yield shared_postgresql
    empty(shared_postgresql)


def empty(database: Database) -> None:
    with database.write() as conn:
        for table in reversed(metadata.sorted_tables):
            if table.name != "routing_version":  # its one row is made by the migration
                conn.execute(table.delete())


@pytest.fixture
def queue(database: Database) -> Iterator[Queue]:
    """The queue in that database; whatever a test did with it, its invariants must hold."""
    yield (opened := Queue(database))
    assert opened.violations() == []
