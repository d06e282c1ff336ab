"""Registered environments: sets of Python requirements with a name and versions."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db.definitions import ENVIRONMENTS
from mlq.service import definitions
from mlq.spec import (
    Document,
    EnvironmentTemplate,
    FindEnvironment,
    check_environment,
    parse_environment,
)
from mlq.spec.references import BadReferenceError


def create(
    conn: Connection, document: Document, *, actor: str, project: str | None = None
) -> tuple[RowMapping, bool]:
    """Register what an environment's file says, or find the version that says it.

    The version is the file's `version`, else the next number. Returns it and whether it is new.
    Raises SpecError for what is wrong with the file; ConflictError where the version says something
    else, or the name is another project's; MlqError (code `invalid`).
    """
    name, version = definitions.read_name(document.data, what="environment")
    check_environment(document)
    return definitions.register(
        conn,
        ENVIRONMENTS,
        dict(document.data),
        name=name,
        version=version,
        actor=actor,
        project=project,
    )


def find(conn: Connection, name: str, *, version: str = "latest") -> RowMapping:
    """A version of an environment. Raises NotFoundError with the nearest name."""
    return definitions.find(conn, ENVIRONMENTS, name, version=version)


def template(conn: Connection, reference: str, project: str | None) -> EnvironmentTemplate | None:
    """What a reference stands for now; None where it is nothing that the project has."""
    try:
        named = parse_environment(reference)
    except BadReferenceError:
        return None
    found = definitions.find_of_project(
        conn, ENVIRONMENTS, named.name, version=named.version, project=project
    )
    if found is None:
        return None
    return EnvironmentTemplate(f"mlq:{named.name}", found["version"], found["definition"])


def finder(
    conn: Connection, project: str | None, *, pinned: Mapping[str, str] | None = None
) -> FindEnvironment:
    """Finds environments while a job file is compiled.

    pinned: what references stand for, where that is not to be what they stand for now.
    """
    known = pinned or {}

    def look_up(reference: str) -> EnvironmentTemplate | None:
        return template(conn, known.get(reference, reference), project)

    return look_up
