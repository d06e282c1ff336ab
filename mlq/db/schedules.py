"""All statements over schedules: what is due, who fired it, what they have seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from mlq.db.projects import names_of
from mlq.db.tables import (
    data_versions,
    drift_reports,
    jobs,
    schedule_firings,
    schedules,
    watched_files,
)
from mlq.db.upsert import conflict_insert, insert_missing
from mlq.lifecycle import TERMINAL
from mlq.spec.schedule import ENDPOINT

_TERMINAL = sorted(TERMINAL)


def find(conn: Connection, name: str) -> RowMapping | None:
    """A schedule, or None."""
    return conn.execute(select(schedules).where(schedules.c.name == name)).mappings().one_or_none()


def names(conn: Connection) -> list[str]:
    """The names of all schedules."""
    return list(conn.scalars(select(schedules.c.name).order_by(schedules.c.name)))


def page(
    conn: Connection, *, limit: int, after: str | None = None, project: str | None = None
) -> Sequence[RowMapping]:
    """Schedules by name; `after` is the last name of a page."""
    query = select(schedules).where(names_of("schedule", project))
    query = query.order_by(schedules.c.name).limit(limit)
    if after is not None:
        query = query.where(schedules.c.name > after)
    return conn.execute(query).mappings().all()


def put(conn: Connection, values: Mapping[str, Any]) -> bool:
    """Store a schedule, or what is new of one; True when it was not there before."""
    changed = {
        key: value
        for key, value in values.items()
        if key not in {"name", "created_at", "created_by"}
    }
    done = conn.execute(
        update(schedules)
        .where(schedules.c.name == values["name"])
        .values({**changed, "revision": schedules.c.revision + 1})
    ).rowcount
    if done:
        return False
    insert_missing(conn, schedules, [{**values, "revision": 1}])
    return True


def set_enabled(
    conn: Connection, name: str, *, is_enabled: bool, next_at: datetime | None, at: datetime
) -> None:
    """Switch a schedule on or off; next_at: when a timed one is due next."""
    conn.execute(
        update(schedules)
        .where(schedules.c.name == name)
        .values(
            is_enabled=is_enabled,
            next_at=next_at,
            updated_at=at,
            revision=schedules.c.revision + 1,
        )
    )


def set_seen(conn: Connection, name: str, *, version: int | None) -> None:
    """Note the version of its data up to which a schedule does not fire."""
    conn.execute(update(schedules).where(schedules.c.name == name).values(seen_version=version))


def remove(conn: Connection, name: str) -> None:
    """Remove a schedule with its history; the jobs stay."""
    for table in (schedule_firings, watched_files):
        conn.execute(delete(table).where(table.c.schedule == name))
    conn.execute(delete(schedules).where(schedules.c.name == name))


# what is due ---------------------------------------------------------------------------------


def due(conn: Connection, *, now: datetime, limit: int) -> Sequence[RowMapping]:
    """Timed schedules that are due, the longest due first."""
    return (
        conn.execute(
            select(schedules)
            .where(
                schedules.c.next_at.is_not(None),
                schedules.c.next_at <= now,
                schedules.c.is_enabled,
            )
            .order_by(schedules.c.next_at, schedules.c.name)
            .limit(limit)
        )
        .mappings()
        .all()
    )


def advance(
    conn: Connection, name: str, *, revision: int, due_at: datetime, next_at: datetime | None
) -> bool:
    """Move a timed schedule on from `due_at`; False when somebody else was first."""
    return bool(
        conn.execute(
            update(schedules)
            .where(
                schedules.c.name == name,
                schedules.c.revision == revision,
                schedules.c.next_at == due_at,
                schedules.c.is_enabled,
            )
            .values(next_at=next_at)
        ).rowcount
    )


def with_new_data(conn: Connection, *, limit: int) -> Sequence[RowMapping]:
    """Schedules whose data has versions they have not seen; `oldest` and `newest` of those."""
    fresh = and_(
        data_versions.c.name == schedules.c.watched,
        data_versions.c.version > func.coalesce(schedules.c.seen_version, 0),
    )
    newest = select(func.max(data_versions.c.version)).where(fresh).scalar_subquery()
    oldest = select(func.min(data_versions.c.version)).where(fresh).scalar_subquery()
    return (
        conn.execute(
            select(schedules, oldest.label("oldest"), newest.label("newest"))
            .where(schedules.c.watched.is_not(None), schedules.c.is_enabled, newest.is_not(None))
            .order_by(schedules.c.name)
            .limit(limit)
        )
        .mappings()
        .all()
    )


def with_new_drift(conn: Connection, *, limit: int) -> Sequence[RowMapping]:
    """Schedules on endpoints with drift that they have not seen.

    With the newest report of it: report_id, report_deployment, report_model, report_version.
    """
    report = drift_reports.alias("report")
    newest = (
        select(func.max(drift_reports.c.id))
        .where(
            # without the word before it
            drift_reports.c.endpoint == func.substr(schedules.c.watched, len(ENDPOINT) + 1),
            drift_reports.c.is_raised,
        )
        .correlate(schedules)
        .scalar_subquery()
    )
    return (
        conn.execute(
            select(
                schedules,
                *(
                    report.c[name].label(f"report_{name}")
                    for name in ("id", "deployment", "model", "version")
                ),
            )
            .select_from(schedules)
            .join(report, report.c.id == newest)
            .where(
                schedules.c.watched.startswith(ENDPOINT),
                schedules.c.is_enabled,
                report.c.id > func.coalesce(schedules.c.seen_version, 0),
            )
            .order_by(schedules.c.name)
            .limit(limit)
        )
        .mappings()
        .all()
    )


def see_version(
    conn: Connection, name: str, *, revision: int, seen: int | None, version: int
) -> bool:
    """Move a schedule on to a version of its data, or a report; False if somebody was first."""
    before = (
        schedules.c.seen_version.is_(None) if seen is None else schedules.c.seen_version == seen
    )
    return bool(
        conn.execute(
            update(schedules)
            .where(
                schedules.c.name == name,
                schedules.c.revision == revision,
                before,
                schedules.c.is_enabled,
            )
            .values(seen_version=version)
        ).rowcount
    )


# firings --------------------------------------------------------------------------------------


def add_firing(conn: Connection, row: Mapping[str, Any]) -> bool:
    """Note a firing; False when one of that key is there."""
    statement = conflict_insert(conn, schedule_firings).values(dict(row)).on_conflict_do_nothing()
    return conn.execute(statement.returning(schedule_firings.c.key)).first() is not None


def settle_firing(
    conn: Connection,
    schedule: str,
    key: str,
    *,
    outcome: str,
    job_id: str | None,
    detail: Mapping[str, Any] | None,
) -> None:
    """Give a firing its outcome."""
    conn.execute(
        update(schedule_firings)
        .where(schedule_firings.c.schedule == schedule, schedule_firings.c.key == key)
        .values(outcome=outcome, job_id=job_id, is_open=job_id is not None, detail=detail)
    )


def stop_waiting(conn: Connection, schedule: str, key: str) -> bool:
    """Take a firing that waits; False when somebody else has."""
    return bool(
        conn.execute(
            update(schedule_firings)
            .where(
                schedule_firings.c.schedule == schedule,
                schedule_firings.c.key == key,
                schedule_firings.c.outcome == "waiting",
            )
            .values(outcome="submitted")
        ).rowcount
    )


def live_jobs(conn: Connection, schedule: str) -> list[str]:
    """Jobs that a schedule has started and that have not ended, the oldest first."""
    ended = select(jobs.c.id).where(
        jobs.c.id == schedule_firings.c.job_id, jobs.c.state.in_(_TERMINAL)
    )
    conn.execute(
        update(schedule_firings)
        .where(
            schedule_firings.c.schedule == schedule,
            schedule_firings.c.is_open,
            ended.exists(),
        )
        .values(is_open=False)
    )
    return list(
        conn.scalars(
            select(schedule_firings.c.job_id)
            .where(schedule_firings.c.schedule == schedule, schedule_firings.c.is_open)
            .order_by(schedule_firings.c.job_id)
        )
    )


def waiting(conn: Connection) -> Sequence[RowMapping]:
    """Of each schedule, the firing that has waited longest, with the schedule's columns."""
    first = (
        select(schedule_firings.c.schedule, func.min(schedule_firings.c.due_at).label("due_at"))
        .where(schedule_firings.c.outcome == "waiting")
        .group_by(schedule_firings.c.schedule)
        .subquery()
    )
    return (
        conn.execute(
            select(
                schedules,
                schedule_firings.c.key,
                schedule_firings.c.due_at,
                schedule_firings.c.context,
            )
            .select_from(first)
            .join(
                schedule_firings,
                and_(
                    schedule_firings.c.schedule == first.c.schedule,
                    schedule_firings.c.due_at == first.c.due_at,
                    schedule_firings.c.outcome == "waiting",
                ),
            )
            .join(schedules, schedules.c.name == first.c.schedule)
            .where(schedules.c.is_enabled)
        )
        .mappings()
        .all()
    )


