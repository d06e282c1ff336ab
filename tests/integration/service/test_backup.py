"""Backup and restore, from each kind of database to each."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mlq.artifacts import Store
from mlq.db import events as history
from mlq.db.engine import Database
from mlq.db.migrate import upgrade
from mlq.db.tables import events, installation, metadata, webhooks
from mlq.db.types import now
from mlq.errors import ConflictError, MlqError, NotFoundError
from mlq.service import backup, data
from mlq.testing import invariants
from tests.integration.db.plans import Leaf, line
from tests.integration.db.queue import Queue


@pytest.fixture
def source(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def target(empty_database_url: str) -> Iterator[Database]:
    url = empty_database_url.replace("mlq.db", "new.db")  # both fixtures have one file in mind
    upgrade(url)
    opened = Database.open(url)
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "artifacts"))


def fill(database: Database, store: Store, tmp_path: Path) -> dict[str, bytes]:
    """Jobs that ended, run and wait, and data; what is stored, by digest."""
    queue = Queue(database)
    tree = queue.submit(line(3))
    attempt = tree.claim("s0")
    assert attempt is not None
    queue.succeed(attempt, text="one\ntwo \u2713")
    tree.claim("s1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").write_bytes(b"a,b\n1,2\n")
    stored = {store.put_stream([b"x,y\n"]).digest: b"x,y\n"}
    folder = store.put_tree(tmp_path / "folder")
    stored[folder.entries[0].digest] = b"a,b\n1,2\n"
    store.put_stream([b"nobody names it"])
    for digest, kind in ((next(iter(stored)), "uri_file"), (folder.digest, "uri_folder")):
        database.transact(
            data.create_version,
            name=kind,
            digest=digest,
            type=kind,
            file_name="x",
            size_bytes=4,
            actor="ann",
        )
    with database.write() as conn:
        last = conn.execute(select(events.c.txid, events.c.id).order_by(events.c.id)).all()[1]
        conn.execute(
            installation.insert().values(
                id=1, host="old", store_digest=next(iter(stored)), created_at=now()
            )
        )
        conn.execute(webhooks.insert().values(
            name="hook", form="json", target="http://x", kinds=["job"], secret="s",
            seen_txid=last.txid, seen_id=last.id, created_by="ann", created_at=now(),
        ))  # fmt: skip
    return stored


def rows(database: Database) -> dict[str, list[dict[str, Any]]]:
    with database.read() as conn:
        found = {
            table.name: [
                dict(row)
                for row in conn.execute(select(table).order_by(*table.primary_key)).mappings()
            ]
            for table in metadata.sorted_tables
        }
    for name, columns in (("events", ["txid"]), ("webhooks", ["seen_txid"])):
        for row in found[name]:
            for column in columns:
                del row[column]
    return found


def test_everything_that_rows_name_comes_back(
    source: Database, target: Database, store: Store, tmp_path: Path
) -> None:
    stored = fill(source, store, tmp_path)

    copied = backup.back_up(source, store, tmp_path / "backup")
    there = Store.open(str(tmp_path / "there"))
    restored = backup.restore(target, there, tmp_path / "backup", host="new")

    before, after = rows(source), rows(target)
    assert [row.pop("host") for row in after["installation"]] == ["new"]
    assert [row.pop("host") for row in before["installation"]] == ["old"]
    assert after == before
    assert restored == copied
    assert (copied.rows, copied.artifacts) == (sum(map(len, before.values())), 3)
    for digest, content in stored.items():
        assert there.read(digest).read() == content
    assert invariants.audit(target) == []
    assert (tmp_path / "backup" / backup.ROWS).stat().st_mode & 0o077 == 0

    # and life goes on: nobody who follows the history misses what is new
    with target.read() as conn:
        cursor = history.newest(conn)
    tree = Queue(target).submit(Leaf())
    with target.read() as conn:
        assert {event.job_id for event in history.read_after(conn, cursor)} == {tree.id}
    assert invariants.audit(target) == []


def test_a_further_backup_adds_what_is_new(source: Database, store: Store, tmp_path: Path) -> None:
    fill(source, store, tmp_path)
    backup.back_up(source, store, tmp_path / "backup")
    Queue(source).submit(Leaf())

    copied = backup.back_up(source, store, tmp_path / "backup")

    assert copied.artifacts == 0
    assert copied.rows == sum(map(len, rows(source).values()))


def test_what_does_not_fit_is_refused_and_nothing_is_kept(
    sqlite_url: str, store: Store, tmp_path: Path
) -> None:
    source = Database.open(sqlite_url)
    fill(source, store, tmp_path)
    folder = tmp_path / "backup"
    with pytest.raises(NotFoundError, match="no backup"):
        backup.restore(source, store, folder, host="new")
    backup.back_up(source, store, folder)
    with pytest.raises(ConflictError, match="in use"):
        backup.restore(source, store, folder, host="new")
    upgrade(f"sqlite:///{tmp_path / 'new.db'}")
    new = Database.open(f"sqlite:///{tmp_path / 'new.db'}")
    empty = rows(new)
    packed = (folder / backup.ROWS).read_bytes()
    lines = gzip.decompress(packed)

    for damaged, code in (
        (packed[:-40], "backup_damaged"),
        (gzip.compress(lines[: len(lines) // 2].rpartition(b"\n")[0] + b"\n"), "backup_damaged"),
        (gzip.compress(b'{"else": 1}\n'), "backup_damaged"),
        (
            gzip.compress(lines.replace(b'"revision":"', b'"revision":"9', 1)),
            "backup_of_other_version",
        ),
    ):
        (folder / backup.ROWS).write_bytes(damaged)
        with pytest.raises(MlqError) as raised:
            backup.restore(new, store, folder, host="new")
        assert raised.value.code == code
        assert rows(new) == empty
    new.close()
    source.close()
