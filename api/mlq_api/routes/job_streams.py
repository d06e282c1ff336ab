"""`/v1/jobs/{ref}/logs` and `/events`: what a job prints and what happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping
from starlette.responses import StreamingResponse

from mlq.db.events import Cursor as Place
from mlq.db.events import Event, read_after
from mlq.db.queries import history
from mlq.db.queries import jobs as query
from mlq.db.queries import logs as log_query
from mlq.lifecycle import is_terminal
from mlq_api.access import OF_JOB
from mlq_api.operations import PROBLEMS, Cursor, Limit, Ref, bad_cursor, number_of
from mlq_api.schemas import Event as EventView
from mlq_api.schemas import LogChunk, Page
from mlq_api.server import Server, server_of
from mlq_api.streams import KEEP_ALIVE_S, event_view, frame, ping, stream_response
from mlq_api.views import page_of
from mlq_api.wire import iso, json_response

router = APIRouter(
    prefix="/v1/jobs/{ref}", tags=["jobs"], responses=PROBLEMS, dependencies=[OF_JOB]
)

_FOLLOW_POLL_S = 0.25
_CHUNKS = 500
_STREAM = {"schema": {"type": "string"}}


@router.get(
    "/logs",
    summary="What a job printed",
    response_model=Page[LogChunk],
    responses={
        200: {
            "description": "The whole log; pages of it as JSON; or events with `follow=true`.",
            "content": {
                "text/plain": {**_STREAM, "example": "1000 rows\n"},
                "text/event-stream": {
                    **_STREAM,
                    "example": 'data: {"path": "prep", "content": "1000 rows\\n"}\nid: 17\n\n',
                },
            },
        }
    },
)
async def logs(
    request: Request,
    ref: Ref,
    attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    follow: Annotated[bool, Query(description="Go on until the job has ended.")] = False,
    after: Cursor = None,
    limit: Limit = 500,
    cursor: Cursor = None,
) -> Response:
    """Of a pipeline: of all its steps. `Accept: application/json` answers pages.

    A stream sends each chunk under its `id`; `after` or `Last-Event-ID` goes on behind it, and it
    ends with the event `end`.
    """
    server = server_of(request)
    place = number_of(request.headers.get("last-event-id") or after or cursor) or 0
    job_id = await server.read(query.find, ref)
    if follow or _wants(request, "text/event-stream"):
        return stream_response(_follow_log(server, job_id, after=place, attempt=attempt))
    if _wants(request, "application/json"):

        def read(conn: Connection) -> dict[str, Any]:
            rows = log_query.page(conn, job_id, limit=limit + 1, after=place, attempt=attempt)
            views = _chunk_views(conn, rows)
            return page_of(views, limit=limit, cursors=[view["id"] for view in views])

        return json_response(await server.read(read))
    return StreamingResponse(
        _whole_log(server, job_id, after=place, attempt=attempt),
        media_type="text/plain; charset=utf-8",
    )


async def _whole_log(
    server: Server, job_id: str, *, after: int, attempt: int | None
) -> AsyncIterator[bytes]:
    while True:
        rows = await server.read(
            log_query.page, job_id, limit=_CHUNKS, after=after, attempt=attempt
        )
        for row in rows:
            yield row["content"].encode(errors="backslashreplace")
            after = row["id"]
        if len(rows) < _CHUNKS:
            return


async def _follow_log(
    server: Server, job_id: str, *, after: int, attempt: int | None
) -> AsyncIterator[bytes]:
    quiet_s = 0.0

    def read(conn: Connection, after: int, *, settled: bool) -> tuple[bool, list[dict[str, Any]]]:
        # The state first: whatever was printed before the end is then among the chunks.
        has_ended = is_terminal(query.read(conn, job_id)["state"])
        rows = log_query.page(
            conn, job_id, limit=_CHUNKS, after=after, attempt=attempt, settled=settled
        )
        return has_ended, _chunk_views(conn, rows)

    had_ended = False
    while not server.hub.closing.is_set():
        has_ended, chunks = await server.read(read, after, settled=not had_ended)
        for chunk in chunks:
            yield frame(chunk, id=str(chunk["id"]))
            after = chunk["id"]
        if chunks:
            quiet_s = 0.0
        if len(chunks) == _CHUNKS:
            continue
        if had_ended:
            yield frame({}, event="end")
            return
        if has_ended:
            had_ended = True  # once more, for what was written a moment ago
            continue
        await asyncio.sleep(_FOLLOW_POLL_S)
        quiet_s += _FOLLOW_POLL_S
        if quiet_s >= KEEP_ALIVE_S:
            quiet_s = 0.0
            yield ping()


def _chunk_views(conn: Connection, rows: list[Any]) -> list[dict[str, Any]]:
    paths: Mapping[str, str] = {}
    if rows:
        paths = query.paths(conn, list({row["job_id"] for row in rows}))
    return [
        {
            "id": row["id"],
            "job_id": row["job_id"],
            "path": paths.get(row["job_id"], ""),
            "attempt": row["attempt"],
            "stream": row["stream"],
            "content": row["content"],
            "at": iso(row["at"]),
        }
        for row in rows
    ]


@router.get(
    "/events",
    summary="What happens to a job",
    response_model=Page[EventView],
    responses={
        200: {
            "description": "A page; or events with `Accept: text/event-stream`.",
            "content": {
                "text/event-stream": {
                    **_STREAM,
                    "example": 'data: {"kind": "job.succeed", "state": "succeeded"}\nid: 0.17\n\n',
                }
            },
        }
    },
)
async def events(request: Request, ref: Ref, limit: Limit = 500, cursor: Cursor = None) -> Response:
    """Transitions of a job and everything below it, in an order that never gains one behind it.

    A stream goes on behind `Last-Event-ID`, and ends with the event `end` after the job's own.
    """
    server = server_of(request)
    place = place_of(request.headers.get("last-event-id") or cursor)

    def read(conn: Connection) -> tuple[Any, Scope]:
        row = query.read(conn, query.find(conn, ref))
        return row, Scope.read(conn, row)

    row, scope = await server.read(read)
    if _wants(request, "text/event-stream"):
        return stream_response(_follow_events(server, row["id"], row["root_id"], place, scope))
    found = await server.read(read_after, place, limit=limit + 1, root_id=row["root_id"])
    kept = [event for event in found[:limit] if await scope.shows(event, server)]
    more = str(found[limit - 1].cursor) if len(found) > limit else None
    return json_response({"items": [event_view(event) for event in kept], "next_cursor": more})


async def _follow_events(
    server: Server, job_id: str, root_id: str, after: Place, scope: Scope
) -> AsyncIterator[bytes]:
    def read_end(conn: Connection) -> Place | None:
        if not is_terminal(query.read(conn, job_id)["state"]):
            return None
        return history.newest_end(conn, job_id, root_id=root_id)

    # A job that was resumed has several ends in its history: only the newest is the end.
    end = await server.read(read_end)
    if end is not None and end <= after:
        yield frame({}, event="end")
        return
    async for event in server.hub.follow(after, root_id=root_id):
        if event is None:
            yield ping()
            continue
        if not await scope.shows(event, server):
            continue
        yield frame(event_view(event), id=str(event.cursor))
        if event.job_id == job_id and event.state and is_terminal(event.state):
            end = await server.read(read_end)
            if end is not None and end <= event.cursor:
                yield frame({"state": event.state, "reason": event.reason}, event="end")
                return


class Scope:
    """Whose events are shown: of one job and all below it, but for what only a sweep knows."""

    def __init__(self, path: str, hidden: frozenset[str]) -> None:
        self._path = path
        self._known = dict.fromkeys(hidden, False)

    @classmethod
    def read(cls, conn: Connection, row: RowMapping) -> Scope:
        """The scope of a job's events."""
        return cls(row["path"], query.hidden_ids(conn, row["root_id"]))

    async def shows(self, event: Event, server: Server) -> bool:
        """Whether an event of the job's tree is shown."""
        job_id = event.job_id
        if job_id is None:
            return not self._path
        if job_id not in self._known:
            self._known[job_id] = await self._is_shown(event, job_id, server)
        return self._known[job_id]

    async def _is_shown(self, event: Event, job_id: str, server: Server) -> bool:
        # what is hidden and was added since begins by being queued; trials need not be looked at
        if not self._path and event.kind != "job.queue":
            return True
        path = await server.read(query.find_shown_path, job_id)
        return path is not None and f"{path}.".startswith(f"{self._path}." if self._path else "")


def place_of(text: str | None) -> Place:
    """A place in the history, its start without one. Raises MlqError (code `invalid`)."""
    if not text:
        return Place()
    place = Place.parse(text)
    if place is None:
        raise bad_cursor()
    return place


def _wants(request: Request, media_type: str) -> bool:
    return media_type in request.headers.get("accept", "")
