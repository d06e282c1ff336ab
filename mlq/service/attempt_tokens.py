"""Tokens that user code gets: each is good for one attempt of one job, and only while it runs.

A token says whose it is and is signed (HMAC-SHA-256) with a key of the installation, so making one
costs no statement. It is worth nothing once the attempt has ended or another one has begun: that is
looked up. What a holder may reach is decided in `mlq_api.auth`.
"""

from __future__ import annotations

import hmac
import re
import secrets as randomness
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from mlq.db import secrets
from mlq.db.projects import owner_of_job
from mlq.db.queries import jobs
from mlq.service.tokens import AttemptScope, Principal

PREFIX = "mlqa_"
_KEY = "attempt_tokens"
_TOKEN = re.compile(PREFIX + r"([0-9a-f]{32})_([1-9][0-9]{0,8})_([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes tokens of attempts. key: 256 random bits as hex digits."""

    key: str

    def token_for(self, job_id: str, attempt: int) -> str:
        """The token of an attempt, always the same."""
        return f"{PREFIX}{job_id}_{attempt}_{self._signature(job_id, attempt)}"

    def scope_of(self, token: str) -> AttemptScope | None:
        """Whose token this is; None when it was not signed here."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        job_id, attempt = found[1], int(found[2])
        if not hmac.compare_digest(found[3], self._signature(job_id, attempt)):
            return None
        return AttemptScope(job_id, attempt)

    def _signature(self, job_id: str, attempt: int) -> str:
        message = f"attempt:{job_id}:{attempt}".encode()
        return hmac.digest(bytes.fromhex(self.key), message, "sha256").hex()

    def __repr__(self) -> str:
        return "Signer(…)"  # the key must not reach a log


def prepare(conn: Connection, *, random: Callable[[int], str] = randomness.token_hex) -> None:
    """See to it that the installation has a key; writes only where it has none."""
    if secrets.find(conn, _KEY) is None:
        secrets.keep(conn, _KEY, random(32))


def signer(conn: Connection) -> Signer | None:
    """The installation's signer; None before any process of it has called `prepare`."""
    key = secrets.find(conn, _KEY)
    return None if key is None else Signer(key)


def authenticate(conn: Connection, token: str) -> Principal | None:
    """Who owns this token of an attempt; None unless that attempt is running now."""
    known = signer(conn)
    scope = known.scope_of(token) if known else None
    if scope is None or not jobs.is_running(conn, scope.job_id, attempt=scope.attempt):
        return None
    return Principal(
        token_id="",
        name=f"job:{scope.job_id}",
        role="viewer",
        kind="attempt",
        attempt=scope,
        project=owner_of_job(conn, scope.job_id),
    )
