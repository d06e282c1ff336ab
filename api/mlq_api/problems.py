"""Errors as RFC 9457 problem details, the only form in which this API says no."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mlq.errors import (
    ConflictError,
    ForbiddenError,
    MlqError,
    NotFoundError,
    SettingsError,
    TooLargeError,
    TooManyFailuresError,
    UnauthorizedError,
    UnavailableError,
)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1

_STATUS_OF_CODE = {
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unsupported_media": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "idempotency_mismatch": HTTPStatus.UNPROCESSABLE_ENTITY,
    "digest_mismatch": HTTPStatus.UNPROCESSABLE_ENTITY,
    "rejected_host": HTTPStatus.MISDIRECTED_REQUEST,
}
_STATUS_OF_CLASS: Mapping[type[MlqError], HTTPStatus] = {
    UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    TooManyFailuresError: HTTPStatus.TOO_MANY_REQUESTS,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    SettingsError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_CODE_OF_STATUS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media",
    422: "invalid",
    503: "unavailable",
}


def status_of(error: MlqError) -> int:
    """The HTTP status that stands for `error`; 422 for any other fault of the caller."""
    if error.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[error.code]
    for kind in type(error).__mro__:
        if kind in _STATUS_OF_CLASS:
            return _STATUS_OF_CLASS[kind]
    return HTTPStatus.UNPROCESSABLE_ENTITY


def problem_of(error: MlqError) -> Response:
    """The answer that `error` makes."""
    record = error.as_dict()
    status = status_of(error)
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Bearer realm="mlq"'
    if isinstance(error, TooManyFailuresError):
        headers["retry-after"] = str(error.retry_after_s)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = str(RETRY_AFTER_S)
    return problem(
        status,
        detail=record.pop("message"),
        code=record.pop("code"),
        headers=headers,
        **record,
    )


def problem(
    status: int, *, detail: str, code: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """A problem document. more: `hint`, `problems`."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        **more,
    }
    content = json.dumps(body, ensure_ascii=False).encode(errors="backslashreplace")
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""
    app.add_exception_handler(MlqError, _on_mlq_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_exception_handler(Exception, on_bug)


async def _on_mlq_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MlqError)
    if status_of(error) >= 500:
        log.warning(
            "%s %s: %s",
            request.method,
            request.url.path,
            error.message,
            extra={"action": "request_unavailable", "code": error.code},
        )
    return problem_of(error)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        {
            "path": ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]),
            "message": item["msg"],
            "line": None,
            "suggestion": None,
            "file": None,
        }
        for item in error.errors()
    ]
    listed = "; ".join(f"{item['path']}: {item['message']}" for item in found[:5])
    return problem(
        422, detail=f"The request is not valid: {listed}.", code="invalid", problems=found
    )


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == 404 and detail == "Not Found":
        detail = f"There is nothing at {request.url.path}."
    code = _CODE_OF_STATUS.get(error.status_code, "error")
    return problem(error.status_code, detail=detail, code=code, headers=error.headers)


async def on_disconnect(request: Request, error: Exception) -> Response:
    """The answer to a request whose body did not come whole."""
    # nobody reads it; without it, the log would call a client that went away a fault of the server
    return problem(400, detail="The body broke off.", code="incomplete")


async def on_bug(request: Request, error: Exception) -> Response:
    """The answer to an error that nobody expected, which is logged."""
    log.error(
        "%s %s raised %s",
        request.method,
        request.url.path,
        type(error).__name__,
        exc_info=error,
        extra={"action": "request_failed"},
    )
    return problem(
        500,
        detail="This is a fault of the server, not of the request.",
        code="internal",
        hint="The server's log has the details.",
    )
