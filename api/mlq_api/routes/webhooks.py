"""`/v1/webhooks`: who is told of events. For administrators: a webhook carries news out."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import webhooks as rows
from mlq.db.recovery import database_time
from mlq.ids import parse_id
from mlq.service import webhooks as service
from mlq_api.access import ADMIN
from mlq_api.auth import principal_of
from mlq_api.bodies import parse
from mlq_api.operations import PROBLEMS, Cursor, Limit, Name, bad_cursor, takes
from mlq_api.schemas import Page
from mlq_api.server import server_of
from mlq_api.views import page_of
from mlq_api.webhook_schemas import DeliveryView, NewWebhook, WebhookView
from mlq_api.wire import iso, json_response

router = APIRouter(
    prefix="/v1/webhooks", tags=["webhooks"], responses=PROBLEMS, dependencies=[ADMIN]
)


@router.get("", response_model=Page[WebhookView], summary="List webhooks")
async def list_webhooks(request: Request) -> Response:
    """By name, without their secrets."""
    found = await server_of(request).read(rows.list_all)
    return json_response({"items": [_view(row) for row in found], "next_cursor": None})


@router.put(
    "/{name}",
    response_model=WebhookView,
    summary="Make a webhook, or change it",
    responses={201: {"model": WebhookView, "description": "It was not there before."}},
    openapi_extra=takes(NewWebhook),
)
async def put(request: Request, name: Name) -> Response:
    """Told of events from now on. Its secret is in the answer that made it."""
    server, actor = server_of(request), principal_of(request).name
    new = parse(NewWebhook, await request.body())
    secret = secrets.token_urlsafe(32)

    def write(conn: Connection) -> tuple[RowMapping, bool]:
        return service.put(
            conn,
            name=name,
            form=new.form,
            target=new.target,
            kinds=new.kinds,
            secret=secret,
            actor=actor,
            now=database_time(conn),
        )

    row, created = await server.write(write)
    shown = {"secret": secret} if created else {}
    return json_response({**_view(row), **shown}, status=201 if created else 200)


@router.get("/{name}", response_model=WebhookView, summary="Show a webhook")
async def show(request: Request, name: Name) -> Response:
    """Without its secret."""
    return json_response(_view(await server_of(request).read(service.find, name)))


@router.delete("/{name}", status_code=204, summary="Remove a webhook")
async def delete(request: Request, name: Name) -> Response:
    """With its log; what is pending is not sent any more."""
    server, actor = server_of(request), principal_of(request).name
    await server.write(service.delete, name, actor=actor)
    return Response(status_code=204)


@router.post(
    "/{name}/test", status_code=202, response_model=dict[str, str], summary="Send a test message"
)
async def test(request: Request, name: Name) -> Response:
    """Of the kind `test`; the log says what came of it."""
    server, actor = server_of(request), principal_of(request).name

    def write(conn: Connection) -> str:
        return service.add_test(conn, name, actor=actor, now=database_time(conn))

    return json_response({"id": await server.write(write)}, status=202)


@router.get("/{name}/deliveries", response_model=Page[DeliveryView], summary="A webhook's log")
async def deliveries(
    request: Request, name: Name, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Newest first; kept for 30 days."""
    before = parse_id(cursor) if cursor else None
    if cursor and before is None:
        raise bad_cursor()

    def read(conn: Connection) -> Any:
        service.find(conn, name)
        return rows.page_deliveries(conn, name, limit=limit + 1, before=before)

    found = await server_of(request).read(read)
    return json_response(
        page_of(
            [_delivery_view(row) for row in found],
            limit=limit,
            cursors=[row["id"] for row in found],
        )
    )


def _view(row: RowMapping) -> dict[str, Any]:
    return {
        **{key: row[key] for key in ("name", "form", "target", "kinds", "created_by")},
        "created_at": iso(row["created_at"]),
    }


def _delivery_view(row: RowMapping) -> dict[str, Any]:
    return {
        **{
            key: row[key] for key in ("id", "event", "state", "tries", "status", "error", "payload")
        },
        "kind": row["payload"]["kind"],
        "next_at": iso(row["next_at"]),
        "created_at": iso(row["created_at"]),
        "delivered_at": iso(row["delivered_at"]),
    }
