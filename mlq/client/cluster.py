"""The installation itself: workers, queues, tokens and its health."""

from __future__ import annotations

from typing import Any, cast

from mlq.client.documents import Doctor, Queue, Token, Worker
from mlq.client.session import Session
from mlq.errors import MlqError


class Workers:
    """`/v1/workers`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, limit: int | None = None, all: bool = False) -> list[Worker]:
        """Workers of the last hour with what they do; all: of the last day."""
        params = {"all": "true"} if all else {}
        return list(self._session.pages("/v1/workers", limit=limit, **params))


class Queues:
    """`/v1/queues`: one for each compute."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, limit: int | None = None) -> list[Queue]:
        """Every compute with what waits and who serves it."""
        return list(self._session.pages("/v1/queues", limit=limit))


class Tokens:
    """`/v1/tokens`: access tokens; for admins."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, name: str, *, role: str, expires_in_s: int | None = None) -> Token:
        """Make a token; its secret is in this answer only."""
        body: dict[str, Any] = {"name": name, "role": role}
        if expires_in_s is not None:
            body["expires_in_s"] = expires_in_s
        return cast(Token, self._session.json("POST", "/v1/tokens", json=body))

    def list(self, *, limit: int | None = None) -> list[Token]:
        """All tokens, without their secrets."""
        return list(self._session.pages("/v1/tokens", limit=limit))

    def revoke(self, token_id: str) -> None:
        """Make a token worthless, at once."""
        self._session.request("DELETE", f"/v1/tokens/{token_id}")


class Server:
    """Health, and who one is to it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def health(self) -> dict[str, Any]:
        """{"status": "ok", …} from any server that lives; one try."""
        return cast("dict[str, Any]", self._session.json("GET", "/healthz", patience_s=0))

    def ready(self) -> dict[str, Any]:
        """{"status", "checks"}, whether it is ready or not; one try.

        Raises UnreachableError when no server answers.
        """
        try:
            return cast("dict[str, Any]", self._session.json("GET", "/readyz", patience_s=0))
        except MlqError as error:
            if error.code in {"unreachable", "error"}:
                raise
            return {"status": "unavailable", "detail": error.message}

    def whoami(self) -> dict[str, Any]:
        """{"name", "role"} of the token."""
        return cast("dict[str, Any]", self._session.json("GET", "/v1/whoami"))

    def doctor(self) -> Doctor:
        """What the server finds when it examines itself; for admins."""
        return cast(Doctor, self._session.json("GET", "/v1/doctor"))
