"""What every request passes before anything else: Host, body limits, security headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlq.errors import MlqError, NotFoundError, TooLargeError
from mlq_api.problems import problem_of

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ANY_ADDRESS = frozenset({"0.0.0.0", "::", "[::]", ""})
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
#: On every answer that does not say otherwise itself.
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "content-security-policy": _API_POLICY,
}
#: No scripts at all; the one inline style sheet is part of each page.
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
#: Paths whose body is a file rather than a document.
_UPLOADS = re.compile(r"/v1/(blobs(/[0-9a-f]{64})?|trees/[^/]+|data/[^/]+/versions)")
#: The same, also where the file is JSON: what MLflow's clients log.
_MLFLOW_FILES = re.compile(r"(/mlflow)?/api/2\.0/mlflow-artifacts/artifacts/.+")


def allowed_hosts(host: str, further: Iterable[str]) -> frozenset[str]:
    """Host names to answer to. host: what the server binds; `*` among `further` allows all."""
    bound = () if host in _ANY_ADDRESS else (f"[{host}]" if ":" in host else host,)
    return frozenset(name.lower() for name in (*_LOOPBACK, *bound, *further))


class GuardMiddleware:
    """Refuses other hosts' names (DNS rebinding) and bodies beyond their limit; adds headers."""

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str], max_body_bytes: int, max_upload_bytes: int
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._max_body_bytes = max_body_bytes
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit(scope, headers)
        send = with_headers(send)
        refusal = self._refuse_host(headers) or refuse_address(scope, headers, limit)
        if refusal is not None:
            response = problem_of(refusal)
            response.headers["connection"] = "close"  # its body is not read
            await response(scope, receive, send)
            return
        await self._app(scope, limited(receive, limit), send)

    def _limit(self, scope: Scope, headers: Headers) -> int:
        is_json = headers.get("content-type", "").startswith("application/json")
        is_document = is_json and b"filename=" not in scope.get("query_string", b"")
        path = get_route_path(scope)
        if _MLFLOW_FILES.fullmatch(path) or (_UPLOADS.fullmatch(path) and not is_document):
            return self._max_upload_bytes
        return self._max_body_bytes

    def _refuse_host(self, headers: Headers) -> MlqError | None:
        host = headers.get("host", "").lower()
        name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
        if name in self._hosts or "*" in self._hosts:
            return None
        return MlqError(
            f"This server does not answer to the host name {name[:100]!r}.",
            code="rejected_host",
            hint="Name it in MLQ_ALLOWED_HOSTS, as a JSON list.",
        )


def refuse_address(scope: Scope, headers: Mapping[str, str], limit: int) -> MlqError | None:
    """Why a request is not looked at further: its address, or the length that it says it has."""
    if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
        return NotFoundError("No address of this server contains a NUL.")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        return too_large(limit)
    return None


def with_headers(send: Send) -> Send:
    """`send`, adding HEADERS to the answer."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = MutableHeaders(raw=message["headers"])
            for name, value in HEADERS.items():
                added.setdefault(name, value)
        await send(message)

    return send_with_headers


def limited(receive: Receive, limit: int) -> Receive:
    """`receive`, up to so many bytes of a body. Raises HTTPException (413)."""
    taken = 0

    async def receive_limited() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > limit:
                error = too_large(limit)
                # of this class, because FastAPI makes 400 of any other while it reads a body
                raise HTTPException(413, error.message, headers={"connection": "close"})
        return message

    return receive_limited


def too_large(limit: int) -> TooLargeError:
    """The error for a body of more than `limit` bytes."""
    return TooLargeError(
        f"The body exceeds the limit of {limit} bytes.",
        hint="MLQ_MAX_BODY_BYTES and MLQ_MAX_UPLOAD_BYTES set the limits.",
    )
