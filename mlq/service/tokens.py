"""Tokens: who may call the API. Only the sha256 of a token is ever stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from mlq.db import events
from mlq.db import tokens as table
from mlq.errors import ConflictError, MlqError, NotFoundError, UnauthorizedError
from mlq.ids import new_id, parse_id
from mlq.service import projects

Role = Literal["viewer", "submitter", "admin"]
#: What each role may do, least first: look, submit and serve, administer.
ROLES: tuple[Role, ...] = ("viewer", "submitter", "admin")
Kind = Literal["api", "login", "session", "attempt"]

LOGIN_LIFETIME_S = 600.0
SESSION_LIFETIME_S = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class AttemptScope:
    """The one attempt of a job that a token is good for."""

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling. name: of the token; kind `session` came in by cookie.

    attempt: of code that runs inside a job; it may touch that attempt and nothing else.
    project: the only one that it reaches; None: all of them.
    """

    token_id: str
    name: str
    role: Role
    kind: Kind
    attempt: AttemptScope | None = None
    project: str | None = None

    def may(self, role: Role) -> bool:
        """Whether this caller has `role` or more; code inside a job has none."""
        return self.attempt is None and ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made. `token` is the secret: shown once, not stored."""

    id: str
    name: str
    role: Role
    token: str
    project: str | None = None


def digest_of(token: str) -> str:
    """What is stored of a token. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def create(
    conn: Connection,
    *,
    name: str,
    role: str,
    actor: str,
    kind: Kind = "api",
    expires_in_s: float | None = None,
    project: str | None = None,
    secret: Callable[[], str] = lambda: secrets.token_urlsafe(32),
) -> NewToken:
    """Make a token.

    project: the only one that it reaches; an administrator's reaches all.
    Raises MlqError (code `invalid`) for a role that does not exist, an empty name or a time that
    has passed, NotFoundError for a project that there is not.
    """
    if role not in ROLES:
        raise MlqError(
            f"There is no role '{role}'.", code="invalid", hint=f"Use {', '.join(ROLES)}."
        )
    if not name.strip() or len(name) > 255:
        raise MlqError("A token needs a name of 1 to 255 characters.", code="invalid")
    if expires_in_s is not None and not 0 < expires_in_s < 100 * 366 * 86400:
        raise MlqError("expires_in_s must lie between 0 and a hundred years.", code="invalid")
    if project is not None:
        if role == "admin":
            raise MlqError(
                "An admin token reaches every project.",
                code="invalid",
                hint="Leave out the project, or use the role submitter.",
            )
        projects.require_known(conn, project)
    token = f"mlq_{secret()}"
    new = NewToken(id=new_id(), name=name.strip(), role=role, token=token, project=project)
    _store(conn, new, kind=kind, expires_in_s=expires_in_s, actor=actor)
    return new


def adopt(conn: Connection, token: str, *, name: str, role: Role, actor: str) -> str:
    """See to it that `token` is known, as `mlq up` does with MLQ_HOME/token; return its id.

    Raises ConflictError when it was revoked or has expired.
    """
    found = authenticate(conn, digest_of(token))
    if found is not None:
        return found.token_id
    if table.is_known(conn, digest_of(token)):
        raise ConflictError(
            "The token was revoked or has expired.", hint="Remove the token file, then start again."
        )
    new = NewToken(id=new_id(), name=name, role=role, token=token)
    _store(conn, new, kind="api", expires_in_s=None, actor=actor)
    return new.id


def authenticate(conn: Connection, digest: str) -> Principal | None:
    """Who owns the token with this digest; None when it is unknown, expired, revoked or a login."""
    row = table.find_live(conn, digest)
    if row is None or row["kind"] == "login":
        return None
    return Principal(
        token_id=row["id"],
        name=row["name"],
        role=row["role"],
        kind=row["kind"],
        project=row["project"],
    )


def create_login(conn: Connection, *, name: str, role: Role, actor: str) -> NewToken:
    """Make a one-time token for the address that `mlq up` prints; good for ten minutes."""
    return create(
        conn, name=name, role=role, actor=actor, kind="login", expires_in_s=LOGIN_LIFETIME_S
    )


def open_session(conn: Connection, token: str) -> NewToken:
    """Exchange a one-time login token, or an API token, for a session's token.

    Raises UnauthorizedError when it is unknown or was used before.
    """
    digest = digest_of(token)
    row = table.use_once(conn, digest)
    if row is None:
        row = table.find_live(conn, digest)
        if row is None or row["kind"] != "api":
            raise UnauthorizedError(
                "This login link or token is not known, has expired or was used before.",
                hint="Log in with an access token: `mlq token create NAME` makes one, and the file "
                "`token` in the MLQ_HOME of `mlq up` has the admin's. A fresh link is printed when "
                "`mlq up` starts.",
            )
    return create(
        conn,
        name=row["name"],
        role=row["role"],
        actor=row["name"],
        kind="session",
        project=row["project"],
        expires_in_s=SESSION_LIFETIME_S,
    )


def close_session(conn: Connection, token: str) -> None:
    """Log out: the session's token is worth nothing any more."""
    table.revoke(conn, {"digest": digest_of(token), "kind": "session"})


def revoke(conn: Connection, token_id: str, *, actor: str) -> None:
    """Revoke an API token at once (a server process may still accept it for two seconds).

    Raises NotFoundError; ConflictError for the last admin token, after which nobody could help.
    """
    known = parse_id(token_id)
    row = table.revoke(conn, {"id": known, "kind": "api"}) if known else None
    if row is None:
        raise NotFoundError(f"There is no token '{token_id}'.", hint="`GET /v1/tokens` lists them.")
    if row["role"] == "admin" and not table.count_live_admins(conn):
        raise ConflictError(
            f"'{row['name']}' is the last admin token: without it nobody could make another.",
            hint="Create another admin token first.",
        )
    table.revoke_sessions(conn, opener=row["name"])
    events.record(conn, "token.revoke", subject=f"token:{row['name']}", actor=actor)


def _store(
    conn: Connection, new: NewToken, *, kind: Kind, expires_in_s: float | None, actor: str
) -> None:
    row = {
        "id": new.id,
        "name": new.name,
        "kind": kind,
        "digest": digest_of(new.token),
        "role": new.role,
        "project": new.project,
    }
    table.add(conn, row, expires_in_s=expires_in_s)
    events.record(
        conn,
        f"token.{'create' if kind == 'api' else kind}",
        subject=f"token:{new.name}",
        actor=actor,
        detail={"role": new.role, "project": new.project},
    )
