"""`/v1/schedules`: stored jobs and their triggers; `/v1/hooks`: requests that fire one."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import schedules as rows
from mlq.db.recovery import database_time
from mlq.errors import MlqError, SpecError, SpecProblem, UnauthorizedError
from mlq.service import schedules as service
from mlq.service.schedules import Due, Fired
from mlq.spec import canonical_json, read_document
from mlq.spec.schedule import SAMPLE, Schedule, fill_context, read_schedule
from mlq_api.access import OF_SCHEDULE, SIGNED, project_of
from mlq_api.auth import principal_of
from mlq_api.bodies import media_type_of, parse
from mlq_api.git_schemas import git_of
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, bad_cursor, takes
from mlq_api.plans import JSON_TYPE
from mlq_api.schedule_schemas import Delivered, Firing, SchedulePlan, ScheduleView, Triggering
from mlq_api.schemas import Page
from mlq_api.server import Server, server_of
from mlq_api.views import page_of
from mlq_api.wire import iso, json_response

router = APIRouter(tags=["schedules"], responses=PROBLEMS)

_OF_SCHEDULE = [OF_SCHEDULE]
_MAX_DELIVERY = 200
_EXAMPLE = """\
name: nightly
trigger: {type: cron, expression: "0 2 * * *", time_zone: Europe/Berlin}
overlap: skip
create_job:
  type: command
  command: echo ${{creation_context.trigger_time}}
"""


@router.get(
    "/v1/schedules",
    response_model=Page[ScheduleView],
    summary="List schedules",
    dependencies=_OF_SCHEDULE,
)
async def list_schedules(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """By name."""
    found = await server_of(request).read(
        rows.page, limit=limit + 1, after=cursor, project=project_of(request)
    )
    return json_response(
        page_of(
            [_view(request, row) for row in found],
            limit=limit,
            cursors=[row["name"] for row in found],
        )
    )


@router.put(
    "/v1/schedules/{name}",
    response_model=ScheduleView | SchedulePlan,
    summary="Make a schedule, or change it",
    dependencies=_OF_SCHEDULE,
    responses={201: {"model": ScheduleView, "description": "It was not there before."}},
    openapi_extra=takes(
        None, ("application/yaml", _EXAMPLE), ("application/json", '{"name": "nightly"}')
    ),
)
async def put(
    request: Request,
    name: Name,
    dry_run: Annotated[
        bool, Query(description="Check it only; answers when it would fire.")
    ] = False,
) -> Response:
    """A schedule file in the Azure ML v2 schema, its job written out; it is enabled from now on.

    A webhook's secret is in the answer that made it, and in no other.
    """
    server, actor = server_of(request), principal_of(request).name
    media_type = media_type_of(request, default=JSON_TYPE)
    schedule = read_schedule(read_document(await request.body(), media_type=media_type))
    if schedule.name != name:
        raise SpecError([SpecProblem("name", f"The address says '{name}', not this.")])
    project = project_of(request)
    await _check_job(server, schedule, project=project)
    if dry_run:
        return json_response(await server.read(_plan, schedule))
    secret, git = secrets.token_urlsafe(32), git_of(request)

    def write(conn: Connection) -> tuple[RowMapping, bool]:
        return service.put(
            conn,
            schedule,
            actor=actor,
            secret=secret,
            now=database_time(conn),
            project=project,
            git=git,
        )

    row, created = await server.write(write)
    shown = {"secret": secret} if row["secret"] == secret else {}
    return json_response(
        {**_view(request, row), **shown},
        status=201 if created else 200,
        headers={"location": f"/v1/schedules/{name}"},
    )


@router.get(
    "/v1/schedules/{name}",
    response_model=ScheduleView,
    summary="Show a schedule",
    dependencies=_OF_SCHEDULE,
)
async def show(request: Request, name: Name) -> Response:
    """With the job that it submits, and the next times that it is due."""

    def read(conn: Connection) -> tuple[RowMapping, list[datetime]]:
        row = service.find(conn, name)
        times = service.upcoming(row["trigger"], anchor=row["created_at"], now=database_time(conn))
        return row, times if row["is_enabled"] else []

    row, times = await server_of(request).read(read)
    return json_response({**_view(request, row), "next_times": [iso(time) for time in times]})


@router.delete(
    "/v1/schedules/{name}", status_code=204, summary="Remove a schedule", dependencies=_OF_SCHEDULE
)
async def delete(request: Request, name: Name) -> Response:
    """Jobs that it started stay."""
    server, actor = server_of(request), principal_of(request).name
    await server.write(service.delete, name, actor=actor)
    return Response(status_code=204)


@router.post(
    "/v1/schedules/{name}/enable",
    response_model=ScheduleView,
    summary="Let a schedule fire",
    dependencies=_OF_SCHEDULE,
)
async def enable(request: Request, name: Name) -> Response:
    """From now on: what was due while it was off is not made up for."""
    return await _switch(request, name, is_on=True)


@router.post(
    "/v1/schedules/{name}/disable",
    response_model=ScheduleView,
    summary="Stop a schedule",
    dependencies=_OF_SCHEDULE,
)
async def disable(request: Request, name: Name) -> Response:
    """Jobs that it started go on; those that wait are dropped."""
    return await _switch(request, name, is_on=False)


@router.post(
    "/v1/schedules/{name}/trigger",
    status_code=201,
    response_model=Firing,
    summary="Fire a schedule now",
    dependencies=_OF_SCHEDULE,
    openapi_extra=takes(Triggering),
)
async def trigger(request: Request, name: Name) -> Response:
    """Beside its trigger, also where it is disabled, whatever its overlap policy says."""
    server = server_of(request)
    wanted = parse(Triggering, await request.body())

    def look(conn: Connection) -> Due:
        return service.by_hand(conn, name, context=wanted.context, now=database_time(conn))

    due = await server.read(look)
    drafted = await server.read(service.draft, due, aliases=server.settings.computes)
    if isinstance(drafted, MlqError):
        raise drafted
    fired = await _fire(server, due, drafted, heed_overlap=False)
    assert fired is not None, "its key is new"

    def read(conn: Connection) -> Any:
        found = rows.page_firings(conn, name, limit=50)
        return next(row for row in found if row["key"] == due.key)

    return json_response(_firing_view(await server.read(read)), status=201)


@router.get(
    "/v1/schedules/{name}/firings",
    response_model=Page[Firing],
    summary="What a schedule did",
    dependencies=_OF_SCHEDULE,
)
async def firings(
    request: Request, name: Name, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Newest first."""
    before = _place(cursor)

    def read(conn: Connection) -> Any:
        service.find(conn, name)
        return rows.page_firings(conn, name, limit=limit + 1, before=before)

    found = await server_of(request).read(read)
    return json_response(
        page_of(
            [_firing_view(row) for row in found],
            limit=limit,
            cursors=[f"{row['at'].isoformat()} {row['key']}" for row in found],
        )
    )


