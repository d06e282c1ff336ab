"""Schedules on an open transaction: store them, and fire each due time once.

A firing is a row whose key is what it is due for: a time, a version of data, a delivery of a
webhook. It is written in the transaction that submits the job and moves the schedule on, so that
any number of reconcilers, however they are killed, fire each once. The job is compiled before the
transaction (`draft`), which may take milliseconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import monitoring, registry, routing
from mlq.db import schedules as rows
from mlq.db.events import record
from mlq.db.job_git import GitRecord
from mlq.db.projects import owner_of_name
from mlq.db.window import Delivery
from mlq.errors import ConflictError, MlqError, NotFoundError, SpecError, nearest
from mlq.ids import new_id
from mlq.service import assets, components, environments, jobs, projects
from mlq.service.blueprint import Blueprint, draw
from mlq.service.capacity import Windows
from mlq.spec import compile_job, read_document
from mlq.spec.due import Timer
from mlq.spec.schedule import (
    ENDPOINT,
    TRIGGERS,
    CronTrigger,
    RecurrenceTrigger,
    Schedule,
    fill_context,
)

#: With catch_up `none`, a time is missed when it is noticed later than this.
PUNCTUAL_S = 60.0
#: Firings that may wait for the one before.
MAX_WAITING = 100
_TIMED = {"cron", "recurrence"}
# What a webhook brings ends up in commands: nothing there may mean anything to a shell.
_HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@:+-]{0,499}")


@dataclass(frozen=True, slots=True)
class Due:
    """Something to fire.

    key: see `mlq.db.tables.schedules`. missed_since: the first of the times that this one stands
    for. is_missed: it is only noted. next_at: when the schedule is due after this.
    """

    schedule: RowMapping
    key: str
    due_at: datetime
    context: Mapping[str, str]
    next_at: datetime | None = None
    version: int | None = None
    missed_since: datetime | None = None
    is_missed: bool = False


@dataclass(frozen=True, slots=True)
class Fired:
    """What came of a firing. outcome: submitted, waiting, skipped, missed or failed."""

    outcome: str
    job_id: str | None = None
    deliveries: list[Delivery] = field(default_factory=list)


Draft = Blueprint | MlqError


def put(
    conn: Connection,
    schedule: Schedule,
    *,
    actor: str,
    secret: str | None,
    now: datetime,
    project: str | None = None,
    git: GitRecord | None = None,
) -> tuple[RowMapping, bool]:
    """Store a schedule, enabled, in place of one of its name; whether it was not there before.

    secret: for a webhook that has none yet. A timed schedule is due from `now` on; one that waits
    for data fires for versions yet to come. git: what the code of its jobs is sent from; its `diff`
    has been uploaded. Raises SpecError where its times make no sense.
    """
    if git is not None and git.diff is not None:
        assets.resolve(conn, [f"artifact:sha256:{git.diff}"], project=project)
    projects.own_name(conn, "schedule", schedule.name, project)
    _require_watched(conn, schedule.watched, project)
    before = rows.find(conn, schedule.name)
    created_at = now if before is None else before["created_at"]
    trigger = schedule.trigger.model_dump(mode="json", exclude_none=True)
    is_hook = trigger["type"] == "webhook"
    kept = before["secret"] if before is not None else None
    created = rows.put(
        conn,
        {
            "name": schedule.name,
            "display_name": schedule.display_name,
            "description": schedule.description,
            "tags": dict(schedule.tags),
            "trigger": trigger,
            "job": dict(schedule.job),
            "git": None if git is None else asdict(git),
            "catch_up": schedule.catch_up,
            "overlap": schedule.overlap,
            "is_enabled": True,
            "next_at": _next_at(trigger, anchor=created_at, now=now),
            "watched": schedule.watched,
            "seen_version": _newest(conn, schedule.watched),
            "secret": (kept or secret) if is_hook else None,
            "created_by": actor,
            "created_at": created_at,
            "updated_at": now,
        },
    )
    _note(conn, "schedule.create" if created else "schedule.update", schedule.name, actor=actor)
    return find(conn, schedule.name), created


def find(conn: Connection, name: str) -> RowMapping:
    """A schedule. Raises NotFoundError with the nearest name."""
    found = rows.find(conn, name)
    if found is None:
        close = nearest(name, rows.names(conn))
        raise NotFoundError(
            f"There is no schedule '{name}'.",
            hint=f"Did you mean '{close}'?"
            if close
            else "`mlq schedule list` shows what there is.",
        )
    return found


def enable(conn: Connection, name: str, *, actor: str, now: datetime) -> RowMapping:
    """Let a schedule fire from `now` on; what was due while it was off is not made up for."""
    found = find(conn, name)
    if not found["is_enabled"]:
        next_at = _next_at(found["trigger"], anchor=found["created_at"], now=now)
        rows.set_enabled(conn, name, is_enabled=True, next_at=next_at, at=now)
        rows.set_seen(conn, name, version=_newest(conn, found["watched"]))
        _note(conn, "schedule.enable", name, actor=actor)
    return find(conn, name)


def disable(conn: Connection, name: str, *, actor: str, now: datetime) -> RowMapping:
    """Let a schedule fire no more; jobs that it started go on."""
    found = find(conn, name)
    if found["is_enabled"]:
        rows.set_enabled(conn, name, is_enabled=False, next_at=None, at=now)
        rows.drop_waiting(conn, name, detail={"why": "the schedule was disabled"})
        _note(conn, "schedule.disable", name, actor=actor)
    return find(conn, name)


def delete(conn: Connection, name: str, *, actor: str) -> None:
    """Remove a schedule with its history; jobs that it started stay."""
    find(conn, name)
    rows.remove(conn, name)
    _note(conn, "schedule.delete", name, actor=actor)


# what is due ---------------------------------------------------------------------------------


def find_due(conn: Connection, *, now: datetime, limit: int = 100) -> list[Due]:
    """What is due now: times that have come, versions that are new, drift that began."""
    timed = [_due_time(row, now=now) for row in rows.due(conn, now=now, limit=limit)]
    fresh = [_due_version(row, now=now) for row in rows.with_new_data(conn, limit=limit)]
    drifted = [_due_drift(row, now=now) for row in rows.with_new_drift(conn, limit=limit)]
    return timed + fresh + drifted


def find_waiting(conn: Connection) -> list[Due]:
    """Of each schedule, the firing that has waited longest for the one before to end."""
    return [Due(row, row["key"], row["due_at"], row["context"]) for row in rows.waiting(conn)]


def by_hand(conn: Connection, name: str, *, context: Mapping[str, str], now: datetime) -> Due:
    """A firing that somebody asks for. context: what the trigger would have known.

    Raises ConflictError where the data that the schedule waits for has no version yet.
    """
    found = find(conn, name)
    known = dict(context)
    if found["trigger"]["type"] == "drift":
        known = {**_last_drift(conn, found["trigger"]["endpoint"]), **known}
    elif found["watched"] is not None and "data" not in known:
        version = _newest(conn, found["watched"])
        if version is None:
            raise ConflictError(
                f"Data '{found['watched']}' has no version yet.",
                hint="Register one: `mlq data create`.",
            )
        known |= _data_context(found["watched"], version)
    return Due(found, f"manual:{new_id()}", now, {"trigger_time": iso(now), **known})


def by_webhook(
    conn: Connection, name: str, *, delivery: str, payload: Mapping[str, Any], now: datetime
) -> Due | None:
    """The firing that a signed request asks for; None where it is not for this schedule's branch.

    payload: of a push as GitHub, Gitea and GitLab send it, or any mapping of words.
    Raises MlqError (code `invalid`) for words that a command could take for something else.
    """
    found = find(conn, name)
    repository = payload.get("repository")
    nested = repository if isinstance(repository, Mapping) else {}
    project = payload.get("project")
    nested = {**(project if isinstance(project, Mapping) else {}), **nested}
    ref = payload.get("ref")
    given = {
        "commit": payload.get("after") or payload.get("checkout_sha") or payload.get("commit"),
        "ref": ref,
        "branch": ref.removeprefix("refs/heads/") if isinstance(ref, str) else None,
        "repository": nested.get("clone_url") or nested.get("git_http_url"),
    }
    branch = found["trigger"].get("branch")
    if branch is not None and given["branch"] != branch:
        return None
    if isinstance(given["commit"], str) and not given["commit"].strip("0"):
        return None  # a branch was deleted
    context = {key: value for key, value in given.items() if isinstance(value, str) and value}
    for key, value in context.items():
        if not _HARMLESS.fullmatch(value) or ".." in value:
            raise MlqError(
                f"The {key} of this delivery has characters that are not taken into commands.",
                code="invalid",
                hint="Letters, digits and . _ / @ : + - are.",
            )
    context["delivery"] = delivery
    return Due(found, f"hook:{delivery}", now, {"trigger_time": iso(now), **context})


def draft(conn: Connection, due: Due, *, aliases: Mapping[str, str]) -> Draft:
    """The job of a firing, compiled with what its names stand for now; or what is wrong."""
    owner = owner_of_name(conn, "schedule", due.schedule["name"])
    document = fill_context(due.schedule["job"], due.context)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    try:
        plan = compile_job(
            read_document(text, media_type="application/json"),
            computes=None,
            compute_aliases=aliases,
            components=components.finder(conn, owner),
            environments=environments.finder(conn, owner),
        )
    except SpecError as error:
        return error
    return draw(plan, document=text, media_type="application/json")


# firing ---------------------------------------------------------------------------------------


def fire(
    conn: Connection,
    due: Due,
    drafted: Draft,
    *,
    windows: Windows,
    now: datetime,
    heed_overlap: bool = True,
) -> Fired | None:
    """Fire once; None when somebody else has."""
    name = due.schedule["name"]
    if not _move_on(conn, due):
        return None
    outcome, why = "submitted", None
    if due.is_missed:
        outcome = "missed"
    elif heed_overlap:
        outcome, why = _look_at_those_before(conn, due.schedule)
    detail: dict[str, Any] = {} if why is None else {"why": why}
    if due.missed_since is not None:
        detail["missed_since"] = iso(due.missed_since)
    noted = rows.add_firing(
        conn,
        {
            "schedule": name,
            "key": due.key,
            "due_at": due.due_at,
            "at": now,
            "outcome": outcome,
            "job_id": None,
            "is_open": False,
            "context": dict(due.context),
            "detail": detail or None,
        },
    )
    if not noted:
        return None
    if outcome != "submitted":
        _note(conn, "schedule.skip", name, detail={"key": due.key, "outcome": outcome, **detail})
        return Fired(outcome)
    return _submit(conn, due, drafted, detail=detail, windows=windows)


def fire_waiting(conn: Connection, due: Due, drafted: Draft, *, windows: Windows) -> Fired | None:
    """Fire what waited, if all before it have ended; None while they have not."""
    name = due.schedule["name"]
    if rows.live_jobs(conn, name) or not rows.stop_waiting(conn, name, due.key):
        return None
    return _submit(conn, due, drafted, detail={}, windows=windows)


def _move_on(conn: Connection, due: Due) -> bool:
    row = due.schedule
    if due.version is not None:
        return rows.see_version(
            conn,
            row["name"],
            revision=row["revision"],
            seen=row["seen_version"],
            version=due.version,
        )
    if due.key.startswith(("manual:", "hook:")):
        return True  # nothing to move: its key alone says whether it was there
    return rows.advance(
        conn,
        row["name"],
        revision=row["revision"],
        due_at=row["next_at"],
        next_at=due.next_at,
    )


def _look_at_those_before(conn: Connection, row: RowMapping) -> tuple[str, str | None]:
    """What the overlap policy makes of a firing, and why."""
    policy = row["overlap"]
    if policy in ("allow", "cancel_previous"):
        return "submitted", None
    live = rows.live_jobs(conn, row["name"])
    if policy == "skip":
        return ("skipped", f"job {live[0]} still runs") if live else ("submitted", None)
    count = rows.count_waiting(conn, row["name"], most=MAX_WAITING)
    if count >= MAX_WAITING:
        return "skipped", f"{MAX_WAITING} firings wait already"
    if live or count:
        return "waiting", f"job {live[0]} still runs" if live else "others wait"
    return "submitted", None


def _submit(
    conn: Connection,
    due: Due,
    drafted: Draft,
    *,
    detail: Mapping[str, Any],
    windows: Windows,
) -> Fired:
    name = due.schedule["name"]
    deliveries: list[Delivery] = []
    if due.schedule["overlap"] == "cancel_previous":
        for live in rows.live_jobs(conn, name):
            deliveries += jobs.cancel(conn, live, actor=f"schedule:{name}", windows=windows)
    job_id: str | None = None
    found = dict(detail)
    if isinstance(drafted, MlqError):
        found["error"] = drafted.as_dict()
    else:
        try:
            with conn.begin_nested():
                submitted = jobs.submit_drawn(
                    conn,
                    drafted,
                    actor=f"schedule:{name}",
                    windows=windows,
                    project=owner_of_name(conn, "schedule", name),
                    git=GitRecord(**due.schedule["git"]) if due.schedule["git"] else None,
                )
            job_id = submitted.job_id
            deliveries += submitted.deliveries
        except (SpecError, NotFoundError, ConflictError) as error:
            found["error"] = error.as_dict()
    outcome = "failed" if job_id is None else "submitted"
    rows.settle_firing(conn, name, due.key, outcome=outcome, job_id=job_id, detail=found or None)
    _note(
        conn,
        "schedule.fire",
        name,
        detail={"key": due.key, "outcome": outcome, "job": job_id, **found},
    )
    return Fired(outcome, job_id, deliveries)


# times and versions ---------------------------------------------------------------------------


def timer_of(trigger: Mapping[str, Any], *, anchor: datetime) -> Timer | None:
    """The clock of a timed trigger; None for any other. Raises SpecError."""
    if trigger["type"] not in _TIMED:
        return None
    read = TRIGGERS[trigger["type"]].model_validate(trigger)
    assert isinstance(read, CronTrigger | RecurrenceTrigger)
    return Timer(read, anchor=anchor)


def upcoming(
    trigger: Mapping[str, Any], *, anchor: datetime, now: datetime, count: int = 5
) -> list[datetime]:
    """The next due times of a timed trigger, in UTC; none for any other. Raises SpecError."""
    timer = timer_of(trigger, anchor=anchor)
    times: list[datetime] = []
    moment: datetime | None = now
    while timer is not None and moment is not None and len(times) < count:
        moment = timer.after(moment)
        if moment is not None:
            times.append(moment)
    return times


def iso(moment: datetime) -> str:
    """A moment in UTC, to the second where it has no more."""
    return moment.isoformat().replace("+00:00", "Z")


def _next_at(trigger: Mapping[str, Any], *, anchor: datetime, now: datetime) -> datetime | None:
    timer = timer_of(trigger, anchor=anchor)
    return None if timer is None else timer.after(now)


def _due_time(row: RowMapping, *, now: datetime) -> Due:
    timer = timer_of(row["trigger"], anchor=row["created_at"])
    assert timer is not None, "only timed schedules have a next time"
    first: datetime = row["next_at"]
    last = first
    if row["catch_up"] != "all":
        last = timer.latest(after=first, until=now) or first
    late_s = (now - last).total_seconds()
    return Due(
        row,
        key=iso(last),
        due_at=last,
        context={"trigger_time": iso(last)},
        next_at=timer.after(last),
        missed_since=first if last != first else None,
        is_missed=row["catch_up"] == "none" and late_s > PUNCTUAL_S,
    )


def _due_version(row: RowMapping, *, now: datetime) -> Due:
    version = row["oldest"] if row["catch_up"] == "all" else row["newest"]
    return Due(
        row,
        key=f"data:{version}",
        due_at=now,
        context={"trigger_time": iso(now), **_data_context(row["watched"], version)},
        version=version,
    )


def _due_drift(row: RowMapping, *, now: datetime) -> Due:
    context = {
        "trigger_time": iso(now),
        "endpoint": row["trigger"]["endpoint"],
        "deployment": row["report_deployment"],
        "model": f"models:/{row['report_model']}/{row['report_version']}",
    }
    number = row["report_id"]
    return Due(row, key=f"drift:{number}", due_at=now, context=context, version=number)


def _last_drift(conn: Connection, endpoint: str) -> dict[str, str]:
    report = monitoring.newest_raised(conn, endpoint)
    if report is None:
        return {"endpoint": endpoint}
    model = f"models:/{report.model}/{report.version}"
    return {"endpoint": endpoint, "deployment": report.deployment, "model": model}


def _require_watched(conn: Connection, watched: str | None, project: str | None) -> None:
    """See that what is watched is the project's; it may come into being later."""
    if watched is None:
        return
    if watched.startswith(ENDPOINT):
        name = watched.removeprefix(ENDPOINT)
        if routing.find_endpoint(conn, name) is not None:
            projects.require_name(conn, "endpoint", name, project)
    elif registry.find_data(conn, watched) is not None:
        projects.require_name(conn, "data", watched, project)


def _data_context(name: str, version: int) -> dict[str, str]:
    return {"data": f"mlq:{name}:{version}", "version": str(version)}


def _newest(conn: Connection, name: str | None) -> int | None:
    if name is None:
        return None
    if name.startswith(ENDPOINT):
        report = monitoring.newest_raised(conn, name.removeprefix(ENDPOINT))
        return 0 if report is None else report.id
    found = registry.find_data(conn, name)
    return None if found is None else found.version


def _note(
    conn: Connection,
    kind: str,
    name: str,
    *,
    actor: str = "reconciler",
    detail: Mapping[str, Any] | None = None,
) -> None:
    record(conn, kind, subject=f"schedule:{name}", actor=actor, detail=detail)
