"""What a running attempt reports: metrics and log lines, written only while it is current."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from mlq.db.tables import latest_metrics, log_chunks, metrics
from mlq.db.types import now, storable
from mlq.db.upsert import conflict_insert


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A reported value; step is a fold or an iteration, 0 for a final value."""

    key: str
    value: float
    step: int = 0


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
                }
            )
            before = latest.get((job_id, value.key))
            if before is None or value.step >= before.step:
                latest[job_id, value.key] = value
    if not rows:
        return
    conn.execute(insert(metrics).values(at=now()), rows)
    statement = conflict_insert(conn, latest_metrics).values(at=now())
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["job_id", "key"],
            set_={name: statement.excluded[name] for name in ("step", "value", "at")},
            where=statement.excluded.step >= latest_metrics.c.step,
        ),
        [
            {"job_id": job_id, "key": key, "step": value.step, "value": value.value}
            for (job_id, key), value in latest.items()
        ],
    )


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