@router.post(
    "/v1/hooks/{name}",
    status_code=202,
    response_model=Delivered,
    summary="Fire a schedule by a signed request",
    dependencies=[SIGNED],
    openapi_extra=takes(None, (JSON_TYPE, '{"ref": "refs/heads/main", "after": "4b825dc642cb"}')),
)
async def hook(
    request: Request,
    name: Name,
    x_hub_signature_256: Annotated[str, Header(max_length=200)] = "",
    x_gitlab_token: Annotated[str, Header(max_length=200)] = "",
    x_github_delivery: Annotated[str, Header(max_length=_MAX_DELIVERY)] = "",
    x_gitlab_event_uuid: Annotated[str, Header(max_length=_MAX_DELIVERY)] = "",
) -> Response:
    """Without a token: the body is signed with the schedule's secret, as GitHub and Gitea do
    (`X-Hub-Signature-256: sha256=HEX`, HMAC-SHA-256), or the secret is sent, as GitLab does.

    The same delivery fires once, however often it is sent.
    """
    server = server_of(request)
    body = await request.body()
    row = await server.read(rows.find, name)
    _check_signature(row, body, signature=x_hub_signature_256, token=x_gitlab_token)
    delivery = x_github_delivery or x_gitlab_event_uuid or hashlib.sha256(body).hexdigest()
    if not delivery.isprintable():
        raise MlqError("The id of a delivery is printable text.", code="invalid")
    payload = _payload(body)

    def look(conn: Connection) -> Due | None:
        return service.by_webhook(
            conn, name, delivery=delivery, payload=payload, now=database_time(conn)
        )

    due = await server.read(look)
    if due is None or not due.schedule["is_enabled"]:
        return json_response({"outcome": "ignored", "job_id": None}, status=202)
    drafted = await server.read(service.draft, due, aliases=server.settings.computes)
    fired = await _fire(server, due, drafted)
    if fired is None:
        return json_response({"outcome": "ignored", "job_id": None}, status=202)
    return json_response({"outcome": fired.outcome, "job_id": fired.job_id}, status=202)


