"""Whose an object is: statements over projects, and the condition that lists filter by.

Objects of the project `default` have no row, so who needs no projects pays nothing for them. None
as a project means a caller who may see all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, select, true
from sqlalchemy.engine import RowMapping

from mlq.db.tables import (
    batch_endpoints,
    components,
    data_versions,
    endpoints,
    environments,
    jobs,
    models,
    project_blobs,
    project_jobs,
    project_names,
    projects,
    schedules,
)
from mlq.db.types import now
from mlq.db.upsert import conflict_insert, insert_missing

DEFAULT = "default"
#: kind -> the column that says which names there are. A new kind of named object gets a line here.
NAMED: dict[str, Any] = {
    "data": data_versions.c.name,
    "model": models.c.name,
    "endpoint": endpoints.c.name,
    "schedule": schedules.c.name,
    "batch": batch_endpoints.c.name,
    "component": components.c.name,
    "environment": environments.c.name,
}


def jobs_of(project: str | None) -> ColumnElement[bool]:
    """The condition on `jobs` that its tree belongs to `project`; true for None."""
    if project is None:
        return true()
    return roots_of(jobs.c.root_id, project)


def roots_of(column: Any, project: str) -> ColumnElement[bool]:
    """The condition that the root named in `column` belongs to `project`."""
    owned = exists().where(project_jobs.c.root_id == column)
    if project == DEFAULT:
        return ~owned
    return owned.where(project_jobs.c.project == project)


def names_of(kind: str, project: str | None) -> ColumnElement[bool]:
    """The condition on the table of `kind` that a name belongs to `project`; true for None."""
    if project is None:
        return true()
    owned = exists().where(and_(project_names.c.kind == kind, project_names.c.name == NAMED[kind]))
    if project == DEFAULT:
        return ~owned
    return owned.where(project_names.c.project == project)


def owner_of_job(conn: Connection, job_id: str) -> str:
    """The project of a job."""
    query = select(project_jobs.c.project).join(jobs, jobs.c.root_id == project_jobs.c.root_id)
    return conn.scalar(query.where(jobs.c.id == job_id)) or DEFAULT


def owner_of_name(conn: Connection, kind: str, name: str) -> str | None:
    """The project of a name; None where nothing has it."""
    query = select(project_names.c.project).where(
        project_names.c.kind == kind, project_names.c.name == name
    )
    owner = conn.scalar(query)
    if owner is None and conn.scalar(select(NAMED[kind]).where(NAMED[kind] == name).limit(1)):
        return DEFAULT
    return owner


def owners_of_names(conn: Connection, kinds: Iterable[str]) -> dict[tuple[str, str], str]:
    """(kind, name) -> project, of those that are not in `default`."""
    query = select(project_names).where(project_names.c.kind.in_(list(kinds)))
    return {(row.kind, row.name): row.project for row in conn.execute(query)}


def own_job(conn: Connection, root_id: str, project: str) -> None:
    """Note whose a job tree is."""
    conn.execute(conflict_insert(conn, project_jobs).values(root_id=root_id, project=project))


def own_name(conn: Connection, kind: str, name: str, project: str) -> None:
    """Note whose a name is, unless that is settled."""
    insert_missing(conn, project_names, [{"kind": kind, "name": name, "project": project}])


def own_blob(conn: Connection, digest: str, project: str) -> None:
    """Note that a project has uploaded these bytes."""
    insert_missing(conn, project_blobs, [{"digest": digest, "project": project}])


def owned_blobs(conn: Connection, digests: Sequence[str], project: str) -> set[str]:
    """Those of `digests` that the project has uploaded."""
    found: set[str] = set()
    for start in range(0, len(digests), 500):
        part = digests[start : start + 500]
        query = select(project_blobs.c.digest).where(
            project_blobs.c.project == project, project_blobs.c.digest.in_(part)
        )
        found.update(conn.scalars(query))
    return found


def is_known(conn: Connection, project: str) -> bool:
    """Whether there is such a project; `default` always is."""
    query = select(projects.c.name).where(projects.c.name == project)
    return project == DEFAULT or conn.scalar(query) is not None


def insert(conn: Connection, project: str, *, actor: str) -> bool:
    """Make a project; False when there is one of that name."""
    statement = (
        conflict_insert(conn, projects)
        .values(name=project, created_by=actor, created_at=now())
        .on_conflict_do_nothing()
        .returning(projects.c.name)
    )
    return conn.execute(statement).first() is not None


def list_all(conn: Connection) -> Sequence[RowMapping]:
    """Projects by name, without `default`."""
    return conn.execute(select(projects).order_by(projects.c.name)).mappings().all()
