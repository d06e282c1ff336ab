from __future__ import annotations

import asyncio
import json

import pytest
from fastapi import FastAPI, Request, Response
from starlette.types import Message

from mlq.errors import (
    ConflictError,
    MlqError,
    NotFoundError,
    SpecError,
    SpecProblem,
    StepError,
    UnauthorizedError,
    UnavailableError,
)
from mlq_api.problems import install, problem_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SpecError([SpecProblem("a", "wrong")]), 422),
        (SpecError([SpecProblem("a", "wrong")], code="too_large"), 413),
        (NotFoundError("x"), 404),
        (ConflictError("x"), 409),
        (ConflictError("x", code="digest_mismatch"), 422),
        (UnavailableError("x", code="database_busy"), 503),
        (StepError("x", code="invalid_digest"), 422),
        (MlqError("x", code="unsupported_media"), 415),
        (MlqError("x", code="idempotency_mismatch"), 422),
    ],
)
def test_the_status_follows_the_error(error: MlqError, status: int) -> None:
    answer = problem_of(error)
    body = json.loads(answer.body)
    assert (answer.status_code, body["status"], body["code"]) == (status, status, error.code)
    assert answer.media_type == "application/problem+json"
    assert ("retry-after" in answer.headers) == (status == 503)


def test_who_is_not_known_learns_how_to_say_it() -> None:
    assert problem_of(UnauthorizedError("x")).headers["www-authenticate"].startswith("Bearer")


def test_the_places_of_a_job_file_are_kept() -> None:
    error = SpecError([SpecProblem("jobs.a", "wrong", line=3, suggestion="b", file="f.yml")])
    (found,) = json.loads(problem_of(error).body)["problems"]
    assert found == {
        "path": "jobs.a",
        "message": "wrong",
        "line": 3,
        "suggestion": "b",
        "file": "f.yml",
    }


def test_a_client_that_goes_away_is_no_fault_of_the_server() -> None:
    app = FastAPI()
    install(app)

    @app.post("/")
    async def read(request: Request) -> Response:
        return Response(await request.body())

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))

    assert [message.get("status") for message in sent] == [400, None]
