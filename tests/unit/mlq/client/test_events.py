"""Event streams: the format, and going on after a broken connection."""

from __future__ import annotations

import httpx
import pytest

from mlq.client.events import Event, follow, parse
from mlq.errors import NotFoundError, UnavailableError
from tests.unit.mlq.client.test_session import Clock, Server, connect, problem


def stream(text: str) -> httpx.Response:
    return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def test_parse_reads_the_format() -> None:
    lines = [
        ": a comment that keeps the line open",
        "id: 1",
        "event: job",
        'data: {"a":',
        "data:  1}",
        "",
        "retry: 100",
        "data: plain",
        "",
        "id: 2",
        "data: never finished",
    ]
    assert list(parse(lines)) == [Event("1", "job", {"a": 1}), Event("1", "message", "plain")]


def test_follow_goes_on_after_the_last_event_seen() -> None:
    server = Server(
        stream("id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: half"),
        httpx.ReadError("broken"),
        problem(503, "unavailable"),
        stream("id: 3\ndata: 3\n\nevent: end\ndata: {}\n\nid: 4\ndata: 4\n\n"),
    )
    session = connect(server, Clock())
    assert [event.data for event in follow(session, "/v1/events")] == [1, 2, 3]
    assert [request.headers.get("Last-Event-ID") for request in server.requests] == [
        None,
        "2",
        "2",
        "2",
    ]


def test_follow_starts_where_it_is_told() -> None:
    server = Server(stream("event: end\n\n"))
    assert list(follow(connect(server, Clock()), "/v1/events", after="9.1")) == []
    assert server.requests[0].headers["Last-Event-ID"] == "9.1"


def test_follow_gives_up_when_nothing_comes() -> None:
    clock = Clock()
    session = connect(Server(*[httpx.ConnectError("refused")] * 99), clock)
    with pytest.raises(UnavailableError):
        list(follow(session, "/v1/events"))
    assert 5 < clock.now < 30


def test_follow_does_not_insist_on_what_is_not_there() -> None:
    server = Server(problem(404, "not_found"))
    with pytest.raises(NotFoundError):
        list(follow(connect(server, Clock()), "/v1/jobs/x/events"))
    assert len(server.requests) == 1
