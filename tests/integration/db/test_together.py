"""Rows and questions that cross to the database at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from mlq.db import specs
from mlq.db.engine import Database
from mlq.db.events import current_txid, event_row
from mlq.db.tables import events, job_edges
from mlq.db.together import Bulk, insert_together, run_together
from mlq.ids import new_id

AT = datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=UTC)
INSERT_EVENTS = Bulk(events, [*event_row(""), "at"], txid=current_txid())
INSERT_EDGES = Bulk(job_edges, ["upstream", "downstream"])


def write_and_read(database: Database, rows: list[dict[str, Any]]) -> list[Any]:
    with database.write() as conn:
        insert_together(conn, [(INSERT_EVENTS, rows), (INSERT_EDGES, [])])
    with database.read() as conn:
        return list(conn.execute(select(events).order_by(events.c.id)))


def test_values_come_back_as_they_went_in(database: Database) -> None:
    job_id = new_id()
    detail = {"a": [1, 2.5, None, True, "ü\n\"'%s:x"], "b": {"c": {}}, "big": 2**60}
    row = event_row("job.test", job_id=job_id, attempt=3, detail=detail, subject="%(rows)s")

    [stored] = write_and_read(database, [{**row, "at": AT}])

    assert (stored.job_id, stored.attempt, stored.at) == (job_id, 3, AT)
    assert (stored.detail, stored.subject, stored.actor) == (detail, "%(rows)s", None)


def test_what_a_row_lacks_is_null(database: Database) -> None:
    rows = [
        {"kind": "job.one", "at": AT, "detail": None},
        {"kind": "job.two", "at": AT, "detail": {}},
    ]
    with database.write() as conn:
        insert_together(conn, [(INSERT_EVENTS, rows)])
    with database.read() as conn:
        query = select(events.c.kind).where(events.c.detail.is_(None))
        assert conn.scalars(query).all() == ["job.one"]


def test_what_no_database_stores_is_replaced(database: Database) -> None:
    detail = {"nul": "a\x00b", "half": "\ud800", "nan": float("nan")}
    [stored] = write_and_read(database, [{"kind": "job.odd", "at": AT, "detail": detail}])
    assert stored.detail == {"nul": "a\ufffdb", "half": "\ufffd", "nan": None}


def test_rows_keep_their_order(database: Database) -> None:
    rows = [{"kind": f"job.{number}", "at": AT} for number in range(500)]
    assert [row.kind for row in write_and_read(database, rows)] == [row["kind"] for row in rows]


def test_a_refused_row_is_an_error_and_leaves_nothing(database: Database) -> None:
    edge = {"upstream": new_id(), "downstream": new_id()}
    with pytest.raises(IntegrityError), database.write() as conn:
        insert_together(
            conn,
            [(INSERT_EVENTS, [{"kind": "job.one", "at": AT}]), (INSERT_EDGES, [edge, edge])],
        )
    assert write_and_read(database, []) == []


def test_specs_that_are_there_are_known(database: Database) -> None:
    contents = {digest * 64: {"command": digest} for digest in "abc"}
    wanted = [*contents, "d" * 64, "e\"'{,}"]
    with database.write() as conn:
        specs.add(conn, contents, known=())
        specs.add(conn, {"c" * 64: {"command": "another"}}, known=())
        [known] = run_together(conn, [(specs.KNOWN, {"digests": wanted})])
        [none] = run_together(conn, [(specs.KNOWN, {"digests": []})])
        assert specs.load(conn, "c" * 64) == {"command": "c"}
    assert {row.digest for row in known} == set(contents)
    assert none == []