def count_waiting(conn: Connection, schedule: str, *, most: int) -> int:
    """How many firings wait, counted up to `most`."""
    some = (
        select(schedule_firings.c.key)
        .where(schedule_firings.c.schedule == schedule, schedule_firings.c.outcome == "waiting")
        .limit(most)
        .subquery()
    )
    return conn.scalar(select(func.count()).select_from(some)) or 0


def drop_waiting(conn: Connection, schedule: str, *, detail: Mapping[str, Any]) -> None:
    """What waits is not wanted any more."""
    conn.execute(
        update(schedule_firings)
        .where(schedule_firings.c.schedule == schedule, schedule_firings.c.outcome == "waiting")
        .values(outcome="skipped", detail=detail)
    )


def page_firings(
    conn: Connection,
    schedule: str,
    *,
    limit: int,
    before: tuple[datetime, str] | None = None,
) -> Sequence[RowMapping]:
    """Firings, newest first; before: time and key of the last one of a page."""
    query = (
        select(schedule_firings)
        .where(schedule_firings.c.schedule == schedule)
        .order_by(schedule_firings.c.at.desc(), schedule_firings.c.key.desc())
        .limit(limit)
    )
    if before is not None:
        at, key = before
        query = query.where(
            or_(
                schedule_firings.c.at < at,
                and_(schedule_firings.c.at == at, schedule_firings.c.key < key),
            )
        )
    return conn.execute(query).mappings().all()


