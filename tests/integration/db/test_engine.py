"""Transactions: what is tried again, what is not, and what nobody can know."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from mlq.db import events
from mlq.db.engine import Database
from mlq.db.events import Cursor
from mlq.errors import SettingsError, UnavailableError
from tests.integration.db.queue import race
from tests.servers import EmbeddedPostgres, Postgres, ServerUnavailable


def count(database: Database) -> int:
    with database.read() as conn:
        return len(events.read_after(conn, Cursor()))


@pytest.mark.parametrize("url", ["mysql://u@h/db", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="MLQ_DATABASE_URL"):
        Database.open(url)


def test_an_exception_rolls_back(database: Database) -> None:
    def work(conn: Connection) -> None:
        events.record(conn, "test.event")
        raise KeyError("of the caller")

    with pytest.raises(KeyError):
        database.transact(work)
    assert count(database) == 0


def test_a_deadlock_is_tried_again(postgresql: Database) -> None:
    barrier = threading.Barrier(2)
    tries: list[str] = []

    def lock(conn: Connection, first: int, second: int) -> str:
        tries.append(f"{first}")
        conn.execute(text("SET LOCAL deadlock_timeout = '20ms'"))
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": first})
        if len(tries) <= 2:
            barrier.wait(timeout=10)
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": second})
        events.record(conn, "test.event")
        return "done"

    results = race(lambda: postgresql.transact(lock, 1, 2), lambda: postgresql.transact(lock, 2, 1))

    assert results == ["done", "done"]
    assert len(tries) == 3
    assert count(postgresql) == 2


def test_a_constraint_is_not_tried_again(database: Database) -> None:
    tries: list[int] = []

    def work(conn: Connection) -> None:
        tries.append(1)
        conn.execute(text("INSERT INTO specs (digest, content) VALUES ('a', '{}'), ('a', '{}')"))

    with pytest.raises(Exception, match=r"(?i)unique"):
        database.transact(work)
    assert tries == [1]


@pytest.mark.parametrize("moment", ["before", "commit"])
def test_a_broken_connection_is_tried_again_only_before_commit(
    postgresql: Database, moment: str
) -> None:
    tries: list[int] = []

    def work(conn: Connection) -> None:
        tries.append(1)
        events.record(conn, "test.event")
        if len(tries) > 1:
            return
        backend = conn.scalar(text("SELECT pg_backend_pid()"))
        with postgresql.read() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend})
        if moment == "before":
            conn.execute(text("SELECT 1"))

    if moment == "before":
        postgresql.transact(work)
        assert (len(tries), count(postgresql)) == (2, 1)
        return
    with pytest.raises(UnavailableError) as caught:
        postgresql.transact(work)
    assert caught.value.code == "commit_unknown"
    assert (len(tries), count(postgresql)) == (1, 0)


def test_a_held_lock_is_waited_for_a_while(postgresql: Database, postgres: Postgres) -> None:
    impatient = Database.open(
        postgresql.engine.url.render_as_string(hide_password=False), timeout_s=0.02
    )
    with postgresql.write() as conn:
        conn.execute(text("SELECT pg_advisory_xact_lock(7)"))
        with pytest.raises(UnavailableError) as caught:
            impatient.transact(lambda other: other.execute(text("SELECT pg_advisory_xact_lock(7)")))
    impatient.close()
    assert caught.value.code == "database_unavailable"


def test_reading_does_not_wait_for_a_writer(database: Database) -> None:
    with database.write() as conn:
        events.record(conn, "test.event")
        assert count(database) == 0


def test_an_exhausted_pool_is_said(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Database.open(database.engine.url.render_as_string(hide_password=False), pool_size=1)
    monkeypatch.setattr(small.engine.pool, "_timeout", 0.05)
    with small.read(), pytest.raises(UnavailableError) as caught, small.read():
        pass
    small.close()
    assert caught.value.code == "database_busy"


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that may be stopped."""
    try:
        server = EmbeddedPostgres()
    except ServerUnavailable as reason:
        pytest.skip(str(reason))
    yield server
    server.close()


def test_a_restarted_server_is_used_again(own_server: EmbeddedPostgres) -> None:
    database = Database.open(own_server.url, pool_size=3)

    def ask(conn: Connection) -> object:
        return conn.scalar(text("SELECT 1"))

    race(*[lambda: database.transact(ask)] * 3)  # fills the pool
    own_server.stop()
    with pytest.raises(UnavailableError) as caught:
        database.transact(ask)
    assert caught.value.code == "database_unavailable"
    own_server.start()

    assert [database.transact(ask) for _ in range(3)] == [1, 1, 1]
    database.close()
