"""`/v1/secrets`: what steps are given as environment variables, and nobody is told."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from mlq.service import secrets as service
from mlq.service.vault import open_vault
from mlq_api.access import BY_METHOD, project_of
from mlq_api.auth import principal_of
from mlq_api.bodies import parse
from mlq_api.operations import PROBLEMS, Name, takes
from mlq_api.schemas import Page
from mlq_api.secret_schemas import SecretValue, SecretView
from mlq_api.server import server_of
from mlq_api.wire import iso, json_response

router = APIRouter(prefix="/v1", tags=["secrets"], responses=PROBLEMS, dependencies=[BY_METHOD])


@router.get("/secrets", response_model=Page[SecretView], summary="List secrets")
async def list_secrets(request: Request) -> Response:
    """Names of the project's, by name; values are never answered."""
    rows = await server_of(request).read(service.list_all, project=project_of(request))
    items = [
        {"name": row["name"], "set_by": row["set_by"], "set_at": iso(row["set_at"])} for row in rows
    ]
    return json_response({"items": items, "next_cursor": None})


@router.put(
    "/secrets/{name}",
    status_code=204,
    summary="Set a secret",
    openapi_extra=takes(SecretValue),
)
async def set_secret(request: Request, name: Name) -> Response:
    """In place of an earlier one; steps that name it in `secrets` are given it from now on."""
    server = server_of(request)
    value = parse(SecretValue, await request.body()).value
    vault = await server.files.call(open_vault, server.settings, make=True)
    await server.write(
        service.put,
        name,
        value,
        vault=vault,
        actor=principal_of(request).name,
        project=project_of(request),
    )
    return Response(status_code=204)


@router.delete("/secrets/{name}", status_code=204, summary="Delete a secret")
async def delete_secret(request: Request, name: Name) -> Response:
    """Steps that name it fail from now on."""
    await server_of(request).write(
        service.remove, name, actor=principal_of(request).name, project=project_of(request)
    )
    return Response(status_code=204)
