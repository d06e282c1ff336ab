"""A process that would work beside the others instead of with them is refused at its start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlq.artifacts import Store
from mlq.db import Database
from mlq.errors import SettingsError, UnavailableError
from mlq.service import installation
from mlq.settings import Settings


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url)
    yield opened
    opened.close()


def _join(
    database: Database, home: Path, *, host: str, database_url: str = "", broker_url: str = ""
) -> None:
    settings = Settings(
        home=home,
        database_url=database_url or "postgresql://db/mlq",
        broker_url=broker_url or "redis://broker.example/0",
    )
    database.transact(
        installation.join, settings=settings, store=Store.open(settings.artifact_root), host=host
    )


def test_those_who_share_everything_join(database: Database, tmp_path: Path) -> None:
    for host in ("first", "first", "second"):
        _join(database, tmp_path, host=host)


def test_a_store_of_its_own_is_refused(database: Database, tmp_path: Path) -> None:
    _join(database, tmp_path / "a", host="first")
    with pytest.raises(SettingsError, match="is not the one of this installation") as refused:
        _join(database, tmp_path / "b", host="second")
    assert "MLQ_ARTIFACT_URL" in refused.value.hint


@pytest.mark.parametrize(
    ("urls", "word"),
    [
        ({"database_url": "sqlite:////srv/mlq.db"}, "SQLite"),
        ({"broker_url": "redis://127.0.0.1:6379/0"}, "broker on this host"),
        ({"broker_url": "redis+socket:///run/valkey.sock"}, "broker on this host"),
    ],
)
def test_another_host_needs_servers_that_it_can_share(
    database: Database, tmp_path: Path, urls: dict[str, str], word: str
) -> None:
    _join(database, tmp_path, host="first", **urls)
    with pytest.raises(SettingsError, match=word):
        _join(database, tmp_path, host="second", **urls)


def test_a_database_without_tables_says_what_to_run(
    empty_database_url: str, tmp_path: Path
) -> None:
    empty = Database.open(empty_database_url)
    try:
        with pytest.raises(UnavailableError) as refused:
            _join(empty, tmp_path, host="first")
        assert "mlq db upgrade" in refused.value.hint
    finally:
        empty.close()
