"""Who is calling: every path needs a token, but for a short open list.

The middleware decides before anything else looks at a request, so a new route is closed by default.
Reading, predictions included, needs `viewer`, every other method `submitter`; routes for
administrators add `admin_only`. Code inside a job has a token for its own attempt, which opens the
paths of ATTEMPT_PATHS and no other; what is behind them calls `require_own_job`.
"""

from __future__ import annotations

import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from fastapi import Request
from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mlq.errors import ForbiddenError, MlqError, UnauthorizedError
from mlq.service import attempt_tokens
from mlq.service.tokens import Principal, digest_of
from mlq_api.failed_logins import FailedLogins
from mlq_api.problems import problem_of

COOKIE = "mlq_session"
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/login"})
#: Below these no token is asked for: files of the console, and hooks, whose bodies are signed.
OPEN_PREFIXES = ("/static/", "/v1/hooks/")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: POST that changes nothing but the caller's own session: logging out, predictions, searches.
VIEWER_PATHS = re.compile(
    r"/logout|/v2/.*|/endpoints/[^/]+/score"
    r"|(/mlflow)?/api/2\.0/mlflow/(experiments|runs|logged-models)/search"
)
#: Where tokens of attempts are good: tracking and its artifacts, and predictions of its project's
#: endpoints. Everything else behind these paths must call `require_own_job` with the job that it
#: touches.
ATTEMPT_PATHS = re.compile(
    r"/v1/whoami|/endpoints/[^/]+/score"
    r"|/mlflow/api/2\.0/.*|/api/2\.0/(mlflow|mlflow-artifacts)/.*"
)
#: Whoever has the token for /metrics alone.
METRICS = Principal(token_id="", name="metrics", role="viewer", kind="api")


