"""`/v1/events`: everything that happens, live. `/v1/audit`: what was done, by whom."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from mlq.db.events import Cursor as Place
from mlq.db.events import read_after
from mlq.db.queries import history
from mlq_api.access import ADMIN, BY_METHOD, project_of
from mlq_api.operations import PROBLEMS, Cursor, Limit, number_of
from mlq_api.routes.job_streams import place_of
from mlq_api.schemas import Event, Page
from mlq_api.server import Server, server_of
from mlq_api.streams import event_view, frame, ping, stream_response
from mlq_api.views import page_of
from mlq_api.wire import iso, json_response

router = APIRouter(prefix="/v1", tags=["events"], responses=PROBLEMS, dependencies=[BY_METHOD])

#: Plural nouns, as a reader would name them, and the first word of the events' kinds.
TOPICS = {
    "jobs": "job",
    "models": "model",
    "endpoints": "endpoint",
    "data": "data",
    "workers": "worker",
    "tokens": "token",
}


@router.get(
    "/events",
    summary="Everything that happens, live",
    response_model=Page[Event],
    responses={
        200: {
            "description": "Events with `Accept: text/event-stream`; else a page.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'data: {"kind": "model.promote"}\nid: 0.17\n\n',
                }
            },
        }
    },
)
async def events(
    request: Request,
    topics: Annotated[
        str, Query(max_length=200, description=f"Some of {', '.join(TOPICS)}; all when empty.")
    ] = "",
    limit: Limit = 500,
    cursor: Cursor = None,
) -> Response:
    """From now on, or behind `Last-Event-ID` without a gap. A page starts at `cursor`.

    A token for one project sees the jobs of that project only.
    """
    server = server_of(request)
    kinds = [TOPICS.get(word.strip(), word.strip()) for word in topics.split(",") if word.strip()]
    last = request.headers.get("last-event-id") or cursor
    if "text/event-stream" in request.headers.get("accept", ""):
        return stream_response(
            _follow(server, place_of(last) if last else None, kinds, project_of(request))
        )
    found = await server.read(
        read_after, place_of(last), limit=limit + 1, kinds=kinds, project=project_of(request)
    )
    views = [event_view(event) for event in found]
    return json_response(page_of(views, limit=limit, cursors=[event.cursor for event in found]))


async def _follow(
    server: Server, after: Place | None, kinds: Sequence[str], project: str | None
) -> AsyncIterator[bytes]:
    yield ping()  # so that a client knows at once that it is connected
    async for event in server.hub.follow(after, kinds=kinds, project=project):
        yield frame(event_view(event), id=str(event.cursor)) if event else ping()


@router.get(
    "/audit",
    response_model=Page[Event],
    summary="What was done, by whom",
    dependencies=[ADMIN],
)
async def audit(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """Acts on models, endpoints, data, tokens and workers, newest first."""
    before = number_of(cursor)

    def read(conn: Connection) -> dict[str, Any]:
        rows = history.acts(conn, limit=limit + 1, before=before)
        views = [
            {**row, "id": str(Place(row["txid"], row["id"])), "at": iso(row["at"])} for row in rows
        ]
        for view in views:
            del view["txid"]
        return page_of(views, limit=limit, cursors=[row["id"] for row in rows])

    return json_response(await server_of(request).read(read))
