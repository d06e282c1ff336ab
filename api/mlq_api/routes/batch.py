"""`/v1/batch-endpoints`: published pipelines and models, invoked with new inputs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import batch as rows
from mlq.db.projects import owner_of_name
from mlq.errors import SpecError, SpecProblem
from mlq.ids import parse_id
from mlq.service import batch as service
from mlq.service.blueprint import Blueprint
from mlq.service.jobs import Submitted
from mlq.spec import read_document
from mlq.spec.batch import read_deployment, read_endpoint
from mlq_api.access import OF_BATCH, project_of
from mlq_api.auth import principal_of
from mlq_api.batch_schemas import BatchDeploymentView, BatchEndpointView, Invocation, Invoked
from mlq_api.bodies import media_type_of, parse
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, bad_cursor, takes
from mlq_api.plans import JSON_TYPE
from mlq_api.schemas import Job, Page
from mlq_api.server import server_of
from mlq_api.views import job_tree, page_of, submitted_tree
from mlq_api.wire import iso, json_response

router = APIRouter(
    prefix="/v1/batch-endpoints",
    tags=["batch endpoints"],
    responses=PROBLEMS,
    dependencies=[OF_BATCH],
)

_ENDPOINT = """\
name: churn-batch
description: Who will leave?
defaults: {deployment_name: v1}
"""
_DEPLOYMENT = """\
name: v1
type: model
model: models:/churn@production
"""


@router.get("", response_model=Page[BatchEndpointView], summary="List batch endpoints")
async def list_endpoints(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """By name, with the newest version of each deployment."""

    project = project_of(request)

    def read(conn: Connection) -> tuple[Any, Any]:
        found = rows.page_endpoints(conn, limit=limit + 1, after=cursor, project=project)
        return found, rows.newest_deployments(conn, [row["name"] for row in found])

    found, deployments = await server_of(request).read(read)
    views = [
        _view(request, row, [one for one in deployments if one["endpoint"] == row["name"]])
        for row in found
    ]
    return json_response(page_of(views, limit=limit, cursors=[row["name"] for row in found]))


@router.put(
    "/{name}",
    response_model=BatchEndpointView,
    summary="Make a batch endpoint, or change it",
    responses={201: {"model": BatchEndpointView, "description": "It was not there before."}},
    openapi_extra=takes(None, ("application/yaml", _ENDPOINT), (JSON_TYPE, '{"name": "x"}')),
)
async def put(request: Request, name: Name) -> Response:
    """A batch endpoint file in the Azure ML v2 schema."""
    server, actor = server_of(request), principal_of(request).name
    document = read_document(
        await request.body(), media_type=media_type_of(request, default=JSON_TYPE)
    )
    wanted = read_endpoint(document)
    _require_name(wanted.name, name)
    row, created = await server.write(
        service.put_endpoint, wanted, project=project_of(request), actor=actor
    )
    return await _shown(request, row, status=201 if created else 200)


@router.get("/{name}", response_model=BatchEndpointView, summary="Show a batch endpoint")
async def show(request: Request, name: Name) -> Response:
    """With the newest version of each deployment."""
    return await _shown(request, await server_of(request).read(service.find, name))


@router.delete("/{name}", status_code=204, summary="Remove a batch endpoint")
async def delete(request: Request, name: Name) -> Response:
    """With its deployments; jobs that were invoked stay."""
    server, actor = server_of(request), principal_of(request).name
    await server.write(service.delete, name, actor=actor)
    return Response(status_code=204)


@router.put(
    "/{name}/deployments/{deployment}",
    response_model=BatchDeploymentView,
    summary="Publish a pipeline or a model",
    responses={201: {"model": BatchDeploymentView, "description": "A new version."}},
    openapi_extra=takes(None, ("application/yaml", _DEPLOYMENT), (JSON_TYPE, '{"name": "v1"}')),
)
async def put_deployment(
    request: Request,
    name: Name,
    deployment: Name,
    set_default: Annotated[bool, Query(description="Invoked where none is named.")] = False,
) -> Response:
    """A batch deployment file, its pipeline written out. A change is the next version.

    Answers 200 where it is what the newest version is.
    """
    server, actor = server_of(request), principal_of(request).name
    document = read_document(
        await request.body(), media_type=media_type_of(request, default=JSON_TYPE)
    )
    wanted = read_deployment(document)
    _require_name(wanted.name, deployment)
    if wanted.endpoint is not None and wanted.endpoint != name:
        raise SpecError([SpecProblem("endpoint_name", f"The address says '{name}'.")])
    row, is_new = await server.write(
        service.put_deployment,
        name,
        wanted,
        source=document.data,
        set_default=set_default,
        actor=actor,
    )
    return json_response(_deployment_view(row, whole=True), status=201 if is_new else 200)


@router.get(
    "/{name}/deployments/{deployment}",
    response_model=BatchDeploymentView,
    summary="Show a deployment",
)
async def show_deployment(
    request: Request,
    name: Name,
    deployment: Name,
    version: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """The newest version, or another; with the job that it submits."""
    row = await server_of(request).read(service.find_deployment, name, deployment, version=version)
    return json_response(_deployment_view(row, whole=True))


@router.delete("/{name}/deployments/{deployment}", status_code=204, summary="Remove a deployment")
async def delete_deployment(request: Request, name: Name, deployment: Name) -> Response:
    """All its versions; refused (409) for the default one while there are others."""
    server, actor = server_of(request), principal_of(request).name
    await server.write(service.delete_deployment, name, deployment, actor=actor)
    return Response(status_code=204)


@router.post(
    "/{name}/jobs",
    status_code=201,
    response_model=Job,
    summary="Invoke a batch endpoint",
    openapi_extra=takes(Invocation),
)
async def invoke(request: Request, name: Name) -> Response:
    """Submits the deployment's pipeline with these inputs; answers the job."""
    server, actor = server_of(request), principal_of(request).name
    wanted = parse(Invocation, await request.body())
    deployment = await server.read(
        service.find_deployment, name, wanted.deployment, version=wanted.version
    )
    document = service.document_of(deployment, wanted.inputs)
    # its jobs are those of whoever published it
    owner = await server.read(owner_of_name, "batch", name)
    compiled = await server.plans.compile(document.encode(), JSON_TYPE, project=owner)

    def write(conn: Connection, blueprint: Blueprint) -> tuple[Submitted, dict[str, Any] | None]:
        submitted = service.invoke(
            conn,
            deployment,
            blueprint,
            actor=actor,
            windows=server.windows,
            force_rerun=wanted.force_rerun,
            project=owner,
        )
        if submitted.rows is None:
            return submitted, job_tree(conn, submitted.job_id, depth=1)
        return submitted, None

    submitted, view = await server.write(write, compiled.blueprint)
    server.publish(submitted.deliveries)
    if submitted.rows is not None:
        view = submitted_tree(submitted.rows, compiled.blueprint.plan)
    return json_response(view, status=201, headers={"location": f"/v1/jobs/{submitted.job_id}"})


