"""Batch endpoints on an open transaction: publish a pipeline or a model, and invoke it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import batch as rows
from mlq.db.events import record
from mlq.db.queries import jobs as job_query
from mlq.errors import ConflictError, NotFoundError, SpecError, SpecProblem, nearest
from mlq.service import jobs, projects
from mlq.service.blueprint import Blueprint
from mlq.service.capacity import Windows
from mlq.service.jobs import Submitted
from mlq.spec.batch import BatchDeployment, EndpointFile, fill_inputs, missing_inputs

#: In place of a job: the newest invocation that succeeded.
LATEST = "latest"


def put_endpoint(
    conn: Connection, wanted: EndpointFile, *, project: str | None, actor: str
) -> tuple[RowMapping, bool]:
    """Make an endpoint, or change it; whether it was not there before.

    Raises NotFoundError where its default is no deployment of it.
    """
    projects.own_name(conn, "batch", wanted.name, project)
    default = wanted.defaults.deployment_name
    before = rows.find_endpoint(conn, wanted.name)
    if default is not None and before is not None:
        find_deployment(conn, wanted.name, default)
    values: dict[str, Any] = {
        "name": wanted.name,
        "description": wanted.description,
        "tags": wanted.tags,
        "created_by": actor,
    }
    if before is None or default is not None:
        values["default_deployment"] = default
    created = rows.put_endpoint(conn, values)
    _note(conn, "batch.create" if created else "batch.update", wanted.name, actor)
    return find(conn, wanted.name), created


def find(conn: Connection, name: str) -> RowMapping:
    """A batch endpoint. Raises NotFoundError with the nearest name."""
    found = rows.find_endpoint(conn, name)
    if found is None:
        close = nearest(name, rows.endpoint_names(conn))
        raise NotFoundError(
            f"There is no batch endpoint '{name}'.",
            hint=f"Did you mean '{close}'?" if close else "Make it: `mlq batch-endpoint create`.",
        )
    return found


def delete(conn: Connection, name: str, *, actor: str) -> None:
    """Remove an endpoint with its deployments; jobs that were invoked stay."""
    find(conn, name)
    rows.remove_endpoint(conn, name)
    _note(conn, "batch.delete", name, actor)


def put_deployment(
    conn: Connection,
    endpoint: str,
    wanted: BatchDeployment,
    *,
    source: Mapping[str, Any],
    set_default: bool,
    actor: str,
) -> tuple[RowMapping, bool]:
    """Publish a deployment; a change of it is its next version. Whether there is a new one.

    The first deployment of an endpoint is its default.
    """
    found = find(conn, endpoint)
    rows.lock_endpoint(conn, endpoint)
    newest = rows.find_deployment(conn, endpoint, wanted.name)
    if newest is not None and newest["job"] == wanted.job:
        made, is_new = newest, False
    else:
        version = 1 if newest is None else newest["version"] + 1
        rows.add_deployment(
            conn,
            {
                "endpoint": endpoint,
                "name": wanted.name,
                "version": version,
                "description": wanted.description,
                "tags": dict(wanted.tags),
                "source": dict(source),
                "job": dict(wanted.job),
                "created_by": actor,
            },
        )
        detail = {"deployment": wanted.name, "version": version}
        _note(conn, "batch.deploy", endpoint, actor, detail)
        made, is_new = find_deployment(conn, endpoint, wanted.name), True
    if set_default or not found["default_deployment"]:
        rows.set_default(conn, endpoint, deployment=wanted.name)
    return made, is_new


def find_deployment(
    conn: Connection, endpoint: str, name: str | None, *, version: int | None = None
) -> RowMapping:
    """A version of a deployment: of the default one where no name is given, the newest one.

    Raises NotFoundError, and ConflictError where the endpoint has no default.
    """
    wanted = name if name is not None else find(conn, endpoint)["default_deployment"]
    if wanted is None:
        raise ConflictError(
            f"Batch endpoint '{endpoint}' has no default deployment.",
            hint="Make one with --set-default, or name a deployment.",
        )
    found = rows.find_deployment(conn, endpoint, wanted, version=version)
    if found is None:
        known = [row["name"] for row in rows.newest_deployments(conn, [endpoint])]
        which = f" with version {version}" if version is not None and wanted in known else ""
        close = nearest(wanted, known) if not which else None
        raise NotFoundError(
            f"Batch endpoint '{endpoint}' has no deployment '{wanted}'{which}.",
            hint=f"Did you mean '{close}'?" if close else f"It has: {', '.join(known) or 'none'}.",
        )
    return found


def delete_deployment(conn: Connection, endpoint: str, name: str, *, actor: str) -> None:
    """Remove a deployment with all its versions. Raises ConflictError for the default one."""
    found = find(conn, endpoint)
    find_deployment(conn, endpoint, name)
    others = [row for row in rows.newest_deployments(conn, [endpoint]) if row["name"] != name]
    if found["default_deployment"] == name and others:
        raise ConflictError(
            f"'{name}' is the default deployment of '{endpoint}'.",
            hint=f"Make another the default first: {', '.join(row['name'] for row in others)}.",
        )
    rows.remove_deployment(conn, endpoint, name)
    if not others:
        rows.set_default(conn, endpoint, deployment=None)
    _note(conn, "batch.undeploy", endpoint, actor, {"deployment": name})


def document_of(deployment: RowMapping, given: Mapping[str, Any]) -> str:
    """The job of an invocation, as JSON. Raises SpecError for missing and unknown inputs."""
    job, unknown = fill_inputs(deployment["job"], given)
    known = list(deployment["job"].get("inputs") or {})
    problems = [
        SpecProblem(
            f"inputs.{name}", "This deployment has no such input.", None, nearest(name, known)
        )
        for name in unknown
    ]
    problems += [
        SpecProblem(f"inputs.{name}", "This input is required.")
        for name in missing_inputs(deployment["job"], given)
    ]
    if problems:
        raise SpecError(problems)
    tags = {
        **(job.get("tags") or {}),
        "mlq.batch_endpoint": deployment["endpoint"],
        "mlq.batch_deployment": f"{deployment['name']}:{deployment['version']}",
    }
    job = {**job, "display_name": deployment["endpoint"], "tags": tags}
    return json.dumps(job, ensure_ascii=False)


def invoke(
    conn: Connection,
    deployment: RowMapping,
    blueprint: Blueprint,
    *,
    actor: str,
    windows: Windows,
    project: str | None = None,
    force_rerun: bool = False,
) -> Submitted:
    """Submit the job of an invocation, and remember what it was invoked through."""
    submitted = jobs.submit_drawn(
        conn, blueprint, actor=actor, windows=windows, force_rerun=force_rerun, project=project
    )
    rows.note_invocation(
        conn,
        {
            "job_id": submitted.job_id,
            "endpoint": deployment["endpoint"],
            "deployment": deployment["name"],
            "version": deployment["version"],
            "invoked_by": actor,
        },
    )
    return submitted


def find_invocation(conn: Connection, endpoint: str, reference: str) -> str:
    """The job of an invocation; `latest` is the newest one that succeeded.

    Raises NotFoundError for a job that was not invoked through this endpoint.
    """
    find(conn, endpoint)
    if reference == LATEST:
        newest = rows.newest_success(conn, endpoint)
        if newest is None:
            raise NotFoundError(
                f"No invocation of '{endpoint}' has succeeded yet.",
                hint=f"See them with `mlq batch-endpoint list-jobs {endpoint}`.",
            )
        return newest
    job_id = job_query.find(conn, reference)
    if not rows.is_invocation(conn, endpoint, job_id):
        raise NotFoundError(f"Job {job_id} was not invoked through '{endpoint}'.")
    return job_id


def _note(
    conn: Connection,
    kind: str,
    name: str,
    actor: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    record(conn, kind, subject=f"batch-endpoint:{name}", actor=actor, detail=detail)
