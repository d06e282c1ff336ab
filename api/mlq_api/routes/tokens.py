"""`/v1/tokens`: who may call; for administrators."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy.engine import RowMapping

from mlq.db import tokens as table
from mlq.ids import parse_id
from mlq.service import tokens as service
from mlq_api.access import ADMIN, VIEWER
from mlq_api.auth import principal_of
from mlq_api.bodies import parse
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, bad_cursor, takes
from mlq_api.schemas import MadeToken, NewToken, Page, Token, Whoami
from mlq_api.server import server_of
from mlq_api.views import page_of
from mlq_api.wire import iso, json_response

router = APIRouter(prefix="/v1", tags=["tokens"], responses=PROBLEMS)
_ADMIN = [ADMIN]


@router.get(
    "/whoami", response_model=Whoami, summary="Who one is to the server", dependencies=[VIEWER]
)
async def whoami(request: Request) -> Response:
    """Name and role of the token."""
    principal = principal_of(request)
    return json_response(
        {"name": principal.name, "role": principal.role, "project": principal.project}
    )


@router.get("/tokens", response_model=Page[Token], summary="List tokens", dependencies=_ADMIN)
async def list_tokens(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """Newest first, without their secrets; revoked ones too."""
    before = parse_id(cursor) if cursor else None
    if cursor and before is None:
        raise bad_cursor()
    rows = await server_of(request).read(table.page, limit=limit + 1, before=before)
    views = [_view(row) for row in rows]
    return json_response(page_of(views, limit=limit, cursors=[row["id"] for row in rows]))


@router.post(
    "/tokens",
    status_code=201,
    response_model=MadeToken,
    summary="Make a token",
    dependencies=_ADMIN,
    openapi_extra=takes(NewToken),
)
async def create(request: Request) -> Response:
    """Its secret is in this answer and nowhere else."""
    server, actor = server_of(request), principal_of(request).name
    new = parse(NewToken, await request.body())
    made = await server.write(
        service.create,
        name=new.name,
        role=new.role,
        expires_in_s=new.expires_in_s,
        project=new.project,
        actor=actor,
    )
    return json_response(
        {
            "id": made.id,
            "name": made.name,
            "role": made.role,
            "project": made.project,
            "token": made.token,
        },
        status=201,
        headers={"cache-control": "no-store"},
    )


@router.delete("/tokens/{token_id}", status_code=204, summary="Revoke a token", dependencies=_ADMIN)
async def revoke(request: Request, token_id: Name) -> Response:
    """At once here, within two seconds in other processes; its sessions end with it."""
    server, actor = server_of(request), principal_of(request).name
    await server.write(service.revoke, token_id, actor=actor)
    server.principals.forget()
    return Response(status_code=204)


def _view(row: RowMapping) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "role": row["role"],
        "project": row["project"],
        "last_used_at": iso(row["last_used_at"]),
        "created_at": iso(row["created_at"]),
        "expires_at": iso(row["expires_at"]),
        "revoked_at": iso(row["revoked_at"]),
    }
