"""The installation itself: workers, queues, tokens and its health."""

from __future__ import annotations

from typing import Any, cast

from mlq.client.documents import Doctor, Limit, Project, Queue, ServerProcess, Token, Worker
from mlq.client.paths import locate
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

    def drain(self, name: str) -> Worker:
        """Let a worker take no further step, and end those that it runs; for admins."""
        return cast(Worker, self._session.json("POST", locate("/v1/workers/{}/drain", name)))

    def resume(self, name: str) -> Worker:
        """Let a drained worker take steps again; for admins."""
        return cast(Worker, self._session.json("POST", locate("/v1/workers/{}/resume", name)))


class Servers:
    """`/v1/servers`: APIs and model servers."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self) -> list[ServerProcess]:
        """Those that live."""
        return list(self._session.pages("/v1/servers", limit=None))


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

    def create(
        self,
        name: str,
        *,
        role: str,
        expires_in_s: int | None = None,
        project: str | None = None,
    ) -> Token:
        """Make a token, for one project or for all; its secret is in this answer only."""
        body: dict[str, Any] = {"name": name, "role": role}
        if project is not None:
            body["project"] = project
        if expires_in_s is not None:
            body["expires_in_s"] = expires_in_s
        return cast(Token, self._session.json("POST", "/v1/tokens", json=body))

    def list(self, *, limit: int | None = None) -> list[Token]:
        """All tokens, without their secrets."""
        return list(self._session.pages("/v1/tokens", limit=limit))

    def revoke(self, token_id: str) -> None:
        """Make a token worthless, at once."""
        self._session.request("DELETE", locate("/v1/tokens/{}", token_id))


class Projects:
    """`/v1/projects`: what keeps teams apart."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, name: str) -> Project:
        """Make a project; for admins."""
        return cast(Project, self._session.json("POST", "/v1/projects", json={"name": name}))

    def list(self) -> list[Project]:
        """The projects that the token reaches."""
        return cast("list[Project]", self._session.json("GET", "/v1/projects")["items"])


class Limits:
    """`/v1/limits`, `/v1/quotas`: how many steps run at once, on all machines together."""

    def __init__(self, session: Session, *, kind: str) -> None:
        self._session = session
        self._path = f"/v1/{kind}"

    def set(self, name: str, slots: int) -> None:
        """Set the limit, or the project's quota; for admins."""
        self._session.request("PUT", locate(f"{self._path}/{{}}", name), json={"slots": slots})

    def list(self) -> list[Limit]:
        """All of them, with what is in use and how many steps wait."""
        return cast("list[Limit]", self._session.json("GET", self._path)["items"])

    def delete(self, name: str) -> None:
        """Remove it; for admins."""
        self._session.request("DELETE", locate(f"{self._path}/{{}}", name))


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

    def doctor(self, *, audit: bool = False) -> Doctor:
        """What the server finds when it examines itself; for admins.

        audit: whether every job kept its promises and every output its bytes; may take minutes.
        """
        query = {"audit": "true"} if audit else None
        return cast(
            Doctor,
            self._session.json("GET", "/v1/doctor", params=query, timeout_s=300 if audit else None),
        )
