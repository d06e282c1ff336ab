"""What a running attempt reports: metrics and log lines, written only while it is current."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from mlq.db.tables import latest_metrics, log_chunks, metrics
from mlq.db.types import now, storable
from mlq.db.upsert import conflict_insert


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A reported value; step is a fold or an iteration, 0 for a final value.

    at: when it was measured, for who says so; None is the moment it is written.
    """

    key: str
    value: float
    step: int = 0
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Log text of one stream: stdout, stderr, or mlq for what the platform says."""

    stream: str
    content: str


def write_metrics(
    conn: Connection, job_id: str, attempt: int, values: Sequence[MetricValue]
) -> None:
    """Append values, and keep the one with the highest step per key as the latest."""
    write_metrics_of_many(conn, [(job_id, attempt, values)])


def write_metrics_of_many(
    conn: Connection, reported: Iterable[tuple[str, int, Sequence[MetricValue]]]
) -> None:
    """`write_metrics` for several (job, attempt) at once."""
    rows: list[dict[str, Any]] = []
    latest: dict[tuple[str, str], MetricValue] = {}
    for job_id, attempt, values in reported:
        for value in values:
            rows.append(
                {
                    "job_id": job_id,
                    "attempt": attempt,
                    "key": value.key,
                    "step": value.step,
                    "value": value.value,
                    **_said_at(value),
                }
            )
            before = latest.get((job_id, value.key))
            if before is None or value.step >= before.step:
                latest[job_id, value.key] = value
    newest = [
        {
            "job_id": job_id,
            "key": key,
            "step": value.step,
            "value": value.value,
            **_said_at(value),
        }
        for (job_id, key), value in latest.items()
    ]
    for said, table, lines in (
        (False, metrics, rows),
        (True, metrics, rows),
        (False, latest_metrics, newest),
        (True, latest_metrics, newest),
    ):
        found = [line for line in lines if ("at" in line) == said]
        if not found:
            continue
        statement = conflict_insert(conn, table)
        if not said:
            statement = statement.values(at=now())
        if table is latest_metrics:
            statement = statement.on_conflict_do_update(
                index_elements=["job_id", "key"],
                set_={name: statement.excluded[name] for name in ("step", "value", "at")},
                where=statement.excluded.step >= latest_metrics.c.step,
            )
        conn.execute(statement, found)


def _said_at(value: MetricValue) -> dict[str, datetime]:
    return {} if value.at is None else {"at": value.at}


def read_metrics(
    conn: Connection, job_id: str, attempt: int, *, after: int
) -> tuple[list[MetricValue], int]:
    """What an attempt has said of its metrics since the row `after`, and the last row of it."""
    query = (
        select(metrics)
        .where(metrics.c.job_id == job_id, metrics.c.attempt == attempt, metrics.c.id > after)
        .order_by(metrics.c.id)
    )
    rows = conn.execute(query).all()
    values = [MetricValue(row.key, row.value, row.step, row.at) for row in rows]
    return values, rows[-1].id if rows else after


def write_logs(conn: Connection, job_id: str, attempt: int, chunks: Iterable[LogChunk]) -> None:
    """Append log text in order."""
    rows: list[dict[str, Any]] = [
        {
            "job_id": job_id,
            "attempt": attempt,
            "stream": chunk.stream,
            "content": storable(chunk.content),
        }
        for chunk in chunks
    ]
    if rows:
        conn.execute(insert(log_chunks).values(at=now()), rows)


def copy_metrics(conn: Connection, *, source: str, target: str, attempt: int) -> None:
    """Give a job that reuses outputs the latest metrics of the job it has them from."""
    rows = conn.execute(select(latest_metrics).where(latest_metrics.c.job_id == source)).all()
    write_metrics(
        conn, target, attempt, [MetricValue(row.key, row.value, row.step) for row in rows]
    )