class Principals:
    """Who a token belongs to, remembered for two seconds: a revoked one lives on no longer.

    lookup: digest -> principal, from the database.
    lookup_attempt: token of an attempt -> principal; without it such tokens are not known.
    """

    TTL_S = 2.0
    SIZE = 4096

    def __init__(
        self,
        lookup: Callable[[str], Awaitable[Principal | None]],
        *,
        lookup_attempt: Callable[[str], Awaitable[Principal | None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._lookup_attempt = lookup_attempt
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Principal | None]] = OrderedDict()

    async def find(self, token: str) -> Principal | None:
        """The principal of `token`, None when it is not worth anything."""
        digest = digest_of(token)
        found = self._known.get(digest)
        now = self._clock()
        if found is not None and found[0] > now:
            return found[1]
        if self._lookup_attempt is not None and token.startswith(attempt_tokens.PREFIX):
            principal = await self._lookup_attempt(token)
        else:
            principal = await self._lookup(digest)
        self._known[digest] = (now + self.TTL_S, principal)
        self._known.move_to_end(digest)
        while len(self._known) > self.SIZE:
            self._known.popitem(last=False)
        return principal

    def forget(self) -> None:
        """Ask the database again at the next request, as after a revocation by this process."""
        self._known.clear()


class Uses:
    """When the use of a token was last noted, so that it costs a write a minute and no more."""

    EVERY_S = 60.0
    SIZE = 4096

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._noted: dict[str, float] = {}

    def is_due(self, token_id: str) -> bool:
        """Whether the use of a token is to be noted now; then it is not for a minute."""
        now = self._clock()
        if now - self._noted.get(token_id, float("-inf")) < self.EVERY_S:
            return False
        if len(self._noted) >= self.SIZE:
            self._noted.clear()
        self._noted[token_id] = now
        return True


class AuthMiddleware:
    """Puts the caller into `scope["principal"]`, or answers 401, 403 or 429."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        principals: Principals,
        failed_logins: FailedLogins,
        metrics_token: str,
    ) -> None:
        self._app = app
        self._failed_logins = failed_logins
        self._principals = principals
        self._metrics_token = metrics_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        path = get_route_path(scope)
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
            await self._app(scope, receive, send)
            return
        try:
            scope["principal"] = await self._authorize(scope, path)
        except MlqError as error:
            if isinstance(error, UnauthorizedError) and _is_browser(scope):
                target = f"{scope.get('root_path', '')}/login?next={quote(path)}"
                await RedirectResponse(target, status_code=303)(scope, receive, send)
                return
            response = problem_of(error)
            if scope["method"] not in SAFE_METHODS:
                response.headers["connection"] = "close"  # its body is not read
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _authorize(self, scope: Scope, path: str) -> Principal:
        headers = Headers(scope=scope)
        method = scope.get("method", "GET")
        is_bearer = _is_bearer(headers)
        token = token_of(headers)
        if not token:
            raise UnauthorizedError(
                "This needs a token.",
                hint="Send `Authorization: Bearer TOKEN`; MLQ_HOME/token holds the admin token, "
                "`mlq token create` makes others.",
            )
        if path == "/metrics" and is_bearer and is_same_token(token, self._metrics_token):
            return METRICS
        principal = await self._principals.find(token)
        if principal is None or (principal.kind == "session") == is_bearer:
            unknown = UnauthorizedError(
                "This token is not known, has expired or was revoked.",
                hint="MLQ_HOME/token holds the admin token, `mlq token create` makes others.",
            )
            raise self._failed_logins.count(scope, unknown)
        if principal.attempt is not None:
            if not ATTEMPT_PATHS.fullmatch(path):
                raise ForbiddenError(
                    "A job's own token is good for tracking of that job and for predictions only.",
                    hint="Code that needs more of the API gets a token of its own from you.",
                )
            return principal
        principal = _in_project(principal, headers.get("mlq-project", ""))
        if method not in SAFE_METHODS:
            if not is_bearer:
                _require_same_origin(headers)
            if not VIEWER_PATHS.fullmatch(path) and not principal.may("submitter"):
                raise _too_small(principal, "submitter")
        return principal


def is_same_token(given: str, wanted: str) -> bool:
    """Whether both are one token, in a time that tells nothing of it; never where there is none."""
    return bool(wanted) and hmac.compare_digest(given.encode(), wanted.encode())


def principal_of(request: Request) -> Principal:
    """Who sent `request`."""
    principal: Principal = request.scope["principal"]
    return principal


def require_own_job(principal: Principal, job_id: str) -> None:
    """Keep code inside a job to that job. job_id: of the job that a request touches.

    Whatever writes is fenced by `principal.attempt.attempt` in its transaction as well: between
    this check and the commit the attempt may have ended. Raises ForbiddenError.
    """
    if principal.attempt is not None and principal.attempt.job_id != job_id:
        raise ForbiddenError(
            f"The token of job {principal.attempt.job_id} is not good for job {job_id}.",
            hint="Code inside a job may track that job only.",
        )


async def admin_only(request: Request) -> None:
    """Dependency of routes for administrators. Raises ForbiddenError."""
    principal = principal_of(request)
    if not principal.may("admin"):
        raise _too_small(principal, "admin")


def _in_project(principal: Principal, wanted: str) -> Principal:
    """The caller, kept to the project that a request asks for."""
    if not wanted or wanted == principal.project:
        return principal
    if principal.project is not None:
        raise ForbiddenError(
            f"The token '{principal.name}' is for project {principal.project} only.",
            hint="Leave out the header Mlq-Project (MLQ_PROJECT), or use another token.",
        )
    return replace(principal, project=wanted)


def _too_small(principal: Principal, needed: str) -> ForbiddenError:
    return ForbiddenError(
        f"The token '{principal.name}' has the role {principal.role}; this needs {needed}.",
        hint=f"An administrator makes one: `mlq token create --role {needed}`.",
    )


def token_of(headers: Headers) -> str:
    """The token a request carries: bearer, else the session's cookie; empty without one."""
    if _is_bearer(headers):
        return headers["authorization"].partition(" ")[2].strip()
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _is_bearer(headers: Headers) -> bool:
    return headers.get("authorization", "")[:7].lower() == "bearer "


def _require_same_origin(headers: Headers) -> None:
    # Browsers send Origin with every unsafe request; a page elsewhere cannot forge it.
    origin = headers.get("origin", "")
    if not origin or urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise ForbiddenError(
            "A request with the session cookie must come from a page of this server.",
            code="cross_origin",
            hint="Programs send `Authorization: Bearer TOKEN` instead.",
        )


def _is_browser(scope: Scope) -> bool:
    accept = Headers(scope=scope).get("accept", "")
    return scope.get("method") == "GET" and accept.startswith("text/html")
