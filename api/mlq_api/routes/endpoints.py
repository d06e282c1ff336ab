"""`/v1/endpoints`: stable names that answer predictions, and what stands behind them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from mlq.db.routing import Deployment as DeploymentRow
from mlq.db.routing import Endpoint as Row
from mlq.service import endpoints as service
from mlq.spec.monitoring import read_limits
from mlq_api.access import OF_ENDPOINT, project_of
from mlq_api.auth import principal_of
from mlq_api.bodies import parse
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, takes
from mlq_api.schemas import (
    Deployment,
    Endpoint,
    EndpointChange,
    NewDeployment,
    NewEndpoint,
    Page,
)
from mlq_api.server import server_of
from mlq_api.views import page_of
from mlq_api.wire import iso, json_response

router = APIRouter(
    prefix="/v1/endpoints", tags=["endpoints"], responses=PROBLEMS, dependencies=[OF_ENDPOINT]
)


@router.get("", response_model=Page[Endpoint], summary="List endpoints")
async def list_endpoints(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """By name, with their deployments."""
    rows = await server_of(request).read(
        service.list_endpoints, limit=limit + 1, after=cursor, project=project_of(request)
    )
    return json_response(
        page_of(
            [_view(request, row) for row in rows], limit=limit, cursors=[row.name for row in rows]
        )
    )


@router.post(
    "",
    status_code=201,
    response_model=Endpoint,
    summary="Make an endpoint",
    openapi_extra=takes(NewEndpoint),
)
async def create(request: Request) -> Response:
    """Without deployments yet."""
    server, actor = server_of(request), principal_of(request).name
    new = parse(NewEndpoint, await request.body())
    row = await server.write(
        service.create,
        name=new.name,
        description=new.description,
        tags=new.tags,
        actor=actor,
        project=project_of(request),
    )
    return json_response(
        _view(request, row), status=201, headers={"location": f"/v1/endpoints/{row.name}"}
    )


@router.get("/{name}", response_model=Endpoint, summary="Show an endpoint")
async def show(request: Request, name: Name) -> Response:
    """With its deployments, each with the version it stands for now."""
    return json_response(_view(request, await server_of(request).read(service.find, name)))


@router.patch(
    "/{name}",
    response_model=Endpoint,
    summary="Change an endpoint's traffic or description",
    openapi_extra=takes(EndpointChange),
)
async def change(request: Request, name: Name) -> Response:
    """traffic: deployment -> percent, 100 in all; those not named get none.

    mirror_traffic: percent of the requests that a deployment without traffic gets a copy of.
    """
    server, actor = server_of(request), principal_of(request).name
    wanted = parse(EndpointChange, await request.body())

    def write(conn: Connection) -> Row:
        if wanted.description is not None or wanted.tags is not None:
            service.update(
                conn, name=name, description=wanted.description, tags=wanted.tags, actor=actor
            )
        if wanted.traffic is not None:
            service.set_traffic(conn, name=name, traffic=wanted.traffic, actor=actor)
        if wanted.mirror_traffic is not None:
            service.set_mirror_traffic(conn, name=name, mirror=wanted.mirror_traffic, actor=actor)
        return service.find(conn, name)

    return json_response(_view(request, await server.write(write)))


@router.delete("/{name}", status_code=204, summary="Remove an endpoint and its deployments")
async def delete(request: Request, name: Name) -> Response:
    """The models stay."""
    server, actor = server_of(request), principal_of(request).name
    await server.write(service.delete, name=name, actor=actor)
    return Response(status_code=204)


@router.put(
    "/{name}/deployments/{deployment}",
    response_model=Deployment,
    summary="Put a model behind an endpoint",
    openapi_extra=takes(NewDeployment),
)
async def put_deployment(request: Request, name: Name, deployment: Name) -> Response:
    """A version, or an alias to follow. The first deployment gets all traffic, later ones none."""
    server, actor = server_of(request), principal_of(request).name
    new = parse(NewDeployment, await request.body())
    if new.settings is not None and new.settings.drift is not None:
        read_limits(new.settings.drift, path="settings.drift")
    row = await server.write(
        service.put_deployment,
        endpoint=name,
        name=deployment,
        model=new.model,
        actor=actor,
        description=new.description,
        tags=new.tags,
        settings=None if new.settings is None else new.settings.model_dump(exclude_none=True),
        project=project_of(request),
    )
    return json_response(_deployment_view(row))


@router.delete("/{name}/deployments/{deployment}", status_code=204, summary="Remove a deployment")
async def delete_deployment(request: Request, name: Name, deployment: Name) -> Response:
    """Refused while it gets traffic (409)."""
    server, actor = server_of(request), principal_of(request).name
    await server.write(service.delete_deployment, endpoint=name, name=deployment, actor=actor)
    return Response(status_code=204)


def _view(request: Request, row: Row) -> dict[str, Any]:
    base = str(request.base_url).rstrip("/")
    return {
        "name": row.name,
        "description": row.description,
        "traffic": dict(row.traffic),
        "mirror_traffic": dict(row.mirror_traffic),
        "deployments": [_deployment_view(one) for one in row.deployments],
        "scoring_uri": f"{base}/endpoints/{row.name}/score",
        "tags": dict(row.tags),
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }


def _deployment_view(row: DeploymentRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "model": row.model,
        "alias": row.alias,
        "version": row.version,
        "description": row.description,
        "tags": dict(row.tags),
        "settings": dict(row.settings),
        "created_at": iso(row.created_at),
        "updated_at": iso(row.updated_at),
    }
