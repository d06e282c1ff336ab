"""The console: the files that `make console` built, served under every address it has a page for.

The build knows no address: the prefix behind a proxy is written into its one document as that is
served. Where nothing was built the plain pages answer, as they do for readers that are no browser.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from mlq.errors import NotFoundError
from mlq_api.access import BY_METHOD

FOLDER = Path(__file__).parent / "static"
#: Styles are also set by scripts, for sizes and places; scripts are files of this server only.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False, dependencies=[BY_METHOD])


def shell(request: Request) -> Response | None:
    """The console's document for a browser; None where it was not built, or for other readers."""
    if not request.headers.get("accept", "").startswith("text/html"):
        return None
    try:
        document = (FOLDER / "index.html").read_text("utf-8")
    except FileNotFoundError:
        return None
    root = escape(request.scope.get("root_path", ""))
    document = document.replace('="./', f'="{root}/static/').replace(
        'name="mlq-root" content=""', f'name="mlq-root" content="{root}"'
    )
    return HTMLResponse(
        document, headers={"content-security-policy": _POLICY, "cache-control": "no-cache"}
    )


@router.get("/jobs")
@router.get("/compare")
@router.get("/designer")
@router.get("/models")
@router.get("/models/{name}")
@router.get("/endpoints")
@router.get("/endpoints/{name}")
@router.get("/batch-endpoints/{name}")
@router.get("/approvals")
@router.get("/schedules")
@router.get("/schedules/{name}")
@router.get("/schedule-editor")
@router.get("/data")
@router.get("/data/{name}")
@router.get("/workers")
@router.get("/settings")
async def console_page(request: Request) -> Response:
    """Addresses that only the console has; what they show is up to its scripts."""
    document = shell(request)
    if document is None:
        raise NotFoundError(
            "This page is part of the console, which was not built or needs a browser.",
            hint="`make console` builds it; the same is under `/v1`.",
        )
    return document


def install(app: FastAPI) -> None:
    """Serve the built files below `/static/`, without a token, and browsers that are astray."""
    files = _Files(directory=FOLDER, check_dir=False)
    app.mount("/static", GZipMiddleware(files, minimum_size=1024))
    app.router.default = _NoSuchPage(app.router.default)


class _NoSuchPage:
    """Under an address that nothing has: the console says so to a browser, `refuse` to others."""

    def __init__(self, refuse: ASGIApp) -> None:
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: ASGIApp = self._refuse
        if scope["type"] == "http" and scope["method"] == "GET":
            document = shell(Request(scope))
            if document is not None:
                document.status_code = 404
                answer = document
        await answer(scope, receive, send)


class _Files(StaticFiles):
    async def check_config(self) -> None:
        """Nothing to check: the console may be built while the server runs, or never."""

    def get_path(self, scope: Scope) -> str:
        """A proxy may take its prefix off the path or leave it on; Starlette expects the latter."""
        path: str = scope["path"].removeprefix(scope.get("app_root_path", ""))
        return path.removeprefix("/static/")

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        # The names of the built files carry a digest of what they hold.
        is_named = path.startswith("assets/")
        response.headers["cache-control"] = (
            "public, max-age=31536000, immutable" if is_named else "no-cache"
        )
        return response
