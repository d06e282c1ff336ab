"""Registered components: step definitions with a name and versions, which never change.

What a definition names itself is pinned when it is registered: a version means the same whenever it
is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import components as rows
from mlq.db import events
from mlq.db.garbage import pardon
from mlq.errors import ConflictError, NotFoundError, nearest
from mlq.service import projects
from mlq.service.names import check_name, invalid
from mlq.spec import (
    BUILTIN,
    Component,
    Document,
    JobTemplate,
    check_component,
    find_builtin,
    find_component_names,
    parse_component,
    replace,
    spec_digest,
)
from mlq.spec.steps import FindComponent

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_DIGEST = re.compile(r"artifact:sha256:([0-9a-f]{64})")
#: Of a component's file: what says which version it is, or nothing at all.
_OUTSIDE = frozenset({"$schema", "name", "version"})


def create(
    conn: Connection, document: Document, *, actor: str, project: str | None = None
) -> tuple[RowMapping, bool]:
    """Register what a component's file says, or find the version that says it.

    The version is the file's `version`, else the next number. Returns it and whether it is new.
    Raises SpecError for what is wrong with the file; ConflictError where the version says something
    else, or the name is another project's; MlqError (code `invalid`).
    """
    name, version = document.data.get("name"), document.data.get("version")
    if not isinstance(name, str):
        raise invalid(
            "The component has no name.", hint="Write `name: …` into its file; steps go by it."
        )
    check_name(name, what="component")
    if f"mlq:{name}" in BUILTIN:
        raise invalid(f"'{name}' is a component of mlq itself.", hint="Choose another name.")
    wanted = None if version is None else str(version)
    if wanted is not None and (not _VERSION.fullmatch(wanted) or wanted == "latest"):
        raise invalid(f"{wanted!r:.80} cannot be a version: letters, digits, '.', '_' and '-'.")
    check_component(document, components=finder(conn, project))
    definition = _pinned(conn, document, project)
    digest = spec_digest({k: v for k, v in definition.items() if k not in _OUTSIDE})
    projects.own_name(conn, "component", name, project)
    pardon(conn, _DIGEST.findall(str(definition)))
    while True:
        # Whoever loses a race for a number finds the winner's row, or takes the next number.
        there = (
            rows.find_digest(conn, name, digest)
            if wanted is None
            else rows.find(conn, name, version=wanted)
        )
        if there is not None:
            if there["digest"] != digest:
                raise ConflictError(
                    f"Version {wanted} of '{name}' is there, and says something else.",
                    hint="Versions do not change: write another `version`, or none.",
                )
            return there, False
        ordinal = rows.last_ordinal(conn, name) + 1
        made = rows.insert(
            conn,
            {
                "name": name,
                "version": wanted or _next_version(conn, name, ordinal),
                "ordinal": ordinal,
                "digest": digest,
                "definition": definition,
                "created_by": actor,
            },
        )
        if made is not None:
            subject = f"component:{name}:{made['version']}"
            events.record(
                conn, "component.create", subject=subject, actor=actor, detail={"digest": digest}
            )
            return made, True


def find(conn: Connection, name: str, *, version: str = "latest") -> RowMapping:
    """A version of a component. Raises NotFoundError with the nearest name."""
    found = rows.find(conn, name, version=None if version == "latest" else version)
    if found is not None:
        return found
    latest = rows.find(conn, name)
    if latest is not None:
        raise NotFoundError(
            f"Component '{name}' has no version '{version:.80}'.",
            hint=f"The latest is {latest['version']}.",
        )
    close = nearest(f"mlq:{name}", [*BUILTIN, *(f"mlq:{other}" for other in rows.names(conn))])
    raise NotFoundError(
        f"There is no component '{name:.100}'.",
        hint=f"Did you mean '{close}'?" if close else "`mlq component list` shows what there is.",
    )


def templates(
    conn: Connection, references: Iterable[str], project: str | None
) -> dict[str, JobTemplate | None]:
    """What each reference stands for now; None where it is nothing that the project has."""
    return {reference: _template(conn, reference, project) for reference in references}


def finder(
    conn: Connection, project: str | None, *, pinned: Mapping[str, str] | None = None
) -> FindComponent:
    """Finds components while a job file is compiled.

    pinned: what references stand for, where that is not to be what they stand for now.
    """
    known = pinned or {}

    def look_up(reference: str) -> Component | JobTemplate | None:
        if parse_component(reference)[0] in BUILTIN:
            return find_builtin(reference)
        return _template(conn, known.get(reference, reference), project)

    return look_up


def _template(conn: Connection, reference: str, project: str | None) -> JobTemplate | None:
    name, version = parse_component(reference)
    bare = name.removeprefix("mlq:")
    found = rows.find(conn, bare, version=version) if name.startswith("mlq:") else None
    if found is None:
        return None
    try:
        projects.require_name(conn, "component", bare, project)
    except NotFoundError:
        return None
    return JobTemplate(name, found["version"], found["definition"])


def _pinned(conn: Connection, document: Document, project: str | None) -> dict[str, Any]:
    """The definition with the versions of all components that it names."""
    changed = document
    for key, reference in find_component_names(document.data):
        found = _template(conn, reference, project)
        assert found is not None, "it was found when the document was checked"
        changed = replace(changed, key, f"{found.name}:{found.version}")
    return dict(changed.data)


def _next_version(conn: Connection, name: str, ordinal: int) -> str:
    """The first free number from `ordinal` on: files may have said numbers, too."""
    while rows.find(conn, name, version=str(ordinal)) is not None:
        ordinal += 1
    return str(ordinal)
