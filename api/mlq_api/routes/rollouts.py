"""`/v1/endpoints/{name}/rollouts`: versions on their way to an alias, and what was measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from mlq.db.rollouts import Rollout as Row
from mlq.service import rollouts as service
from mlq.spec.rollout import read_policy
from mlq_api.access import OF_ENDPOINT, project_of
from mlq_api.auth import principal_of
from mlq_api.bodies import parse
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, takes
from mlq_api.rollout_schemas import (
    Measurements,
    NewRollout,
    Rollout,
    RolloutAct,
    StartedRollout,
    ToldMetrics,
)
from mlq_api.schemas import Page
from mlq_api.server import server_of
from mlq_api.views import page_of
from mlq_api.wire import iso, json_response

router = APIRouter(
    prefix="/v1/endpoints/{name}",
    tags=["endpoints"],
    responses=PROBLEMS,
    dependencies=[OF_ENDPOINT],
)


@router.get("/rollouts", response_model=Page[Rollout], summary="List rollouts")
async def list_rollouts(
    request: Request, name: Name, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Newest first; the open one, if there is one, is the first."""
    rows = await server_of(request).read(
        service.list_rollouts, name, limit=limit + 1, before=cursor
    )
    return json_response(
        page_of([_view(row) for row in rows], limit=limit, cursors=[row.id for row in rows])
    )


@router.post(
    "/rollouts",
    response_model=StartedRollout,
    summary="Roll a version out by stages",
    openapi_extra=takes(NewRollout),
)
async def start(request: Request, name: Name) -> Response:
    """Where no deployment that follows the alias answers yet, the version is deployed at once."""
    server, actor = server_of(request), principal_of(request).name
    wanted = parse(NewRollout, await request.body())
    policy = read_policy(wanted.policy)
    row = await server.write(
        service.start,
        model=wanted.model,
        endpoint=name,
        alias=wanted.alias,
        policy=policy,
        actor=actor,
        project=project_of(request),
    )
    return json_response({"rollout": None if row is None else _view(row)})


@router.post(
    "/rollouts/freeze",
    response_model=Rollout,
    summary="Keep a rollout where it is",
    openapi_extra=takes(RolloutAct),
)
async def freeze(request: Request, name: Name) -> Response:
    """Nothing is judged and nothing moves until it is resumed."""
    return await _act(request, name, service.freeze)


@router.post(
    "/rollouts/resume",
    response_model=Rollout,
    summary="Let a frozen rollout go on",
    openapi_extra=takes(RolloutAct),
)
async def resume(request: Request, name: Name) -> Response:
    """Its stage begins again, with its whole bake time."""
    return await _act(request, name, service.resume)


@router.post(
    "/rollouts/abort",
    response_model=Rollout,
    summary="End a rollout: what served before serves all",
    openapi_extra=takes(RolloutAct),
)
async def abort(request: Request, name: Name) -> Response:
    """The alias never moved; the candidate's deployment goes."""
    return await _act(request, name, service.abort)


@router.post(
    "/rollouts/metrics",
    response_model=Rollout,
    summary="Tell metrics of your own about a candidate",
    openapi_extra=takes(ToldMetrics),
)
async def tell(request: Request, name: Name) -> Response:
    """Those that the policy names in `abort.metrics`; each counts in the stage it is told in."""
    told = parse(ToldMetrics, await request.body())
    row = await server_of(request).write(service.tell, name, metrics=told.metrics)
    return json_response(_view(row))


@router.get("/measurements", response_model=Measurements, summary="What an endpoint answered")
async def measurements(
    request: Request, name: Name, seconds: Annotated[float, Query(gt=0, le=604_800)] = 300.0
) -> Response:
    """Requests, errors, rows and latency of the last `seconds`, by deployment and version."""
    found = await server_of(request).read(service.measure, name, seconds=seconds)
    items = [
        {
            "deployment": deployment,
            "version": version,
            "requests": measured.requests,
            "errors": measured.errors,
            "rows": measured.rows,
            "p50_ms": measured.quantile_ms(0.5),
            "p95_ms": measured.quantile_ms(0.95),
            "p99_ms": measured.quantile_ms(0.99),
        }
        for (deployment, version), measured in sorted(found.items())
    ]
    return json_response({"seconds": seconds, "items": items})


async def _act(request: Request, name: str, act: Callable[..., Row]) -> Response:
    server, actor = server_of(request), principal_of(request).name
    wanted = parse(RolloutAct, await request.body())
    return json_response(_view(await server.write(act, name, actor=actor, reason=wanted.reason)))


def _view(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "endpoint": row.endpoint,
        "model": f"models:/{row.model}/{row.version}",
        "alias": row.alias,
        "previous": row.previous,
        "candidate": row.candidate,
        "policy": dict(row.policy),
        "stage": row.stage,
        "phase": row.phase,
        "reason": row.reason,
        "metrics": dict(row.metrics),
        "created_by": row.created_by,
        "job_id": row.job_id,
        "created_at": iso(row.created_at),
        "stage_at": iso(row.stage_at),
        "ended_at": iso(row.ended_at),
    }
