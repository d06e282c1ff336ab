"""Making a model version again: the steps it came from, on the same versions of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from mlq.db import specs, uses
from mlq.db.projects import owner_of_job
from mlq.db.queries import jobs as jobs_query
from mlq.errors import ConflictError
from mlq.service import components, environments, jobs, models
from mlq.service.assets import Asset
from mlq.service.blueprint import draw
from mlq.service.capacity import Windows
from mlq.spec.environments import FindEnvironment
from mlq.spec.plan import Plan
from mlq.spec.reduction import up_to
from mlq.spec.steps import FindComponent

#: Tag of a job that makes a version again; its value is the version's uri.
TAG = "mlq.reproduces"

CompileText = Callable[[str, str, FindComponent, FindEnvironment], Plan]


def reproduce(
    conn: Connection,
    name: str,
    *,
    version: int | str,
    actor: str,
    windows: Windows,
    compile_text: CompileText,
) -> jobs.Submitted:
    """Submit the steps that a version came from once more; nothing is registered or deployed.

    Every step runs, on the versions of data that were taken then. compile_text: (job file, media
    type, its components, its environments) -> plan. Raises NotFoundError; ConflictError where no
    pipeline made it.
    """
    found = models.find_version(conn, name, version=version)
    rows = uses.ancestors(conn, found.job_id) if found.job_id else []
    if not rows or not rows[0]["path"] or len(rows) == 1:
        raise ConflictError(
            f"{found.uri} was not made by a pipeline here, so there is nothing to run again.",
            code="not_reproducible",
            hint="Versions that mlq:register made in a pipeline are reproducible.",
        )
    root_id = rows[0]["root_id"]
    root = specs.load(conn, jobs_query.read(conn, root_id)["spec_digest"])
    pins = root.get("components") or {}
    project = owner_of_job(conn, root_id)
    built_of = root.get("environments") or {}
    whole = compile_text(
        root["document"],
        root["media_type"],
        components.finder(conn, project, pinned=pins),
        environments.finder(conn, project, pinned=built_of),
    )
    try:
        plan = up_to(whole, rows[0]["path"])
    except KeyError:
        raise ConflictError(
            f"The job file of {found.uri} has no step '{rows[0]['path']}' any more.",
            code="not_reproducible",
        ) from None
    plan = replace(
        plan,
        display_name=f"{plan.display_name} again",
        tags={**plan.tags, TAG: found.uri},
        force_rerun=True,
    )
    return jobs.submit_drawn(
        conn,
        draw(
            plan,
            document=root["document"],
            media_type=root["media_type"],
            components=pins,
            environments=built_of,
        ),
        actor=actor,
        windows=windows,
        project=project,
        pinned=_assets_taken(conn, plan, root_id),
    )


def pairs(
    conn: Connection, name: str, *, version: int | str, job_id: str
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The steps that a version came from, each with the same step of another job; upstreams first.

    Each is {path, state, metrics, outputs}.
    """
    found = models.find_version(conn, name, version=version)
    made_by = uses.ancestors(conn, found.job_id)[1:] if found.job_id else []
    others = {row["path"]: row["id"] for row in jobs_query.leaves(conn, job_id)}
    return [
        (_step(conn, row["id"]), _step(conn, others[row["path"]]))
        for row in reversed(made_by)
        if row["path"] in others
    ]


def _step(conn: Connection, job_id: str) -> dict[str, Any]:
    row = jobs_query.read(conn, job_id)
    metrics = jobs_query.newest_metrics(conn, [job_id]).get(job_id, {})
    return {
        "path": row["path"],
        "state": row["state"],
        "metrics": dict(metrics),
        "outputs": row["outputs"] or {},
    }


def _assets_taken(conn: Connection, plan: Plan, root_id: str) -> dict[str, Asset]:
    """What references of the plan stood for in the tree of `root_id`."""
    given = {row["path"]: row["inputs"] or {} for row in jobs_query.leaves(conn, root_id)}
    found: dict[str, Asset] = {}
    for job in plan.jobs:
        for port, source in job.inputs.items():
            taken = given.get(job.path, {}).get(port, {})
            if source.kind == "asset" and "asset" in taken:
                found[source.value] = Asset(taken["type"], size_bytes=0, **taken["asset"])
    return found
