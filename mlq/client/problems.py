"""Problem details (RFC 9457) of the API, as the errors of `mlq.errors`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlq.errors import (
    ConflictError,
    ForbiddenError,
    MlqError,
    NotFoundError,
    SpecError,
    SpecProblem,
    TooLargeError,
    UnauthorizedError,
    UnavailableError,
)


class UnreachableError(UnavailableError):
    """No server answered at the address."""

    code = "unreachable"


class TimedOutError(MlqError):
    """What was waited for did not happen in time. The job itself goes on."""

    code = "timed_out"


_BY_STATUS: Mapping[int, type[MlqError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    413: TooLargeError,
    429: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def to_error(status: int, body: bytes, *, url: str) -> MlqError:
    """The error that an answer stands for.

    A body that is no problem document (a proxy's page, another server on that port) is said to be
    one, with its first words, instead of being shown as if mlq had written it.
    """
    problem = _read(body)
    if problem is None:
        words = " ".join(body[:2000].decode(errors="replace").split())[:120]
        kind = _BY_STATUS.get(status, MlqError)
        return kind(
            f"{url} answered {status}{': ' + words if words else ''}",
            hint="Is this the address of an mlq server?",
        )
    if "error_code" in problem:  # of MLflow's API, which the importer speaks
        message = str(problem.get("message") or problem["error_code"])
        if problem["error_code"] == "RESOURCE_ALREADY_EXISTS":
            return ConflictError(message, code="exists")
        return _BY_STATUS.get(status, MlqError)(message)
    code = problem.get("code")
    message = str(problem.get("detail") or problem.get("title") or f"the server answered {status}")
    hint = str(problem.get("hint") or "")
    problems = problem.get("problems")
    if problems and isinstance(problems, list):
        error: MlqError = SpecError([_to_problem(entry) for entry in problems], code=code)
        error.hint = hint
        return error
    return _BY_STATUS.get(status, MlqError)(message, code=code, hint=hint)


def _to_problem(entry: Mapping[str, Any]) -> SpecProblem:
    return SpecProblem(
        path=str(entry.get("path") or ""),
        message=str(entry.get("message") or ""),
        line=entry.get("line"),
        suggestion=entry.get("suggestion"),
        file=entry.get("file"),
    )


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    if isinstance(content, dict) and content.keys() & {"code", "title", "error_code"}:
        return content
    return None
