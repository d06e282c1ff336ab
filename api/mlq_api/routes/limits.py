"""`/v1/limits`, and quotas of projects: how much may be in use at once, on all machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db.window import Delivery
from mlq.service import limits as service
from mlq_api.access import ADMIN, BY_METHOD
from mlq_api.auth import principal_of
from mlq_api.bodies import parse
from mlq_api.limit_schemas import LimitView, Slots
from mlq_api.operations import PROBLEMS, Name, takes
from mlq_api.schemas import Page
from mlq_api.server import server_of
from mlq_api.wire import iso, json_response

router = APIRouter(prefix="/v1", tags=["limits"], responses=PROBLEMS, dependencies=[BY_METHOD])


@router.get("/limits", response_model=Page[LimitView], summary="List concurrency limits")
async def list_limits(request: Request) -> Response:
    """By name, with what is in use and how many steps wait."""
    return await _list(request, service.list_limits)


@router.put(
    "/limits/{name}",
    status_code=204,
    summary="Set a concurrency limit",
    dependencies=[ADMIN],
    openapi_extra=takes(Slots),
)
async def set_limit(request: Request, name: Name) -> Response:
    """So many steps that name it in `limits.concurrency` run at once; those that run go on."""
    slots = parse(Slots, await request.body()).slots
    return await _write(request, service.set_limit, name, slots)


@router.delete("/limits/{name}", status_code=204, summary="Remove a limit", dependencies=[ADMIN])
async def remove_limit(request: Request, name: Name) -> Response:
    """Steps that name it run freely from now on."""
    return await _write(request, service.remove_limit, name)


@router.get("/quotas", response_model=Page[LimitView], summary="List quotas of projects")
async def list_quotas(request: Request) -> Response:
    """By project, with what is in use and how many steps wait."""
    return await _list(request, service.list_quotas)


@router.put(
    "/quotas/{name}",
    status_code=204,
    summary="Set the quota of a project",
    dependencies=[ADMIN],
    openapi_extra=takes(Slots),
)
async def set_quota(request: Request, name: Name) -> Response:
    """So many steps of the project run at once; those that run go on."""
    slots = parse(Slots, await request.body()).slots
    return await _write(request, service.set_quota, name, slots)


@router.delete("/quotas/{name}", status_code=204, summary="Remove a quota", dependencies=[ADMIN])
async def remove_quota(request: Request, name: Name) -> Response:
    """The project shares with the others from now on."""
    return await _write(request, service.remove_quota, name)


async def _list(request: Request, read: Callable[[Connection], Any]) -> Response:
    rows = await server_of(request).read(read)
    return json_response({"items": [_view(row) for row in rows], "next_cursor": None})


async def _write(request: Request, change: Callable[..., list[Delivery]], *args: Any) -> Response:
    server, actor = server_of(request), principal_of(request).name
    deliveries = await server.write(change, *args, actor=actor, windows=server.windows)
    server.publish(deliveries)
    return Response(status_code=204)


def _view(row: RowMapping) -> dict[str, Any]:
    return {
        "name": row["name"],
        "slots": row["capacity"],
        "in_use": row["in_use"],
        "waiting": row["waiting"],
        "set_by": row["set_by"],
        "set_at": iso(row["set_at"]),
    }
