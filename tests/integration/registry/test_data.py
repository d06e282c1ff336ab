from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mlq.db import events
from mlq.db.engine import Database
from mlq.db.events import Cursor
from mlq.db.registry import DataVersion
from mlq.errors import MlqError, NotFoundError
from mlq.service import data

A, B = "a" * 64, "b" * 64


def create(database: Database, digest: str, **more: Any) -> tuple[DataVersion, bool]:
    arguments: dict[str, Any] = {
        "name": "churn",
        "type": "uri_file",
        "file_name": "churn.csv",
        "size_bytes": 3,
        "actor": "ann",
        **more,
    }
    with database.write() as conn:
        return data.create_version(conn, digest=digest, **arguments)


def test_identical_bytes_are_one_version_and_others_count_up(database: Database) -> None:
    first, is_new = create(database, A, description="raw")
    again, is_new_again = create(database, A, file_name="other.csv")
    second, _ = create(database, B)
    elsewhere, _ = create(database, A, name="other")
    assert (first.id, is_new) == ("mlq:churn:1", True)
    assert (first.file_name, first.created_by, first.kind) == ("churn.csv", "ann", "blob")
    assert (again, is_new_again) == (first, False)
    assert second.id == "mlq:churn:2"
    assert elsewhere.id == "mlq:other:1"
    with database.read() as conn:
        kinds = [(event.kind, event.subject) for event in events.read_after(conn, Cursor())]
        assert kinds == [
            ("data.create", one) for one in ("mlq:churn:1", "mlq:churn:2", "mlq:other:1")
        ]


def test_pages(database: Database) -> None:
    for digest in (A, B):
        create(database, digest)
    create(database, A, name="other")
    with database.read() as conn:
        assert [one.id for one in data.list_newest(conn)] == ["mlq:churn:2", "mlq:other:1"]
        assert [one.id for one in data.list_newest(conn, after="churn")] == ["mlq:other:1"]
        assert [one.version for one in data.list_versions(conn, "churn", limit=1)] == [2]
        assert [one.version for one in data.list_versions(conn, "churn", before=2)] == [1]
        assert data.list_versions(conn, "churn", before=1) == []
        with pytest.raises(NotFoundError):
            data.list_versions(conn, "nothing")


def test_what_is_not_there_names_the_nearest(database: Database) -> None:
    create(database, A)
    with database.read() as conn:
        with pytest.raises(NotFoundError) as unknown:
            data.find(conn, "chrun")
        assert "'churn'" in unknown.value.hint
        with pytest.raises(NotFoundError) as beyond:
            data.find(conn, "churn", version=9)
        assert "mlq:churn:1" in beyond.value.hint
        with pytest.raises(NotFoundError):
            data.find(conn, "churn", version="newest")


def test_what_makes_no_sense_is_refused(database: Database) -> None:
    for wrong in [
        {"name": "../etc"},
        {"name": ""},
        {"name": "x" * 256},
        {"type": "table"},
        {"file_name": "a/b"},
        {"file_name": "a\x00b"},
        {"description": "\x00"},
        {"size_bytes": 0},
    ]:
        with pytest.raises(MlqError) as refused:
            create(database, A, **wrong)
        assert refused.value.code == "invalid", wrong
    with database.read() as conn:
        assert data.list_newest(conn) == []


def test_a_race_for_the_same_and_other_bytes_makes_no_double_and_no_hole(
    database: Database,
) -> None:
    threads = 6
    digests = [f"{number:064x}" for number in range(4)]
    start = threading.Barrier(threads)

    def run(place: int) -> list[tuple[str, int, bool]]:
        start.wait()
        made = []
        for digest in digests[place % 2 :] + digests[: place % 2]:
            version, is_new = database.transact(
                data.create_version,
                name="churn",
                digest=digest,
                type="uri_file",
                file_name="churn.csv",
                size_bytes=3,
                actor=f"worker {place}",
            )
            made.append((digest, version.version, is_new))
        return made

    with ThreadPoolExecutor(threads) as pool:
        made = [one for found in pool.map(run, range(threads)) for one in found]
    assert sorted({version for _, version, _ in made}) == [1, 2, 3, 4]
    assert len({(digest, version) for digest, version, _ in made}) == len(digests)
    assert sum(is_new for *_, is_new in made) == len(digests)
