"""Deleting models, data and jobs: refused while they are in use, with by what."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from mlq.db import events, registry, routing, uses
from mlq.errors import ConflictError
from mlq.lifecycle import TERMINAL
from mlq.service import data, models

_SAID = 5


def delete_model_version(conn: Connection, name: str, *, version: int | str, actor: str) -> None:
    """Delete a version. Raises NotFoundError; ConflictError (code `in_use`) that says by what."""
    registry.lock_model(conn, name)
    found = models.find_version(conn, name, version=version)
    users = [f"alias {alias}" for alias in found.aliases]
    users += [
        f"deployment {row['name']} of endpoint {row['endpoint']}"
        for row in uses.deployments_of(conn, name)
        if row["version"] == found.version
    ]
    users += [
        f"the rollout on endpoint {row['endpoint']}"
        for row in uses.running_rollouts_of(conn, name)
        if found.version in (row["version"], row["previous"])
    ]
    users += _jobs_using(conn, found.uri) + uses.documents_naming(conn, [found.uri])
    _refuse(found.uri, users)
    uses.delete_model_version(conn, name, found.version)
    events.record(
        conn,
        "model.delete",
        subject=f"models:/{name}",
        actor=actor,
        detail={"version": found.version, "digest": found.digest},
    )
    routing.raise_number(conn)


def delete_model(conn: Connection, name: str, *, actor: str) -> None:
    """Delete a model with its versions and aliases. Raises as `delete_model_version`."""
    registry.lock_model(conn, name)
    models.find(conn, name)
    users = [
        f"deployment {row['name']} of endpoint {row['endpoint']}"
        for row in uses.deployments_of(conn, name)
    ]
    users += [
        f"the rollout on endpoint {row['endpoint']}" for row in uses.running_rollouts_of(conn, name)
    ]
    for version in routing.list_versions(conn, name):
        users += _jobs_using(conn, f"models:/{name}/{version}")
    users += uses.documents_naming(conn, [f"models:/{name}/", f"models:/{name}@"])
    _refuse(f"models:/{name}", users)
    uses.delete_model(conn, name)
    events.record(conn, "model.delete", subject=f"models:/{name}", actor=actor)
    routing.raise_number(conn)


def delete_data_version(conn: Connection, name: str, *, version: int | str, actor: str) -> None:
    """Delete a version of data; its number is not given again. Raises as above."""
    found = data.find(conn, name, version=version)
    roots = uses.roots_using(conn, found.id)
    users = [_say(row["display_name"], row["id"]) for row in uses.live(roots)]
    users += [
        f"models:/{row['name']}/{row['version']}, which was trained on it"
        for row in uses.versions_of_trees(conn, [row["id"] for row in roots])
    ]
    words = [found.id]
    if found.version == data.find(conn, name).version:
        words.append(f"mlq:{name}@latest")
    users += uses.documents_naming(
        conn, [*words, *(word.replace("mlq:", "azureml:", 1) for word in words)]
    )
    _refuse(found.id, users)
    uses.delete_data_version(conn, name, found.version)
    events.record(
        conn, "data.delete", subject=found.id, actor=actor, detail={"digest": found.digest}
    )


def delete_job(conn: Connection, job_id: str, *, root_id: str, state: str, actor: str) -> None:
    """Delete a finished tree with its metrics and logs; what happened stays in the events.

    Raises as `require_unused`.
    """
    require_unused(conn, job_id, root_id=root_id, state=state)
    count = uses.delete_tree(conn, root_id)
    events.record(
        conn, "job.delete", job_id=root_id, root_id=root_id, actor=actor, detail={"jobs": count}
    )


def require_unused(conn: Connection, job_id: str, *, root_id: str, state: str) -> None:
    """Raise ConflictError unless it is a whole job that has ended, and nothing was made by it that
    is still there."""
    if job_id != root_id or state not in TERMINAL:
        raise ConflictError("Only a whole job that has ended can be deleted.")
    users = [
        f"models:/{row['name']}/{row['version']}, which it made"
        for row in uses.versions_of_trees(conn, [root_id])
    ]
    _refuse(f"Job {job_id[:12]}", users)


def _jobs_using(conn: Connection, uri: str) -> list[str]:
    return [_say(row["display_name"], row["id"]) for row in uses.live(uses.roots_using(conn, uri))]


def _say(name: str, job_id: str) -> str:
    return f"job {name} ({job_id[:12]})"


def _refuse(what: str, users: Sequence[str]) -> None:
    if not users:
        return
    said = "; ".join(users[:_SAID])
    more = f"; and {len(users) - _SAID} more" if len(users) > _SAID else ""
    raise ConflictError(
        f"{what} is in use by {said}{more}.",
        code="in_use",
        hint="Delete these, or point them elsewhere, first.",
    )