@router.get("/{name}/jobs", response_model=Page[Invoked], summary="List an endpoint's jobs")
async def list_jobs(
    request: Request, name: Name, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Newest first."""
    before = parse_id(cursor) if cursor else None
    if cursor and before is None:
        raise bad_cursor()

    def read(conn: Connection) -> Any:
        service.find(conn, name)
        return rows.page_invocations(conn, name, limit=limit + 1, before=before)

    found = await server_of(request).read(read)
    return json_response(
        page_of(
            [{**row, "at": iso(row["at"])} for row in found],
            limit=limit,
            cursors=[row["job_id"] for row in found],
        )
    )


@router.get(
    "/{name}/jobs/{ref}/outputs/{output}",
    summary="A result of an endpoint",
    status_code=307,
    response_class=RedirectResponse,
)
async def output_of(request: Request, name: Name, ref: Name, output: Name) -> Response:
    """Leads to the output of that job; `latest` is the newest one that succeeded."""
    job_id = await server_of(request).read(service.find_invocation, name, ref)
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}/v1/jobs/{job_id}/outputs/{output}", status_code=307)


async def _shown(request: Request, row: RowMapping, *, status: int = 200) -> Response:
    found = await server_of(request).read(rows.newest_deployments, [row["name"]])
    return json_response(_view(request, row, found), status=status)


def _require_name(written: str, address: str) -> None:
    if written != address:
        raise SpecError([SpecProblem("name", f"The address says '{address}', not '{written}'.")])


def _view(request: Request, row: RowMapping, deployments: Any) -> dict[str, Any]:
    base = str(request.base_url).rstrip("/")
    return {
        **row,
        "deployments": [_deployment_view(one) for one in deployments],
        "scoring_uri": f"{base}/v1/batch-endpoints/{row['name']}/jobs",
        "created_at": iso(row["created_at"]),
        "updated_at": iso(row["updated_at"]),
    }


def _deployment_view(row: RowMapping, *, whole: bool = False) -> dict[str, Any]:
    view = {key: value for key, value in row.items() if key not in ("source", "job")}
    view |= {"inputs": row["job"].get("inputs") or {}, "created_at": iso(row["created_at"])}
    return {**view, "job": row["job"]} if whole else view