# watched stores -------------------------------------------------------------------------------


def watching(conn: Connection) -> Sequence[RowMapping]:
    """Enabled schedules that watch a store."""
    rows = conn.execute(
        select(schedules).where(schedules.c.watched.is_not(None), schedules.c.is_enabled)
    )
    return [row for row in rows.mappings() if row["trigger"]["type"] == "files"]


def seen_files(conn: Connection, schedule: str) -> dict[str, tuple[str, bool]]:
    """Path -> (fingerprint, whether it was taken) of the files that a schedule has seen."""
    rows = conn.execute(
        select(watched_files.c.path, watched_files.c.fingerprint, watched_files.c.is_taken).where(
            watched_files.c.schedule == schedule
        )
    )
    return {row.path: (row.fingerprint, row.is_taken) for row in rows}


def note_files(
    conn: Connection,
    schedule: str,
    found: Mapping[str, str],
    *,
    is_taken: bool,
    at: datetime,
) -> None:
    """Keep how files look. found: path -> fingerprint."""
    if not found:
        return
    rows = [
        {
            "schedule": schedule,
            "path": path,
            "fingerprint": fingerprint,
            "is_taken": is_taken,
            "at": at,
        }
        for path, fingerprint in found.items()
    ]
    forget_files(conn, schedule, found)
    conn.execute(insert(watched_files), rows)


def forget_files(conn: Connection, schedule: str, paths: Iterable[str]) -> None:
    """Forget files, such as those that are gone: should they come again, they are new."""
    gone = list(paths)
    for begin in range(0, len(gone), 500):
        conn.execute(
            delete(watched_files).where(
                watched_files.c.schedule == schedule,
                watched_files.c.path.in_(gone[begin : begin + 500]),
            )
        )
