"""Projects keep teams apart: a token of one reaches no job, data, model or endpoint of another.

Names are shared by the installation: one name belongs to one project. None as a project means a
caller who may see all of them, and makes what is new in `default`.
"""

from __future__ import annotations

from sqlalchemy import Connection

from mlq.db import events, projects
from mlq.db.projects import DEFAULT
from mlq.errors import ConflictError, NotFoundError
from mlq.service.names import check_name

_WORDS = {"data": "data asset", "batch": "batch endpoint"}


def create(conn: Connection, name: str, *, actor: str) -> None:
    """Make a project. Raises ConflictError where there is one; MlqError (code `invalid`)."""
    check_name(name, what="project")
    if len(name) > 64 or name == DEFAULT or not projects.insert(conn, name, actor=actor):
        raise ConflictError(
            f"There is a project '{name:.80}' already, or its name is longer than 64 characters."
        )
    events.record(conn, "project.create", subject=f"project:{name}", actor=actor)


def require_known(conn: Connection, project: str) -> None:
    """Raise NotFoundError unless there is such a project."""
    if not projects.is_known(conn, project):
        raise NotFoundError(
            f"There is no project '{project:.80}'.",
            hint="An administrator makes one: `mlq project create NAME`.",
        )


def own_job(conn: Connection, root_id: str, project: str | None) -> None:
    """Put a new job tree into a project."""
    if project not in (None, DEFAULT):
        require_known(conn, project)
        projects.own_job(conn, root_id, project)


def own_name(conn: Connection, kind: str, name: str, project: str | None) -> None:
    """Let `project` have a name that it is about to use.

    A caller who may see all projects adds to a name wherever it belongs.
    Raises ConflictError where the name is another project's.
    """
    if project is None:
        return
    owner = projects.owner_of_name(conn, kind, name)
    if owner is None and project != DEFAULT:
        require_known(conn, project)
        projects.own_name(conn, kind, name, project)
        owner = projects.owner_of_name(conn, kind, name)
    if owner not in (None, project):
        raise ConflictError(
            f"The name '{name:.80}' is taken.",
            hint="Names are shared by all projects of an installation: choose another.",
        )


def is_taken(conn: Connection, kind: str, name: str) -> bool:
    """Whether any project has this name."""
    return projects.owner_of_name(conn, kind, name) is not None


def require_name(conn: Connection, kind: str, name: str, project: str | None) -> None:
    """Raise NotFoundError unless `project` has this name; other projects' look as if not there."""
    if project is not None and projects.owner_of_name(conn, kind, name) != project:
        raise NotFoundError(f"There is no {_WORDS.get(kind, kind)} '{name:.80}'.")