def _plan(conn: Connection, schedule: Schedule) -> dict[str, Any]:
    """What a schedule would do, were it made now. Raises SpecError as making it does."""
    before, now = rows.find(conn, schedule.name), database_time(conn)
    times = service.upcoming(
        schedule.trigger.model_dump(mode="json", exclude_none=True),
        anchor=now if before is None else before["created_at"],
        now=now,
    )
    return {
        "name": schedule.name,
        "is_new": before is None,
        "next_times": [iso(time) for time in times],
    }


async def _check_job(server: Server, schedule: Schedule, *, project: str | None) -> None:
    """Compile the job as if the trigger had fired. Raises SpecError with paths of this file."""
    document = fill_context(schedule.job, SAMPLE)
    try:
        await server.plans.compile(canonical_json(document).encode(), JSON_TYPE, project=project)
    except SpecError as error:
        raise SpecError(
            [
                SpecProblem(
                    f"create_job.{problem.path}".rstrip("."),
                    problem.message,
                    suggestion=problem.suggestion,
                )
                for problem in error.problems
            ],
            code=error.code,
        ) from None


async def _fire(
    server: Server, due: Due, drafted: service.Draft, *, heed_overlap: bool = True
) -> Fired | None:
    def write(conn: Connection) -> Fired | None:
        return service.fire(
            conn,
            due,
            drafted,
            windows=server.windows,
            now=database_time(conn),
            heed_overlap=heed_overlap,
        )

    fired = await server.write(write)
    if fired is not None:
        server.publish(fired.deliveries)
    return fired


async def _switch(request: Request, name: str, *, is_on: bool) -> Response:
    server, actor = server_of(request), principal_of(request).name
    change = service.enable if is_on else service.disable

    def write(conn: Connection) -> RowMapping:
        return change(conn, name, actor=actor, now=database_time(conn))

    return json_response(_view(request, await server.write(write)))


def _check_signature(row: RowMapping | None, body: bytes, *, signature: str, token: str) -> None:
    """Raises UnauthorizedError, the same for a schedule that is not there."""
    secret = (row["secret"] if row is not None else None) or ""
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    is_signed = hmac.compare_digest(f"sha256={expected}".encode(), signature.encode())
    has_token = hmac.compare_digest(secret.encode(), token.encode())
    if not secret or not (is_signed or has_token):
        raise UnauthorizedError(
            "This request is not signed with the secret of a schedule of that name.",
            hint="Give the sender the secret that `mlq schedule create` showed; it signs the body "
            "with it (X-Hub-Signature-256).",
        )


def _payload(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        if b"\\u0000" in body:
            raise ValueError("it contains a NUL")
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MlqError(
            f"The body is not JSON ({error}).",
            code="invalid",
            hint="Choose application/json as the webhook's content type.",
        ) from None
    return payload if isinstance(payload, dict) else {}


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    at, _, key = cursor.partition(" ")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise bad_cursor() from None
    if moment.tzinfo is None:
        raise bad_cursor()
    return moment, key


def _view(request: Request, row: RowMapping) -> dict[str, Any]:
    is_hook = row["trigger"]["type"] == "webhook"
    base = str(request.base_url).rstrip("/")
    return {
        **{
            key: row[key]
            for key in (
                "name", "display_name", "description", "tags", "trigger", "job", "catch_up",
                "overlap", "is_enabled", "watched", "seen_version", "created_by",
            )
        },
        "next_at": iso(row["next_at"]),
        "hook_url": f"{base}/v1/hooks/{row['name']}" if is_hook else None,
        "created_at": iso(row["created_at"]),
        "updated_at": iso(row["updated_at"]),
    }  # fmt: skip


def _firing_view(row: RowMapping) -> dict[str, Any]:
    return {
        "key": row["key"],
        "due_at": iso(row["due_at"]),
        "at": iso(row["at"]),
        "outcome": row["outcome"],
        "job_id": row["job_id"],
        "context": row["context"],
        "detail": row["detail"],
    }
