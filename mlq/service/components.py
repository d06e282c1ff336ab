"""Registered components: step definitions with a name and versions, which never change.

What a definition names itself is pinned when it is registered: a version means the same whenever it
is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db.definitions import COMPONENTS
from mlq.db.garbage import pardon
from mlq.service import definitions, environments
from mlq.service.names import invalid
from mlq.spec import (
    BUILTIN,
    Component,
    Document,
    JobTemplate,
    check_component,
    find_builtin,
    find_component_names,
    find_environment_names,
    parse_component,
    replace,
)
from mlq.spec.steps import FindComponent

_DIGEST = re.compile(r"artifact:sha256:([0-9a-f]{64})")


def create(
    conn: Connection, document: Document, *, actor: str, project: str | None = None
) -> tuple[RowMapping, bool]:
    """Register what a component's file says, or find the version that says it.

    The version is the file's `version`, else the next number. Returns it and whether it is new.
    Raises SpecError for what is wrong with the file; ConflictError where the version says something
    else, or the name is another project's; MlqError (code `invalid`).
    """
    name, version = definitions.read_name(document.data, what="component")
    if f"mlq:{name}" in BUILTIN:
        raise invalid(f"'{name}' is a component of mlq itself.", hint="Choose another name.")
    check_component(
        document,
        components=finder(conn, project),
        environments=environments.finder(conn, project),
    )
    definition = _pinned(conn, document, project)
    pardon(conn, _DIGEST.findall(str(definition)))
    return definitions.register(
        conn, COMPONENTS, definition, name=name, version=version, actor=actor, project=project
    )


def find(conn: Connection, name: str, *, version: str = "latest") -> RowMapping:
    """A version of a component. Raises NotFoundError with the nearest name."""
    return definitions.find(conn, COMPONENTS, name, version=version, builtin=list(BUILTIN))


def template(conn: Connection, reference: str, project: str | None) -> JobTemplate | None:
    """What a reference stands for now; None where it is nothing that the project has."""
    name, version = parse_component(reference)
    if not name.startswith("mlq:"):
        return None
    found = definitions.find_of_project(
        conn, COMPONENTS, name.removeprefix("mlq:"), version=version, project=project
    )
    return None if found is None else JobTemplate(name, found["version"], found["definition"])


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
        return template(conn, known.get(reference, reference), project)

    return look_up


def _pinned(conn: Connection, document: Document, project: str | None) -> dict[str, Any]:
    """The definition with the versions of all components and environments that it names."""
    changed = document
    for key, reference in find_component_names(document.data):
        found = template(conn, reference, project)
        assert found is not None, "it was found when the document was checked"
        changed = replace(changed, key, f"{found.name}:{found.version}")
    for key, reference in find_environment_names(document.data):
        named = environments.template(conn, reference, project)
        if named is not None:  # else a curated one of Azure's, for which the worker's own stands in
            changed = replace(changed, key, f"{named.name}:{named.version}")
    return dict(changed.data)
