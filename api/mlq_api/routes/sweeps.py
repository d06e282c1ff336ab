"""`/v1/jobs/{ref}/trials` and what steers a sweep: its trials, its limits, a pause."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from mlq.db.queries import jobs as query
from mlq.db.queries import trials
from mlq.db.queries.trials import Order, Place
from mlq.db.window import Delivery
from mlq.errors import MlqError
from mlq.lifecycle import JobType
from mlq.service import steering
from mlq.service.steering import no_sweep
from mlq.service.studies import Subject, find_subject, read_records
from mlq.sweeps.study import TrialRecord
from mlq_api import studies
from mlq_api.access import OF_JOB
from mlq_api.auth import principal_of
from mlq_api.bodies import parse
from mlq_api.operations import PROBLEMS, Cursor, Limit, Ref, bad_cursor, takes
from mlq_api.schemas import Job, Page
from mlq_api.server import Server, server_of
from mlq_api.sweep_schemas import (
    AddedTrials,
    Importance,
    LimitsChange,
    NewTrials,
    Progress,
    Trial,
    TrialState,
)
from mlq_api.sweep_views import progress_view, trial_views
from mlq_api.views import job_tree, page_of
from mlq_api.wire import json_response

router = APIRouter(
    prefix="/v1/jobs/{ref}", tags=["sweeps"], responses=PROBLEMS, dependencies=[OF_JOB]
)

#: Trials that are read in one transaction; a longer one would keep others from reading.
_CHUNK = 1000
_TYPES = {"csv": "text/csv; charset=utf-8", "optuna": "application/vnd.sqlite3"}
_SUFFIXES = {"csv": "csv", "optuna": "db"}
_BINARY = {"schema": {"type": "string", "format": "binary"}, "example": "SQLite format 3"}


@router.get("/trials", response_model=Page[Trial], summary="List a sweep's trials")
async def list_trials(
    request: Request,
    ref: Ref,
    sort: Annotated[
        str,
        Query(
            max_length=300,
            description="`number`, `value` or `metric:NAME`; `-` before it turns the order round.",
        ),
    ] = "number",
    state: TrialState | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Those without the value that is sorted by come last. A page goes on with the same `sort`."""
    order = Order.parse(sort)
    if order is None:
        raise MlqError(
            f"'{sort}' is nothing to sort by.",
            code="invalid",
            hint="number, value or metric:NAME, with - before it for the other direction.",
        )
    after = Place.parse(cursor) if cursor else None
    if cursor and after is None:
        raise bad_cursor()

    def read(conn: Connection) -> dict[str, Any]:
        rows = trials.page(
            conn, _find_sweep(conn, ref), order=order, limit=limit + 1, state=state, after=after
        )
        views = trial_views(conn, rows)
        return page_of(views, limit=limit, cursors=[trials.place_of(row, order) for row in rows])

    return json_response(await server_of(request).read(read))


@router.get("/trials/best", response_model=Progress, summary="The best value so far")
async def best(request: Request, ref: Ref) -> Response:
    """As a curve: each trial that was better than all that ended before it."""

    def read(conn: Connection) -> dict[str, Any]:
        subject = find_subject(conn, ref)
        rows = trials.finished_values(conn, subject.id)
        maximize = subject.objective.goal == "maximize"
        return {
            "objective": subject.objective.as_dict(),
            "points": progress_view(rows, maximize=maximize),
        }

    return json_response(await server_of(request).read(read))


@router.get("/trials/importance", response_model=Importance, summary="Which parameters matter")
async def importance(request: Request, ref: Ref) -> Response:
    """By PED-ANOVA over the trials that succeeded; below some 20 of them it is a hint, no more."""
    server = server_of(request)
    subject, records = await _read_all(server, ref)
    succeeded = [one for one in records if one.state == "succeeded" and one.value is not None]
    shares = await server.studies.call(studies.find_importance, subject, succeeded)
    return json_response({"importance": shares, "succeeded": len(succeeded)})


