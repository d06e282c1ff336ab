"""Sampled predictions, the truth about them, and reports on drift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from mlq.db.tables import drift_reports, prediction_samples, prediction_truths, schedules
from mlq.db.types import now, now_plus
from mlq.db.upsert import conflict_insert
from mlq.spec.schedule import ENDPOINT

#: Of a request's rows, so many are kept at most, at even distances.
KEPT_ROWS = 100
#: What is kept of an endpoint: no more bytes of samples, and nothing older.
KEPT_BYTES = 64 * 2**20
KEPT_S = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A request that was drawn, with what was answered.

    count: rows of the request. columns: name -> values of those that are kept, `places(count)` or
    the first of them. is_copy: the caller got another deployment's answer.
    """

    request_id: str
    endpoint: str
    deployment: str
    version: int
    is_copy: bool
    task: str
    count: int
    columns: Mapping[str, Sequence[Any]]
    predictions: Sequence[Any]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """How a version behind a deployment did. rows: that were looked at."""

    id: int
    at: datetime
    endpoint: str
    deployment: str
    model: str
    version: int
    rows: int
    result: Mapping[str, Any]
    is_raised: bool


def places(count: int) -> range:
    """Which of a request's rows are kept."""
    return range(0, count, -(-count // KEPT_ROWS))


def add_samples(conn: Connection, samples: Iterable[Sample]) -> None:
    """Store what was drawn."""
    names = Sample.__slots__
    rows = [{name: getattr(sample, name) for name in names} for sample in samples]
    conn.execute(insert(prediction_samples).values(at=now()), rows)


def read_samples(
    conn: Connection,
    endpoint: str,
    deployment: str,
    version: int,
    *,
    seconds: float,
    since: datetime | None,
    limit: int,
) -> list[Row[Any]]:
    """The newest samples of the last `seconds`: id, columns, predictions."""
    table = prediction_samples.c
    query = select(table.id, table.columns, table.predictions).where(
        table.endpoint == endpoint,
        table.deployment == deployment,
        table.version == version,
        table.at > now_plus(-float(seconds)),
    )
    if since is not None:
        query = query.where(table.at > since)
    return list(conn.execute(query.order_by(table.id.desc()).limit(limit)))


def page_samples(
    conn: Connection,
    endpoint: str,
    *,
    limit: int,
    deployment: str | None = None,
    request_id: str | None = None,
    before: int | None = None,
) -> list[Row[Any]]:
    """Samples with the truth about them where it is known, newest first, ids below `before` only.

    Columns as in `Sample`, and id, at, truth.
    """
    sample, told = prediction_samples.c, prediction_truths.c
    on = and_(
        told.endpoint == sample.endpoint,
        told.request_id == sample.request_id,
        told.count == sample.count,
    )
    query = (
        select(prediction_samples, told.truth)
        .outerjoin(prediction_truths, on)
        .where(sample.endpoint == endpoint)
    )
    if deployment is not None:
        query = query.where(sample.deployment == deployment)
    if request_id is not None:
        query = query.where(sample.request_id == request_id)
    if before is not None:
        query = query.where(sample.id < before)
    return list(conn.execute(query.order_by(sample.id.desc()).limit(limit)))


def put_truths(
    conn: Connection, endpoint: str, truths: Sequence[tuple[str, int, Sequence[Any]]]
) -> None:
    """Store (request id, rows, truth of those that are kept); a later word on one stands."""
    statement = conflict_insert(conn, prediction_truths)
    rows = [
        {"endpoint": endpoint, "request_id": request_id, "count": count, "truth": list(truth)}
        for request_id, count, truth in truths
    ]
    conn.execute(
        statement.values(at=now()).on_conflict_do_update(
            index_elements=["endpoint", "request_id"],
            set_={
                "at": statement.excluded.at,
                "count": statement.excluded.count,
                "truth": statement.excluded.truth,
            },
        ),
        rows,
    )


def newest_truth(conn: Connection, endpoint: str) -> datetime | None:
    """When somebody last told the truth about this endpoint's predictions."""
    query = select(func.max(prediction_truths.c.at)).where(prediction_truths.c.endpoint == endpoint)
    found: datetime | None = conn.execute(query).scalar()
    return found


def read_truths(
    conn: Connection, endpoint: str, deployment: str, version: int, *, limit: int
) -> list[Row[Any]]:
    """Predictions whose truth is known: task, predictions, truth; the newest samples first.

    Copies count as well: what they answered is as true or false as what the caller got.
    """
    sample, told = prediction_samples.c, prediction_truths.c
    on = and_(
        told.endpoint == sample.endpoint,
        told.request_id == sample.request_id,
        told.count == sample.count,
    )
    query = (
        select(sample.task, sample.predictions, told.truth)
        .join_from(prediction_samples, prediction_truths, on)
        .where(
            sample.endpoint == endpoint,
            sample.deployment == deployment,
            sample.version == version,
        )
    )
    return list(conn.execute(query.order_by(sample.id.desc()).limit(limit)))


def add_report(conn: Connection, **columns: Any) -> None:
    """Store a report; columns as in `Report`."""
    conn.execute(insert(drift_reports).values(at=now(), **columns))


def find_report(conn: Connection, endpoint: str, deployment: str, version: int) -> Report | None:
    """The last report on a version behind a deployment."""
    query = select(drift_reports).where(
        drift_reports.c.endpoint == endpoint,
        drift_reports.c.deployment == deployment,
        drift_reports.c.version == version,
    )
    row = conn.execute(query.order_by(drift_reports.c.id.desc()).limit(1)).first()
    return None if row is None else Report(**row._mapping)


def newest_raised(conn: Connection, endpoint: str) -> Report | None:
    """The last report with which something went over a limit."""
    query = select(drift_reports).where(
        drift_reports.c.endpoint == endpoint, drift_reports.c.is_raised
    )
    row = conn.execute(query.order_by(drift_reports.c.id.desc()).limit(1)).first()
    return None if row is None else Report(**row._mapping)


def trim(conn: Connection, endpoint: str) -> None:
    """Forget what is too old or too much; the last report on each deployment stays."""
    for table in (prediction_samples, prediction_truths):
        conn.execute(
            delete(table).where(table.c.endpoint == endpoint, table.c.at < now_plus(-KEPT_S))
        )
    last = (
        select(func.max(drift_reports.c.id))
        .where(drift_reports.c.endpoint == endpoint)
        .group_by(drift_reports.c.deployment)
    )
    conn.execute(
        delete(drift_reports).where(
            drift_reports.c.endpoint == endpoint,
            drift_reports.c.at < now_plus(-KEPT_S),
            drift_reports.c.id.not_in(last),
        )
    )
    sample = prediction_samples.c
    sizes = (
        select(
            sample.id, func.sum(sample.size_bytes).over(order_by=sample.id.desc()).label("total")
        )
        .where(sample.endpoint == endpoint)
        .subquery()
    )
    over = select(func.max(sizes.c.id)).where(sizes.c.total > KEPT_BYTES).scalar_subquery()
    conn.execute(delete(prediction_samples).where(sample.endpoint == endpoint, sample.id <= over))
    # truths are small; those of samples that are gone say nothing, but may wait a day for theirs
    of_sample = select(sample.id).where(
        sample.endpoint == prediction_truths.c.endpoint,
        sample.request_id == prediction_truths.c.request_id,
    )
    conn.execute(
        delete(prediction_truths).where(
            prediction_truths.c.endpoint == endpoint,
            prediction_truths.c.at < now_plus(-86400.0),
            ~of_sample.exists(),
        )
    )


def forget(conn: Connection, endpoint: str) -> None:
    """Delete all of an endpoint that is removed: another of its name is another.

    Numbers of reports may be given again then, so schedules on its drift forget what they saw.
    """
    watching = schedules.c.watched == f"{ENDPOINT}{endpoint}"
    conn.execute(update(schedules).where(watching).values(seen_version=0))
    for table in (prediction_samples, prediction_truths, drift_reports):
        conn.execute(delete(table).where(table.c.endpoint == endpoint))
