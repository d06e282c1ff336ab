"""`/v1/environments`: sets of Python requirements that job files name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db.definitions import ENVIRONMENTS
from mlq.db.projects import DEFAULT
from mlq.service import environments as service
from mlq.spec import read_document
from mlq.spec.environments import list_warnings
from mlq.spec.requirements import read_requirements
from mlq_api.access import OF_ENVIRONMENT, project_of
from mlq_api.auth import principal_of
from mlq_api.bodies import media_type_of
from mlq_api.environment_schemas import Environment
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, number_of, takes
from mlq_api.plans import JSON_TYPE
from mlq_api.schemas import Page
from mlq_api.server import server_of
from mlq_api.views import page_of
from mlq_api.wire import iso, json_response

router = APIRouter(
    prefix="/v1/environments",
    tags=["environments"],
    responses=PROBLEMS,
    dependencies=[OF_ENVIRONMENT],
)

_EXAMPLE = """\
name: churn
conda_file:
  dependencies: [python=3.11, {pip: [scikit-learn>=1.5]}]
"""


@router.get("", response_model=Page[Environment], summary="List environments")
async def list_environments(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """By name, each with its latest version."""
    found = await server_of(request).read(
        ENVIRONMENTS.page, limit=limit + 1, after=cursor, project=project_of(request)
    )
    return json_response(
        page_of([_view(row) for row in found], limit=limit, cursors=[row["name"] for row in found])
    )


@router.post(
    "",
    status_code=201,
    response_model=Environment,
    responses={200: {"model": Environment, "description": "A version says this already."}},
    summary="Register an environment",
    openapi_extra=takes(None, ("application/yaml", _EXAMPLE), ("application/json", "{}")),
)
async def create(request: Request) -> Response:
    """An environment file in the Azure ML v2 schema, its conda file written out.

    The version is the file's own, else the next number; what a version says never changes.
    """
    server = server_of(request)
    media_type = media_type_of(request, default=JSON_TYPE)
    document = read_document(await request.body(), media_type=media_type)
    row, is_new = await server.write(
        service.create,
        document,
        actor=principal_of(request).name,
        project=project_of(request) or DEFAULT,
    )
    return json_response(
        _view(row, whole=True),
        status=201 if is_new else 200,
        headers={"location": f"/v1/environments/{row['name']}?version={row['version']}"},
    )


@router.get("/{name}", response_model=Environment, summary="Show an environment")
async def show(
    request: Request,
    name: Name,
    version: Annotated[
        str, Query(max_length=255, description="`latest`, or a version.")
    ] = "latest",
) -> Response:
    """One version with its definition."""
    row = await server_of(request).read(service.find, name, version=version)
    return json_response(_view(row, whole=True))


@router.get(
    "/{name}/versions",
    response_model=Page[Environment],
    summary="List an environment's versions",
)
async def versions(
    request: Request, name: Name, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Latest first."""
    before = number_of(cursor)

    def read(conn: Connection) -> Sequence[RowMapping]:
        service.find(conn, name)
        return ENVIRONMENTS.page_versions(conn, name, limit=limit + 1, before=before)

    found = await server_of(request).read(read)
    return json_response(
        page_of(
            [_view(row) for row in found], limit=limit, cursors=[row["ordinal"] for row in found]
        )
    )


def _view(row: RowMapping, *, whole: bool = False) -> dict[str, Any]:
    definition = row["definition"]
    view = {
        "id": f"mlq:{row['name']}:{row['version']}",
        "name": row["name"],
        "version": row["version"],
        "description": str(definition.get("description") or ""),
        "requirements": read_requirements(definition) or [],
        "warnings": list_warnings(definition),
        "created_by": row["created_by"],
        "created_at": iso(row["created_at"]),
    }
    return {**view, "definition": definition} if whole else view
