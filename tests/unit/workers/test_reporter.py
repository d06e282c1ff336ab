from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mlq.db.engine import Database
from mlq.db.registry import Artifact
from mlq.db.reports import LogChunk, MetricValue
from mlq.db.tables import latest_metrics, log_chunks, metrics
from mlq.db.transitions import Claim
from mlq.errors import StepError
from mlq.service import execution
from mlq.service import jobs as service
from mlq.service.capacity import Windows
from mlq.service.execution import SpecCache
from mlq.spec import compile_job, read_document
from mlq_workers.reporter import Reporter

JOB = "type: command\ncommand: echo hello\n"


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    opened = Database.open(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def claim(database: Database) -> Claim:
    windows = Windows(per_slot=1)
    plan = compile_job(read_document(JOB), computes=None)
    with database.write() as conn:
        job_id = service.submit(
            conn, plan, actor="ann", document=JOB, media_type="", windows=windows
        ).job_id
        attempt = execution.begin(conn, job_id, worker="w", lease_s=30, spec_cache=SpecCache())
    assert attempt is not None
    return attempt.claim


@pytest.fixture
def reporter(database: Database, claim: Claim) -> Reporter:
    return Reporter(database, claim, max_log_bytes=1000)


def rows(database: Database, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    with database.read() as conn:
        return [tuple(row) for row in conn.execute(select(*(table.c[name] for name in columns)))]


def test_what_a_short_step_says_goes_with_its_outcome(
    reporter: Reporter, database: Database
) -> None:
    reporter.metric("loss", 1)
    reporter.log("stdout", "a")
    reporter.log("stdout", "b")
    reporter.log("stderr", "c")
    artifact = Artifact("0" * 64, "blob", 3)

    said = reporter.rest([artifact])

    assert said.metrics == (MetricValue("loss", 1.0),)
    assert said.logs == (LogChunk("stdout", "ab"), LogChunk("stderr", "c"))
    assert said.artifacts == (artifact,)
    assert reporter.rest().logs == ()
    assert rows(database, log_chunks, "content") == []


def test_flush_writes_at_once(reporter: Reporter, database: Database) -> None:
    for step, value in ((0, 0.5), (2, 0.25), (1, 0.75)):
        reporter.metric("loss", value, step=step)
    reporter.log("stdout", "line\n")

    reporter.flush()

    assert rows(database, metrics, "step", "value") == [(0, 0.5), (2, 0.25), (1, 0.75)]
    assert rows(database, latest_metrics, "step", "value") == [(2, 0.25)]
    assert rows(database, log_chunks, "stream", "content") == [("stdout", "line\n")]
    assert reporter.rest().logs == ()


def test_much_text_does_not_wait(database: Database, claim: Claim) -> None:
    reporter = Reporter(database, claim, max_log_bytes=10**6)
    reporter.log("stdout", "x" * 300_000)
    assert [len(text) for (text,) in rows(database, log_chunks, "content")] == [300_000]


@pytest.mark.parametrize("parts", [["x" * 1001], ["x" * 1000, "y"], ["é" * 499, "é" * 9]])
def test_a_log_that_is_too_long_is_cut_with_a_mark(reporter: Reporter, parts: list[str]) -> None:
    for part in [*parts, "more", "and more"]:
        reporter.log("stdout", part)

    (chunk,) = reporter.rest().logs

    kept, mark, rest = chunk.content.partition(
        "\n[mlq: the log is longer than is kept; cut here]\n"
    )
    assert mark
    assert rest == ""
    assert 998 <= len(kept.encode()) <= 1000
    assert "".join(parts).startswith(kept)


def test_a_log_that_just_fits_has_no_mark(reporter: Reporter) -> None:
    reporter.log("stdout", "x" * 1000)
    assert reporter.rest().logs == (LogChunk("stdout", "x" * 1000),)


def test_a_metric_without_a_number_is_said_and_left_out(
    reporter: Reporter, database: Database
) -> None:
    reporter.metric("loss", float("nan"), step=3)
    reporter.metric("loss", float("inf"), step=4)
    reporter.flush()

    assert rows(database, metrics, "step") == [(4,)]
    ((stream, text),) = rows(database, log_chunks, "stream", "content")
    assert stream == "mlq"
    assert "'loss' is not a number at step 3" in text


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x00b"])
def test_a_metric_needs_a_name_that_can_be_stored(reporter: Reporter, key: str) -> None:
    with pytest.raises(StepError) as caught:
        reporter.metric(key, 1.0)
    assert caught.value.code == "bad_metric"


def test_odd_characters_are_stored(reporter: Reporter, database: Database) -> None:
    reporter.log("stdout", "a\x00b\udcffc")
    reporter.flush()
    assert rows(database, log_chunks, "content") == [("a\ufffdb\ufffdc",)]


def test_while_the_database_is_away_nothing_is_dropped(
    database: Database, claim: Claim, tmp_path: Path
) -> None:
    away = Database.open(f"sqlite:///{tmp_path / 'folder' / 'none.db'}")
    reporter = Reporter(away, claim, max_log_bytes=1000)
    reporter.log("stdout", "first")
    reporter.metric("loss", 1.0)
    reporter.flush()  # no such table there
    reporter.log("stdout", " second")

    said = reporter.rest()

    assert said.metrics == (MetricValue("loss", 1.0),)
    assert said.logs == (LogChunk("stdout", "first second"),)
    away.close()


def test_a_stale_attempt_writes_nothing(
    reporter: Reporter, database: Database, claim: Claim
) -> None:
    with database.write() as conn:
        execution.lose(
            conn, claim, error={}, max_lost=3, excused=False, windows=Windows(per_slot=1)
        )
    reporter.log("stdout", "from beyond")
    reporter.flush()
    assert rows(database, log_chunks, "content") == []
