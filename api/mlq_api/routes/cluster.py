"""`/v1/workers`, `/v1/servers`, `/v1/queues`: what there is to run jobs with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import Connection

from mlq.db import servers as server_rows
from mlq.db import workers as worker_rows
from mlq.db.queries import queues as query
from mlq.ids import parse_id
from mlq_api import schemas
from mlq_api.access import ADMIN, BY_METHOD
from mlq_api.auth import principal_of
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, bad_cursor
from mlq_api.server import server_of
from mlq_api.views import page_of, queue_view, server_view, worker_view
from mlq_api.wire import json_response

WorkerName = Annotated[str, Path(max_length=255, description="Its name, or its id.")]

router = APIRouter(prefix="/v1", responses=PROBLEMS, dependencies=[BY_METHOD])


@router.get(
    "/workers",
    tags=["workers"],
    response_model=schemas.Page[schemas.Worker],
    summary="List workers",
)
async def workers(
    request: Request,
    limit: Limit = 50,
    cursor: Cursor = None,
    everyone: Annotated[
        bool, Query(alias="all", description="Those of the last day, not of the last hour.")
    ] = False,
) -> Response:
    """Those of the last hour; `offline` ones have stopped, or have not been seen for a while."""
    after = parse_id(cursor) if cursor else None
    if cursor and after is None:
        raise bad_cursor()
    rows = await server_of(request).read(
        worker_rows.page, limit=limit + 1, after=after, with_gone=everyone
    )
    views = [worker_view(row) for row in rows]
    return json_response(page_of(views, limit=limit, cursors=[row["id"] for row in rows]))


@router.post(
    "/workers/{name}/drain",
    tags=["workers"],
    response_model=schemas.Worker,
    summary="Drain a worker",
    dependencies=[ADMIN],
)
async def drain(request: Request, name: WorkerName) -> Response:
    """It takes no further step, from its next heartbeat on, and ends those that it runs.

    Until it is resumed, or started anew.
    """
    return await _set_draining(request, name, worker_rows.request_drain)


@router.post(
    "/workers/{name}/resume",
    tags=["workers"],
    response_model=schemas.Worker,
    summary="Resume a drained worker",
    dependencies=[ADMIN],
)
async def resume(request: Request, name: WorkerName) -> Response:
    """It takes steps again. A worker that is being stopped cannot be resumed."""
    return await _set_draining(request, name, worker_rows.resume)


async def _set_draining(request: Request, name: str, change: Callable[..., bool]) -> Response:
    actor = principal_of(request).name

    def write(conn: Connection) -> dict[str, Any]:
        found = worker_rows.find(conn, name)
        change(conn, found["id"], actor=actor)
        return worker_view(worker_rows.find(conn, found["id"]))

    return json_response(await server_of(request).write(write))


@router.get(
    "/servers",
    tags=["workers"],
    response_model=schemas.Page[schemas.ServerProcess],
    summary="List APIs and model servers",
)
async def servers(request: Request) -> Response:
    """Those that live, with the version of each; workers have a list of their own."""
    rows = await server_of(request).read(server_rows.live)
    return json_response({"items": [server_view(row) for row in rows], "next_cursor": None})


@router.get(
    "/queues", tags=["queues"], response_model=schemas.Page[schemas.Queue], summary="List queues"
)
async def queues(request: Request) -> Response:
    """One for each compute that has workers or work."""
    rows = await server_of(request).read(query.queues)
    return json_response({"items": [queue_view(row) for row in rows], "next_cursor": None})


@router.get(
    "/queues/{name}/scale",
    tags=["queues"],
    response_model=schemas.Scale,
    summary="How many workers a queue could use",
)
async def scale(
    request: Request,
    name: Name,
    slots_per_worker: Annotated[
        int | None, Query(ge=1, le=1000, description="Default: as many as its workers have.")
    ] = None,
    maximum: Annotated[int, Query(ge=0, le=100_000)] = 100_000,
) -> Response:
    """For autoscalers (KEDA `metrics-api`): enough slots for all that is queued or runs."""

    def read(conn: Connection) -> int:
        row = next((row for row in query.queues(conn) if row.compute == name), None)
        if row is None:
            return 0
        usual = row.slots // row.workers if row.workers else 1
        per_worker = slots_per_worker or max(1, usual)
        return min(maximum, math.ceil((row.queued + row.running) / per_worker))

    return json_response({"desired": await server_of(request).read(read)})
