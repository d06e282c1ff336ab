"""What attempts of commands used of their machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from mlq.db.tables import attempt_usage
from mlq.db.upsert import conflict_insert


@dataclass(frozen=True, slots=True)
class Sample:
    """A stretch of an attempt, up to at_s seconds after the command began.

    cpu: in CPUs, 1.0 for one that was busy all the time. rss_bytes: of all processes together.
    gpu: share of the time that its GPUs were busy, 0 to 1; gpu_memory_bytes: in use on them, by
    whomever; None where it sees no GPU.
    """

    at_s: float
    cpu: float
    rss_bytes: int
    gpu: float | None = None
    gpu_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """cpu_s: of all processes. peak_rss_bytes: the highest that was seen. samples: in order."""

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    samples: Sequence[Sample]


def write(conn: Connection, job_id: str, attempt: int, usage: Usage) -> None:
    """Keep what an attempt has used so far, in place of what was kept of it."""
    row = {
        "wall_s": round(usage.wall_s, 3),
        "cpu_s": round(usage.cpu_s, 3),
        "peak_rss_bytes": usage.peak_rss_bytes,
        "samples": [
            [round(s.at_s, 2), round(s.cpu, 3), s.rss_bytes, s.gpu, s.gpu_memory_bytes]
            for s in usage.samples
        ],
    }
    statement = conflict_insert(conn, attempt_usage).values(job_id=job_id, attempt=attempt, **row)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["job_id", "attempt"],
            set_={name: statement.excluded[name] for name in row},
        )
    )


def find(conn: Connection, job_id: str, *, attempt: int | None) -> tuple[int, Usage] | None:
    """An attempt, the last that was measured by default, and what it used."""
    query = select(attempt_usage).where(attempt_usage.c.job_id == job_id)
    if attempt is not None:
        query = query.where(attempt_usage.c.attempt == attempt)
    row = conn.execute(query.order_by(attempt_usage.c.attempt.desc()).limit(1)).first()
    if row is None:
        return None
    samples = [Sample(*values) for values in row.samples]
    return row.attempt, Usage(row.wall_s, row.cpu_s, row.peak_rss_bytes, samples)
