"""Which requests are tried again, and what errors become."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from mlq.client.problems import UnreachableError
from mlq.client.session import Session
from mlq.errors import (
    ConflictError,
    MlqError,
    NotFoundError,
    SettingsError,
    SpecError,
    UnavailableError,
)

Answer = httpx.Response | Exception


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Server:
    """Gives the answers of a script, in order; keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers: Iterator[Answer] = iter(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def connect(server: Callable[[httpx.Request], httpx.Response], clock: Clock) -> Session:
    return Session(
        "http://mlq.test/",
        "secret",
        transport=httpx.MockTransport(server),
        sleep=clock.sleep,
        clock=lambda: clock.now,
        jitter=lambda: 0.0,
    )


def problem(status: int, code: str, **more: object) -> httpx.Response:
    body = {"title": "No", "status": status, "detail": "It is not so.", "code": code, **more}
    return httpx.Response(
        status, content=json.dumps(body), headers={"Content-Type": "application/problem+json"}
    )


def test_sends_the_token() -> None:
    server = Server(httpx.Response(200, json={"a": 1}))
    assert connect(server, Clock()).json("GET", "/v1/whoami") == {"a": 1}
    assert server.requests[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e400])
def test_numbers_that_json_has_not_are_refused_in_words(value: float) -> None:
    server = Server()
    with pytest.raises(MlqError, match="NaN or infinite"):
        connect(server, Clock()).json("POST", "/v1/jobs", json={"rows": [{"x": value}]})
    assert server.requests == []


def test_get_is_tried_again_until_it_is_answered() -> None:
    clock = Clock()
    server = Server(
        httpx.Response(200, json=1),
        problem(503, "unavailable"),
        httpx.ReadError("broken"),
        httpx.Response(200, json=2),
    )
    session = connect(server, clock)
    session.json("GET", "/a")
    assert session.json("GET", "/b") == 2
    assert clock.slept == [0.1, 0.2]


def test_retry_after_is_kept() -> None:
    clock = Clock()
    server = Server(
        httpx.Response(200, json=1),
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(200, json=2),
    )
    session = connect(server, clock)
    session.json("GET", "/a")
    session.json("GET", "/a")
    assert clock.slept == [7.0]


def test_post_is_sent_once_when_it_may_have_arrived() -> None:
    server = Server(httpx.ReadError("broken"))
    with pytest.raises(UnreachableError):
        connect(server, Clock()).json("POST", "/v1/tokens", json={})
    assert len(server.requests) == 1


def test_post_with_an_idempotency_key_is_tried_again_with_the_same_key() -> None:
    server = Server(httpx.ReadError("broken"), httpx.Response(201, json={"id": "1"}))
    session = connect(server, Clock())
    session.json("POST", "/v1/jobs", content=b"type: x", headers={"Idempotency-Key": "k"})
    assert [request.headers["Idempotency-Key"] for request in server.requests] == ["k", "k"]
    assert server.requests[1].content == b"type: x"


def test_post_is_tried_again_when_nothing_was_sent() -> None:
    server = Server(httpx.ConnectError("refused"), httpx.Response(200, json=1))
    assert connect(server, Clock()).json("POST", "/v1/tokens") == 1


def test_a_server_that_never_answered_is_given_up_soon() -> None:
    clock = Clock()
    server = Server(*[httpx.ConnectError("refused")] * 99)
    with pytest.raises(UnreachableError, match=r"No answer from http://mlq\.test \(refused\)") as e:
        connect(server, clock).json("GET", "/a")
    assert clock.now <= 1.0
    assert "mlq up" in e.value.hint


def test_a_server_that_answered_before_is_waited_for() -> None:
    clock = Clock()
    server = Server(httpx.Response(200, json=1), *[httpx.ConnectError("refused")] * 99)
    session = connect(server, clock)
    session.json("GET", "/a")
    with pytest.raises(UnreachableError):
        session.json("GET", "/a")
    assert 15 < clock.now <= 20.0


def test_a_streamed_body_is_made_anew_for_each_try() -> None:
    server = Server(httpx.ReadError("broken"), httpx.Response(201))
    session = connect(server, Clock())
    session.request("PUT", "/v1/blobs/x", body=lambda: iter([b"a", b"b"]))
    assert [request.content for request in server.requests] == [b"ab", b"ab"]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "not_found", NotFoundError),
        (409, "port_in_use", ConflictError),
        (422, "idempotency_mismatch", MlqError),
    ],
)
def test_problems_become_errors_with_their_code(
    status: int, code: str, kind: type[MlqError]
) -> None:
    server = Server(problem(status, code, hint="Try b."))
    with pytest.raises(kind) as caught:
        connect(server, Clock()).json("DELETE", "/a")
    assert (caught.value.code, caught.value.hint) == (code, "Try b.")
    assert caught.value.message == "It is not so."


def test_a_refused_document_carries_every_problem() -> None:
    entries = [
        {"path": "jobs.a", "message": "No.", "line": 3, "suggestion": "b", "file": None},
        {"path": "jobs.c", "message": "Neither.", "line": 9},
    ]
    server = Server(problem(422, "invalid_spec", problems=entries))
    with pytest.raises(SpecError) as caught:
        connect(server, Clock()).json("POST", "/v1/jobs")
    assert [(p.path, p.line, p.suggestion) for p in caught.value.problems] == [
        ("jobs.a", 3, "b"),
        ("jobs.c", 9, None),
    ]


def test_an_answer_of_something_else_is_not_taken_for_ours() -> None:
    server = Server(httpx.Response(404, text="<html>nginx</html>"))
    with pytest.raises(NotFoundError, match="answered 404: <html>nginx</html>") as caught:
        connect(server, Clock()).json("GET", "/a")
    assert "address" in caught.value.hint


def test_unavailable_is_said_when_patience_ends() -> None:
    server = Server(*[problem(503, "database_unavailable")] * 99)
    with pytest.raises(UnavailableError) as caught:
        connect(server, Clock()).json("GET", "/a", patience_s=2)
    assert caught.value.code == "database_unavailable"


def test_pages_are_read_to_the_limit() -> None:
    server = Server(
        httpx.Response(200, json={"items": [1, 2], "next_cursor": "c"}),
        httpx.Response(200, json={"items": [3, 4], "next_cursor": "d"}),
    )
    assert list(connect(server, Clock()).pages("/a", limit=3, state=None)) == [1, 2, 3]
    assert server.requests[1].url.params["cursor"] == "c"
    assert "state" not in server.requests[0].url.params


@pytest.mark.parametrize("url", ["foo", "", "ftp://a", "http://", "localhost:8420"])
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    with pytest.raises(SettingsError, match="MLQ_API_URL") as found:
        Session(url, "t")
    assert "http://HOST:PORT" in found.value.hint


@pytest.mark.parametrize("token", ["mlq_é", "mlq_a\nmlq_b", "mlq a"])
def test_a_token_that_no_header_carries_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(SettingsError, match="MLQ_TOKEN") as found:
        Session("http://mlq.test", token)
    assert "mlq_" not in str(found.value.as_dict())
