"""Server-sent events: what happens, as it happens, resumable without a gap.

One poller per process reads the history after the last place it knows, only while somebody
listens, and hands each event to every listener's queue. A listener first catches up from the place
it names (`Last-Event-ID`) and goes on with its queue; one that reads too slowly is cut off and
resumes from the last id it saw.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from fastapi.sse import format_sse_event
from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from mlq.db import events
from mlq.db.events import Cursor, Event
from mlq.db.projects import owner_of_job
from mlq.errors import MlqError
from mlq_api.wire import dump, iso

log = logging.getLogger(__name__)

POLL_S = 0.1
KEEP_ALIVE_S = 15.0
QUEUE_SIZE = 2000
_BATCH = 500
_PING = format_sse_event(comment="still here")


class Reader(Protocol):
    """What the hub needs of a server."""

    async def read(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run `work(conn, …)` in a transaction that only reads."""


class Subscription:
    """One listener. since: every event after this place goes through the queue."""

    def __init__(self, since: Cursor) -> None:
        self.since = since
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self.is_cut_off = False

    def put(self, event: Event) -> None:
        """Add an event; a listener that is too far behind is cut off instead."""
        if self._queue.qsize() >= QUEUE_SIZE:
            self.is_cut_off = True
            self.end()
        elif not self.is_cut_off:
            self._queue.put_nowait(event)

    def end(self) -> None:
        """Let the listener end after what it has."""
        self._queue.put_nowait(None)

    async def next(self) -> Event | None:
        """The next event; None at the end. Raises TimeoutError when it is time to say something."""
        return await asyncio.wait_for(self._queue.get(), KEEP_ALIVE_S)


class Hub:
    """Reads the history once for all listeners of this process."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._subscriptions: set[Subscription] = set()
        self._cursor: Cursor | None = None
        self._poller: asyncio.Task[None] | None = None
        self._start = asyncio.Lock()
        self.closing = asyncio.Event()

    def close(self) -> None:
        """End every stream, so that the process can end."""
        self.closing.set()
        for subscription in self._subscriptions:
            subscription.end()

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return len(self._subscriptions)

    async def follow(
        self,
        since: Cursor | None,
        *,
        root_id: str | None = None,
        kinds: Sequence[str] = (),
        project: str | None = None,
    ) -> AsyncIterator[Event | None]:
        """Every event after `since` (None: from now on), then those to come; None to keep alive.

        root_id: of one job tree only; kinds: only those whose kind starts with one of these words;
        project: only those of its jobs.
        """
        owners: dict[str, str] = {}
        async with self._start:
            if self._poller is None:
                self._cursor = await self._reader.read(events.newest)
                self._poller = asyncio.create_task(self._poll())
        assert self._cursor is not None
        with self._subscribed(self._cursor) as subscription:
            last = subscription.since if since is None else since
            while since is not None:
                batch: list[Event] = await self._reader.read(
                    events.read_after,
                    last,
                    limit=_BATCH,
                    root_id=root_id,
                    kinds=kinds,
                    project=project,
                )
                for event in batch:
                    yield event
                    last = event.cursor
                if len(batch) < _BATCH:
                    break
            while not self.closing.is_set():
                try:
                    found = await subscription.next()
                except TimeoutError:
                    yield None
                    continue
                if found is None:
                    return
                if found.cursor <= last or not _matches(found, root_id=root_id, kinds=kinds):
                    continue
                if project is None or await self._is_of(found, project, owners):
                    yield found

    async def _is_of(self, event: Event, project: str, owners: dict[str, str]) -> bool:
        """Whether an event is of a job of `project`. owners: those known so far."""
        root_id = event.root_id
        if root_id is None:
            return False
        if root_id not in owners:
            if len(owners) >= QUEUE_SIZE:
                owners.clear()
            owners[root_id] = await self._reader.read(owner_of_job, root_id)
        return owners[root_id] == project

    @contextmanager
    def _subscribed(self, since: Cursor) -> Iterator[Subscription]:
        subscription = Subscription(since)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def _poll(self) -> None:
        # It outlives its last listener by one pause only; the next one starts it again.
        try:
            while not self.closing.is_set():
                await asyncio.sleep(POLL_S)
                if not self._subscriptions:
                    return
                try:
                    await self._read_on()
                except MlqError as error:
                    log.warning(
                        "cannot read events: %s", error.message, extra={"action": "events_unread"}
                    )
                    await asyncio.sleep(1)
        finally:
            self._poller = None

    async def _read_on(self) -> None:
        assert self._cursor is not None
        while True:
            batch: list[Event] = await self._reader.read(
                events.read_after, self._cursor, limit=_BATCH
            )
            for event in batch:
                self._cursor = event.cursor
                for subscription in tuple(self._subscriptions):
                    subscription.put(event)
            if len(batch) < _BATCH:
                return


def _matches(event: Event, *, root_id: str | None, kinds: Sequence[str]) -> bool:
    if root_id is not None and event.root_id != root_id:
        return False
    return not kinds or event.kind.partition(".")[0] in kinds


def event_view(event: Event) -> dict[str, Any]:
    """An event as JSON."""
    return {
        "id": str(event.cursor),
        "at": iso(event.at),
        "kind": event.kind,
        "job_id": event.job_id,
        "root_id": event.root_id,
        "attempt": event.attempt,
        "generation": event.generation,
        "state": event.state,
        "reason": event.reason,
        "subject": event.subject,
        "actor": event.actor,
        "detail": event.detail,
    }


def frame(data: Any, *, id: str | None = None, event: str | None = None) -> bytes:
    """One server-sent event with JSON data."""
    return format_sse_event(data_str=dump(data).decode(), id=id, event=event)


def ping() -> bytes:
    """A comment that keeps proxies from closing a quiet stream."""
    return _PING


def stream_response(frames: AsyncIterator[bytes]) -> StreamingResponse:
    """Answer with server-sent events."""
    return StreamingResponse(
        _reported(frames),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _reported(frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # The status has been sent: what goes wrong from here on can only be told inside the stream.
    try:
        async for item in frames:
            yield item
    except MlqError as error:
        yield frame(error.as_dict(), event="error")


def read_page(
    conn: Connection, cursor: Cursor, *, limit: int, root_id: str | None = None
) -> list[Event]:
    """A page of the history for readers who poll."""
    return events.read_after(conn, cursor, limit=limit, root_id=root_id)
