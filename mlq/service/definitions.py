"""What components and environments have in common: names with versions that never change."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import events
from mlq.db.definitions import Definitions
from mlq.errors import ConflictError, NotFoundError, nearest
from mlq.service import projects
from mlq.service.names import check_name, invalid
from mlq.spec import spec_digest

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
#: Of a file: what says which version it is, or nothing at all.
_OUTSIDE = frozenset({"$schema", "name", "version"})
_CREATED = {"component": "component.create", "environment": "environment.create"}


def read_name(data: Mapping[str, Any], *, what: str) -> tuple[str, str | None]:
    """Name and version that a file gives to its definition; None: the next number.

    Raises MlqError (code `invalid`) where they cannot be.
    """
    name, version = data.get("name"), data.get("version")
    if not isinstance(name, str):
        raise invalid(
            f"The {what} has no name.", hint="Write `name: …` into its file; jobs go by it."
        )
    check_name(name, what=what)
    if version is None:
        return name, None
    if not _VERSION.fullmatch(str(version)) or str(version) == "latest":
        raise invalid(f"{version!r:.80} cannot be a version: letters, digits, '.', '_' and '-'.")
    return name, str(version)


def register(
    conn: Connection,
    rows: Definitions,
    definition: Mapping[str, Any],
    *,
    name: str,
    version: str | None,
    actor: str,
    project: str | None,
) -> tuple[RowMapping, bool]:
    """Register a checked definition, or find the version that says it; and whether it is new.

    Raises ConflictError where the version says something else, or the name is another project's.
    """
    digest = spec_digest({k: v for k, v in definition.items() if k not in _OUTSIDE})
    projects.own_name(conn, rows.kind, name, project)
    while True:
        # Whoever loses a race for a number finds the winner's row, or takes the next number.
        there = (
            rows.find_digest(conn, name, digest)
            if version is None
            else rows.find(conn, name, version=version)
        )
        if there is not None:
            if there["digest"] != digest:
                raise ConflictError(
                    f"Version {version} of '{name}' is there, and says something else.",
                    hint="Versions do not change: write another `version`, or none.",
                )
            return there, False
        ordinal = rows.last_ordinal(conn, name) + 1
        made = rows.insert(
            conn,
            {
                "name": name,
                "version": version or _next_version(conn, rows, name, ordinal),
                "ordinal": ordinal,
                "digest": digest,
                "definition": definition,
                "created_by": actor,
            },
        )
        if made is not None:
            events.record(
                conn,
                _CREATED[rows.kind],
                subject=f"{rows.kind}:{name}:{made['version']}",
                actor=actor,
                detail={"digest": digest},
            )
            return made, True


def find(
    conn: Connection,
    rows: Definitions,
    name: str,
    *,
    version: str = "latest",
    builtin: Sequence[str] = (),
) -> RowMapping:
    """A version by its name. Raises NotFoundError with the nearest name; builtin: other names."""
    found = rows.find(conn, name, version=None if version == "latest" else version)
    if found is not None:
        return found
    what = rows.kind
    latest = rows.find(conn, name)
    if latest is not None:
        raise NotFoundError(
            f"{what.capitalize()} '{name}' has no version '{version:.80}'.",
            hint=f"The latest is {latest['version']}.",
        )
    close = nearest(f"mlq:{name}", [*builtin, *(f"mlq:{other}" for other in rows.names(conn))])
    raise NotFoundError(
        f"There is no {what} '{name:.100}'.",
        hint=f"Did you mean '{close}'?" if close else f"`mlq {what} list` shows what there is.",
    )


def find_of_project(
    conn: Connection, rows: Definitions, name: str, *, version: str | None, project: str | None
) -> RowMapping | None:
    """A version that the project has; None where there is none. version: None for the latest."""
    found = rows.find(conn, name, version=version)
    if found is None:
        return None
    try:
        projects.require_name(conn, rows.kind, name, project)
    except NotFoundError:
        return None
    return found


def _next_version(conn: Connection, rows: Definitions, name: str, ordinal: int) -> str:
    """The first free number from `ordinal` on: files may have said numbers, too."""
    while rows.find(conn, name, version=str(ordinal)) is not None:
        ordinal += 1
    return str(ordinal)
