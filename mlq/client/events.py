"""Server-sent events, read on after a broken connection where they stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlq.client.session import Session
from mlq.errors import UnavailableError

_END = "end"
_MAX_SILENT_TRIES = 8


@dataclass(frozen=True, slots=True)
class Event:
    """One event. id: where to go on after it; data: its JSON."""

    id: str
    name: str
    data: Any


def follow(
    session: Session,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    after: str | None = None,
) -> Iterator[Event]:
    """Events of `path` until the server says that there will be no more (event `end`).

    A connection that breaks, or falls silent for a minute, is opened again with the id of the
    last event seen, so that none is lost and none comes twice.
    Raises UnavailableError when several tries in a row brought nothing.
    """
    last, silent = after, 0
    while True:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if last is not None:
            headers["Last-Event-ID"] = last
        try:
            with session.stream(path, params=params, headers=headers) as response:
                for event in parse(response.iter_lines()):
                    if event.name == _END:
                        return
                    silent = 0
                    if event.id:
                        last = event.id
                    yield event
            silent += 1
            if silent > _MAX_SILENT_TRIES:
                raise UnavailableError(f"The server keeps closing {path} without a word.")
        except UnavailableError:
            silent += 1
            if silent > _MAX_SILENT_TRIES:
                raise
        session.wait(session.pause(max(silent, 1)))


def parse(lines: Iterable[str]) -> Iterator[Event]:
    """Events from the lines of a `text/event-stream`, as the HTML standard reads them.

    An event that was not finished by an empty line is dropped: the connection broke inside it.
    """
    last_id, name, data = "", "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield Event(last_id, name, _decode("\n".join(data)))
            elif name == _END:
                yield Event(last_id, name, None)
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = value


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
