"""What other processes answer under this address: serving (`/v2`, `/endpoints`) and Flower."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable

import httpx
from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse, StreamingResponse

from mlq.errors import ForbiddenError, NotFoundError, UnavailableError
from mlq_api.access import OF_ENDPOINT, VIEWER, project_of
from mlq_api.auth import token_of
from mlq_api.operations import PROBLEMS, content, takes
from mlq_api.schemas import Anything, Prediction
from mlq_api.server import Server, server_of

router = APIRouter(responses=PROBLEMS, dependencies=[VIEWER])

#: Of one connection only (RFC 9110, 7.6.1), or ours to set.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "date",
        "server",
    }
)
_FLOWER_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
)


@router.post(
    "/endpoints/{name}/score",
    tags=["inference"],
    response_model=Prediction,
    summary="Ask an endpoint for predictions",
    dependencies=[OF_ENDPOINT],
    openapi_extra=takes(
        None, ("application/json", '{"rows": [{"tenure": 3}], "params": {"probabilities": true}}')
    ),
)
async def score(request: Request, name: str) -> Response:
    """`{"rows": [{column: value}]}`, or Azure's `{"input_data": {"columns", "index", "data"}}`.

    The header `mlq-deployment` (or `azureml-model-deployment`) picks a deployment.
    """
    return await _pass_to_serving(request)


@router.get(
    "/v2",
    tags=["inference"],
    response_model=Anything,
    summary="Open Inference Protocol: the server",
)
async def v2_server(request: Request) -> Response:
    """Name, version and extensions."""
    return await _pass_to_serving(request)


@router.get(
    "/v2/{path:path}",
    tags=["inference"],
    response_model=Anything,
    summary="Open Inference Protocol: health and models",
)
async def v2_get(request: Request, path: str) -> Response:
    """`health/live`, `health/ready`, `models/{model}[/versions/{version}][/ready]`."""
    return await _pass_to_serving(request)


@router.post(
    "/v2/{path:path}",
    tags=["inference"],
    response_model=Anything,
    summary="Open Inference Protocol: predictions",
    openapi_extra=takes(None, ("application/json", '{"inputs": []}')),
)
async def v2_post(request: Request, path: str) -> Response:
    """`models/{model}[/versions/{version}]/infer`; a version is a number or an alias."""
    return await _pass_to_serving(request)


async def _pass_to_serving(request: Request) -> Response:
    server = server_of(request)
    if not server.settings.serve_url:
        raise UnavailableError(
            "This server does not know a serving process.",
            code="no_serving",
            hint="Start `mlq serve` and set MLQ_SERVE_URL, or start `mlq up`.",
        )
    headers = _passed_on(request.headers.items())
    headers.pop("cookie", None)
    headers["authorization"] = f"Bearer {token_of(request.headers)}"  # it knows the project
    return await _pass_on(request, server, server.settings.serve_url, headers)


@router.get("/flower", include_in_schema=False)
async def flower_root(request: Request) -> Response:
    """Its pages live below `/flower/`."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/flower/", status_code=307)


@router.get(
    "/flower/{path:path}",
    tags=["flower"],
    summary="Flower, read-only",
    responses=content("text/html", example="<!doctype html>"),
    response_class=Response,
)
async def flower(request: Request, path: str) -> Response:
    """Celery's own monitor behind this server's login. Its acts are POST, and not passed on."""
    return await _pass_to_flower(request)


async def _pass_to_flower(request: Request) -> Response:
    if project_of(request) is not None:
        raise ForbiddenError(
            "Flower shows the steps of every project.",
            hint="It takes a token that reaches all projects.",
        )
    server = server_of(request)
    base = server.settings.flower_url.rstrip("/").removesuffix("/flower")
    if not base:
        raise NotFoundError(
            "This server does not know a Flower.", hint="Start one and set MLQ_FLOWER_URL."
        )
    headers = _passed_on(request.headers.items())
    for name in ("cookie", "authorization"):
        headers.pop(name, None)
    auth = server.settings.flower_auth.get_secret_value()
    if auth:
        headers["authorization"] = "Basic " + base64.b64encode(auth.encode()).decode()
    response = await _pass_on(request, server, base, headers)
    response.headers["content-security-policy"] = _FLOWER_POLICY
    return response


async def _pass_on(
    request: Request, server: Server, base: str, headers: dict[str, str]
) -> StreamingResponse:
    # As it was written: decoding a path and encoding it again may change what it means.
    raw = request.scope.get("raw_path") or request.url.path.encode()
    path = raw.decode("ascii").partition("?")[0].removeprefix(request.scope.get("root_path", ""))
    if ".." in path.split("/"):
        raise NotFoundError("There is nothing there.")
    query = request.url.query
    has_body = request.method not in {"GET", "HEAD"}
    sent = server.http.build_request(
        request.method,
        f"{base.rstrip('/')}{path}" + (f"?{query}" if query else ""),
        headers=headers,
        content=request.stream() if has_body else None,
    )
    try:
        answer = await server.http.send(sent, stream=True)
    except httpx.HTTPError as error:
        raise UnavailableError(
            f"The process behind {path} does not answer ({type(error).__name__}).",
            code="upstream_unavailable",
            hint="`mlq doctor` says more.",
        ) from None
    response = StreamingResponse(_chunks_of(answer), status_code=answer.status_code)
    response.raw_headers = [
        (name.lower().encode(), value.encode())
        for name, value in answer.headers.multi_items()
        if name.lower() not in _HOP_BY_HOP and name.lower() != "set-cookie"
    ]
    return response


def _passed_on(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    passed = {name.lower(): value for name, value in headers if name.lower() not in _HOP_BY_HOP}
    passed.setdefault(
        "accept-encoding", "identity"
    )  # or httpx asks for what our caller may not know
    return passed


async def _chunks_of(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()
