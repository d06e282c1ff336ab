"""What every request passes first, and the short way of those that ask for predictions.

A small model answers in a few microseconds, so what is around it decides how many requests a
replica takes. Predictions therefore go from here to the model; all other routes are the
framework's, behind the same checks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from starlette._utils import get_route_path
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mlq.errors import MlqError, TooLargeError
from mlq.service.tokens import Principal
from mlq_api import guards, problems
from mlq_api.serving.access import OPEN_PATHS, Bearers
from mlq_api.serving.refusals import refusal_of

_GUARDS = tuple((name.encode(), value.encode()) for name, value in guards.HEADERS.items())


@dataclass(slots=True)
class Call:
    """A request for predictions. headers: by lower-case name, of equal ones the first."""

    path: tuple[str, ...]
    headers: Mapping[str, str]
    principal: Principal
    body: bytes


@dataclass(slots=True)
class Said:
    """An answer. headers: further ones."""

    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] | None = None


Answering: TypeAlias = Callable[[Call], Awaitable[Said]]


class Front:
    """The application: limits of bodies, tokens, and then predictions here or the rest in `app`.

    predictions: paths split at slashes, in which None takes any text, and what answers them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        bearers: Bearers,
        max_body_bytes: int,
        predictions: Mapping[tuple[str | None, ...], Answering],
    ) -> None:
        self.app = app
        self._bearers = bearers
        self._limit = max_body_bytes
        self._predictions: dict[tuple[int, str], tuple[tuple[str | None, ...], Answering]] = {
            (len(path), str(path[-1])): (path, answer) for path, answer in predictions.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in reversed(scope["headers"])
        }
        path = get_route_path(scope)
        scope["principal"] = None
        refusal = guards.refuse_address(scope, headers, self._limit)
        if refusal is None:
            try:
                scope["principal"] = await self._bearers.find(
                    scope, headers.get("authorization", "")
                )
            except MlqError as error:
                refusal = None if path in OPEN_PATHS else error
        if refusal is not None:
            response = refusal_of(refusal, scope)
            response.headers["connection"] = "close"  # its body is not read
            await response(scope, receive, guards.with_headers(send))
            return
        parts = tuple(path.split("/")[1:])
        answer = self._find(parts)
        if answer is None:
            receive = guards.limited(receive, self._limit)
            await self.app(scope, receive, guards.with_headers(send))
            return
        found = await self._predict(answer, parts, headers, scope, receive)
        if isinstance(found, Response):
            await found(scope, receive, guards.with_headers(send))
        else:
            await _send(found, send)

    def _find(self, parts: tuple[str, ...]) -> Answering | None:
        found = self._predictions.get((len(parts), parts[-1]))
        if found is None:
            return None
        pattern, answer = found
        for wanted, part in zip(pattern, parts, strict=True):
            if part != wanted if wanted is not None else not part:
                return None
        return answer

    async def _predict(
        self,
        answer: Answering,
        parts: tuple[str, ...],
        headers: Mapping[str, str],
        scope: Scope,
        receive: Receive,
    ) -> Said | Response:
        if scope["method"] != "POST":
            return problems.problem(
                405,
                detail="Method Not Allowed",
                code="method_not_allowed",
                headers={"allow": "POST"},
            )
        try:
            body = await self._read(receive)
        except TooLargeError as error:
            response = refusal_of(error, scope)
            response.headers["connection"] = "close"  # the rest of its body is not read
            return response
        except ClientDisconnect as error:
            return await problems.on_disconnect(Request(scope), error)
        try:
            return await answer(Call(parts, headers, scope["principal"], body))
        except MlqError as error:
            return refusal_of(error, scope)
        except Exception as error:
            return await problems.on_bug(Request(scope), error)

    async def _read(self, receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body", False):
            if len(body) > self._limit:
                raise guards.too_large(self._limit)
            return body
        parts, size = [body], len(body)
        while message["type"] != "http.disconnect":
            if size > self._limit:
                raise guards.too_large(self._limit)
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        raise ClientDisconnect


async def _send(said: Said, send: Send) -> None:
    headers = [
        (b"content-type", said.media_type.encode()),
        (b"content-length", b"%d" % len(said.body)),
        *_GUARDS,
    ]
    further = said.headers or {}
    headers += [(name.encode(), value.encode("latin-1")) for name, value in further.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said.body})