@router.get(
    "/trials/export",
    summary="All trials as a file",
    response_class=Response,
    responses={
        200: {
            "description": "A table, or a study file that optuna-dashboard opens.",
            "content": {
                "text/csv": {
                    "schema": {"type": "string"},
                    "example": "number,state,reason,value\n",
                },
                "application/vnd.sqlite3": _BINARY,
            },
        }
    },
)
async def export(request: Request, ref: Ref, format: Literal["csv", "optuna"] = "csv") -> Response:
    """Parameters, values, states and times.

    The table also has metrics and errors, the study file intermediate values.
    """
    server = server_of(request)
    if format == "csv":
        subject = await server.read(find_subject, ref)
        views = await _read_views(server, subject.id)
        file = await server.studies.call(studies.make_csv, views)
    else:
        subject, records = await _read_all(server, ref)
        file = await server.studies.call(studies.make_study, subject, records)
    name = f"trials-{subject.id[:16]}.{_SUFFIXES[format]}"
    return StreamingResponse(
        studies.read_pieces(file),
        media_type=_TYPES[format],
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "content-length": str(os.fstat(file.fileno()).st_size),
        },
    )


@router.post("/pause", response_model=Job, summary="Pause a sweep")
async def pause(request: Request, ref: Ref) -> Response:
    """Trials that run are finished, others are not begun before `/resume`."""
    actor = principal_of(request).name

    def act(conn: Connection, job_id: str) -> list[Delivery]:
        steering.pause(conn, job_id, actor=actor)
        return []

    return await _steer(request, ref, act)


@router.patch(
    "/limits",
    response_model=Job,
    summary="Raise or lower a sweep's limits",
    openapi_extra=takes(LimitsChange),
)
async def set_limits(request: Request, ref: Ref) -> Response:
    """While it has not ended; trials that have begun are finished."""
    server, actor = server_of(request), principal_of(request).name
    changes = parse(LimitsChange, await request.body()).model_dump(exclude_unset=True)

    def act(conn: Connection, job_id: str) -> list[Delivery]:
        return steering.set_limits(conn, job_id, changes, actor=actor, windows=server.windows)

    return await _steer(request, ref, act)


@router.post(
    "/trials",
    status_code=201,
    response_model=AddedTrials,
    summary="Add trials to a sweep",
    openapi_extra=takes(NewTrials),
)
async def add(request: Request, ref: Ref) -> Response:
    """They come before those of the sampler, and do not count against `max_total_trials`."""
    server, actor = server_of(request), principal_of(request).name
    points = parse(NewTrials, await request.body()).points

    def write(conn: Connection) -> steering.Added:
        job_id = query.find(conn, ref)
        return steering.add_trials(conn, job_id, points, actor=actor, windows=server.windows)

    added = await server.write(write)
    server.publish(added.deliveries)
    return json_response({"trials": list(added.numbers)}, status=201)


async def _steer(
    request: Request, ref: str, act: Callable[[Connection, str], list[Delivery]]
) -> Response:
    server = server_of(request)

    def write(conn: Connection) -> tuple[list[Delivery], dict[str, Any]]:
        job_id = query.find(conn, ref)
        return act(conn, job_id), job_tree(conn, job_id, depth=0)

    deliveries, view = await server.write(write)
    server.publish(deliveries)
    return json_response(view)


async def _read_all(server: Server, ref: str) -> tuple[Subject, list[TrialRecord]]:
    subject = await server.read(find_subject, ref)
    records: list[TrialRecord] = []
    while True:
        last = records[-1].number if records else -1
        chunk = await server.read(read_records, subject, limit=_CHUNK, after=last)
        records += chunk
        if len(chunk) < _CHUNK:
            return subject, records


async def _read_views(server: Server, sweep_id: str) -> list[dict[str, Any]]:
    """All trials as the API shows them, by number."""
    views: list[dict[str, Any]] = []

    def read(conn: Connection) -> list[dict[str, Any]]:
        after = Place(views[-1]["number"]) if views else None
        rows = trials.page(conn, sweep_id, order=Order("number"), limit=_CHUNK, after=after)
        return trial_views(conn, rows)

    while True:
        chunk = await server.read(read)
        views += chunk
        if len(chunk) < _CHUNK:
            return views


def _find_sweep(conn: Connection, ref: str) -> str:
    row = query.read(conn, query.find(conn, ref))
    if row["type"] != JobType.SWEEP:
        raise no_sweep(conn, row)
    return str(row["id"])
