"""Use cases of secrets on an open transaction: set, list, delete, and what a step is given."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import project_secrets as table
from mlq.db.events import record
from mlq.db.projects import DEFAULT, owner_of_job
from mlq.errors import ConflictError, NotFoundError, StepError, nearest
from mlq.service import projects
from mlq.service.names import invalid
from mlq.service.vault import Vault

MIN_LENGTH = 4
MAX_LENGTH = 32_768
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def put(
    conn: Connection, name: str, value: str, *, vault: Vault, actor: str, project: str | None
) -> None:
    """Keep a secret of a project, in place of an earlier one of that name.

    Raises MlqError (code `invalid`), ConflictError (code `other_secret_key`) where earlier secrets
    are encrypted with a key that this machine does not have.
    """
    if not _NAME.fullmatch(name):
        raise invalid(
            f"{name!r:.80} cannot name a secret, which is given as an environment variable.",
            hint="Use letters, digits and '_', no digit first, 128 characters at most.",
        )
    if not MIN_LENGTH <= len(value) <= MAX_LENGTH or "\0" in value:
        raise invalid(
            f"A secret has {MIN_LENGTH} to {MAX_LENGTH:,} characters and no NUL; a shorter one "
            "could not be told from other words of a log."
        )
    owner = project or DEFAULT
    projects.require_known(conn, owner)
    if table.other_keys(conn, vault.key_id):
        raise ConflictError(
            "Other secrets are encrypted with a key that this machine does not have.",
            code="other_secret_key",
            hint="Set MLQ_SECRET_KEY to that key; or delete all secrets, and set them anew.",
        )
    table.put(conn, owner, name, value=vault.encrypt(value), key_id=vault.key_id, actor=actor)
    record(conn, "secret.set", subject=f"secret:{owner}/{name}", actor=actor)


def list_all(conn: Connection, *, project: str | None) -> Sequence[RowMapping]:
    """name, set_by and set_at of a project's secrets; nobody is told their values."""
    return table.list_all(conn, project or DEFAULT)


def remove(conn: Connection, name: str, *, actor: str, project: str | None) -> None:
    """Forget a secret; steps that name it fail from now on. Raises NotFoundError."""
    owner = project or DEFAULT
    if not table.remove(conn, owner, name):
        raise NotFoundError(f"There is no secret '{name:.80}'.", hint=_near(conn, owner, name))
    record(conn, "secret.delete", subject=f"secret:{owner}/{name}", actor=actor)


def find_missing(conn: Connection, names: Collection[str], *, project: str | None) -> list[str]:
    """Those of `names` that the project has no secret of."""
    if not names:
        return []
    return sorted(set(names) - table.find(conn, project or DEFAULT, names).keys())


def reveal(
    conn: Connection, root_id: str, names: Collection[str], *, vault: Vault
) -> dict[str, str]:
    """The secrets that a step of this job tree names, of its project.

    Raises StepError (code `no_secret`) for one that is gone, or encrypted with another key.
    """
    found = table.find(conn, owner_of_job(conn, root_id), names)
    revealed: dict[str, str] = {}
    for name in names:
        value, key_id = found.get(name, ("", vault.key_id))
        if not value:
            raise StepError(
                f"There is no secret '{name}' any more.",
                code="no_secret",
                hint=f"Set it: `mlq secret set {name}`.",
            )
        if key_id != vault.key_id:
            raise StepError(
                f"The secret '{name}' is encrypted with a key that this worker does not have.",
                code="no_secret",
                hint="Give the worker the API's key: MLQ_SECRET_KEY, or MLQ_HOME/secret.key.",
            )
        revealed[name] = vault.decrypt(value)
    return revealed


def _near(conn: Connection, owner: str, name: str) -> str:
    close = nearest(name, [row["name"] for row in table.list_all(conn, owner)])
    return f"Did you mean '{close}'?" if close else ""
