"""Tokens of callers, also while the database is away."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from starlette.types import Scope

from mlq.errors import UnauthorizedError, UnavailableError
from mlq.service.tokens import Principal
from mlq_api.auth import METRICS, Principals, is_same_token
from mlq_api.failed_logins import FailedLogins

OPEN_PATHS = frozenset({"/v2/health/live", "/v2/health/ready"})
_SIZE = 4096


class Outliving:
    """A look-up of tokens that goes on with what it last found while the database is away.

    A token cannot be revoked without the database either; still, after `limit_s` without an answer
    it is no longer accepted.
    """

    LIMIT_S = 3600.0

    def __init__(
        self,
        lookup: Callable[[str], Awaitable[Principal | None]],
        *,
        is_away: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._is_away = is_away
        self._clock = clock
        self._found: OrderedDict[str, tuple[float, Principal]] = OrderedDict()

    async def find(self, digest: str) -> Principal | None:
        """The principal of a token. Raises UnavailableError where that is not known."""
        known = self._remembered(digest)
        if known is not None and self._is_away():
            return known  # without waiting for a database that does not answer
        try:
            principal = await self._lookup(digest)
        except UnavailableError:
            if known is None:
                raise
            return known
        self._found.pop(digest, None)
        if principal is not None:
            self._found[digest] = (self._clock(), principal)
            while len(self._found) > _SIZE:
                self._found.popitem(last=False)
        return principal

    def _remembered(self, digest: str) -> Principal | None:
        at, principal = self._found.get(digest, (0.0, None))
        return principal if self._clock() - at < self.LIMIT_S else None


class Bearers:
    """Who is calling. Every path but health needs a token, whatever its role.

    metrics_token: is good for /metrics and nothing else; empty: there is none.
    """

    def __init__(
        self, principals: Principals, *, failed_logins: FailedLogins, metrics_token: str = ""
    ) -> None:
        self._metrics_token = metrics_token
        self._failed_logins = failed_logins
        self._principals = principals

    async def find(self, scope: Scope, authorization: str) -> Principal:
        """The caller by a request's header. Raises UnauthorizedError, TooManyFailuresError."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise UnauthorizedError(
                "This needs a token.",
                hint="Send `Authorization: Bearer TOKEN`; `mlq token create` makes one.",
            )
        if scope["path"] == "/metrics" and is_same_token(token.strip(), self._metrics_token):
            return METRICS
        principal = await self._principals.find(token.strip())
        if principal is None:
            unknown = UnauthorizedError(
                "This token is not known, has expired or was revoked.",
                hint="`mlq token create` makes another.",
            )
            raise self._failed_logins.count(scope, unknown)
        return principal
