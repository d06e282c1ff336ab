"""Errors as answers: problem documents, which under /v2 also say what the protocol asks for."""

from __future__ import annotations

import json
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from mlq.errors import MlqError
from mlq_api.problems import problem_of


def refusal_of(error: MlqError, scope: Scope) -> Response:
    """The answer that `error` makes.

    The Open Inference Protocol wants a member `error`, and 400 where a request is bad.
    """
    answer = problem_of(error)
    path = scope["path"]
    if path != "/v2" and not path.startswith("/v2/"):
        return answer
    body = json.loads(bytes(answer.body))
    if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        answer.status_code = HTTPStatus.BAD_REQUEST
        body |= {"status": 400, "title": HTTPStatus.BAD_REQUEST.phrase}
    answer.body = json.dumps({**body, "error": body["detail"]}, ensure_ascii=False).encode()
    answer.headers["content-length"] = str(len(answer.body))
    return answer


async def on_error(request: Request, error: Exception) -> Response:
    """Handler of whatever a user can be told."""
    assert isinstance(error, MlqError)
    return refusal_of(error, request.scope)
