"""Staged rollouts, and what serving replicas measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from mlq.db.tables import rollouts, serving_counts
from mlq.db.types import now, now_plus
from mlq.ids import new_id
from mlq.spec.rollout import Measured


@dataclass(frozen=True, slots=True)
class Rollout:
    """A version on its way to an alias. Columns as in the table."""

    id: str
    endpoint: str
    serving: str
    candidate: str
    model: str
    alias: str
    version: int
    previous: int
    policy: Mapping[str, Any]
    traffic: Mapping[str, int]
    stage: int
    phase: str
    reason: str
    created_by: str
    job_id: str | None
    created_at: datetime
    stage_at: datetime
    ended_at: datetime | None
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Count:
    """What one replica answered for a deployment since it reported last."""

    endpoint: str
    deployment: str
    version: int
    is_copy: bool
    measured: Measured


def insert_rollout(conn: Connection, **columns: Any) -> str:
    """Open a rollout at its first stage; returns its id. The caller locks the endpoint."""
    made = new_id()
    conn.execute(
        insert(rollouts).values(
            id=made,
            stage=0,
            phase="running",
            reason="",
            metrics={},
            created_at=now(),
            stage_at=now(),
            **columns,
        )
    )
    return made


def find_open(conn: Connection, endpoint: str) -> Rollout | None:
    """The rollout that is under way on an endpoint."""
    query = select(rollouts).where(rollouts.c.endpoint == endpoint, rollouts.c.ended_at.is_(None))
    row = conn.execute(query).first()
    return None if row is None else _rollout(row)


def find_running(conn: Connection) -> list[str]:
    """Endpoints with a rollout that is not frozen."""
    query = select(rollouts.c.endpoint).where(
        rollouts.c.ended_at.is_(None), rollouts.c.phase == "running"
    )
    return list(conn.scalars(query.order_by(rollouts.c.endpoint)))


def page(
    conn: Connection, endpoint: str, *, limit: int, before: str | None = None
) -> list[Rollout]:
    """Rollouts of an endpoint, newest first, ids below `before` only."""
    query = select(rollouts).where(rollouts.c.endpoint == endpoint)
    if before is not None:
        query = query.where(rollouts.c.id < before)
    return [
        _rollout(row) for row in conn.execute(query.order_by(rollouts.c.id.desc()).limit(limit))
    ]


def enter_stage(conn: Connection, id: str, stage: int) -> None:
    """Begin a stage, or begin it again."""
    statement = update(rollouts).where(rollouts.c.id == id, rollouts.c.ended_at.is_(None))
    conn.execute(
        statement.values(stage=stage, phase="running", reason="", metrics={}, stage_at=now())
    )


def put_metrics(conn: Connection, id: str, metrics: Mapping[str, float]) -> None:
    """Keep what was told of the candidate in this stage."""
    statement = update(rollouts).where(rollouts.c.id == id, rollouts.c.ended_at.is_(None))
    conn.execute(statement.values(metrics=dict(metrics)))


def say(conn: Connection, id: str, *, reason: str) -> None:
    """Say why a rollout stays in its stage."""
    statement = update(rollouts).where(rollouts.c.id == id, rollouts.c.ended_at.is_(None))
    conn.execute(statement.where(rollouts.c.reason != reason).values(reason=reason))


def freeze(conn: Connection, id: str, *, reason: str) -> None:
    """Keep a rollout where it is."""
    statement = update(rollouts).where(rollouts.c.id == id, rollouts.c.ended_at.is_(None))
    conn.execute(statement.values(phase="frozen", reason=reason))


def end(conn: Connection, id: str, *, phase: str, reason: str) -> None:
    """Close a rollout as `succeeded` or `rolled_back`."""
    statement = update(rollouts).where(rollouts.c.id == id, rollouts.c.ended_at.is_(None))
    conn.execute(statement.values(phase=phase, reason=reason, ended_at=now()))


def age_of_stage_s(conn: Connection, rollout: Rollout) -> float:
    """Seconds since the stage began, by the database's clock."""
    moment: datetime = conn.execute(select(now())).scalar_one()
    return (moment - rollout.stage_at).total_seconds()


def add_counts(conn: Connection, counts: Sequence[Count], *, replica: str) -> None:
    """Store what a replica measured since it last did."""
    conn.execute(
        insert(serving_counts).values(at=now()),
        [
            {
                "replica": replica,
                "endpoint": one.endpoint,
                "deployment": one.deployment,
                "version": one.version,
                "is_copy": one.is_copy,
                "requests": one.measured.requests,
                "errors": one.measured.errors,
                "rows": one.measured.rows,
                "latency": {str(key): count for key, count in one.measured.latency.items()},
            }
            for one in counts
        ],
    )


def read_counts(
    conn: Connection, endpoint: str, *, since: datetime | None = None, seconds: float | None = None
) -> dict[tuple[str, int], Measured]:
    """What (deployment, version) answered since a moment, or in the last `seconds`."""
    query = select(serving_counts).where(serving_counts.c.endpoint == endpoint)
    if since is not None:
        query = query.where(serving_counts.c.at > since)
    if seconds is not None:
        query = query.where(serving_counts.c.at > now_plus(-float(seconds)))
    sums: dict[tuple[str, int], Counter[str]] = {}
    buckets: dict[tuple[str, int], Counter[int]] = {}
    for row in conn.execute(query):
        key = (row.deployment, row.version)
        sums.setdefault(key, Counter()).update(
            requests=row.requests, errors=row.errors, rows=row.rows
        )
        buckets.setdefault(key, Counter()).update(
            {int(bucket): count for bucket, count in row.latency.items()}
        )
    return {
        key: Measured(found["requests"], found["errors"], found["rows"], dict(buckets[key]))
        for key, found in sums.items()
    }


def forget_counts(conn: Connection, *, older_than_s: float) -> None:
    """Delete what was measured long ago."""
    conn.execute(delete(serving_counts).where(serving_counts.c.at < now_plus(-float(older_than_s))))


def _rollout(row: Row[Any]) -> Rollout:
    return Rollout(**row._mapping)
