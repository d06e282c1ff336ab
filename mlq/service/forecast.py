"""What a submission would find done already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from mlq.db.lineage import find_cached, outputs_of
from mlq.db.projects import DEFAULT
from mlq.errors import NotFoundError, StepError
from mlq.service.assets import Asset
from mlq.service.blueprint import Blueprint, rows
from mlq.service.execution import cache_key_of, resolve_inputs


def foresee_reuse(
    conn: Connection, blueprint: Blueprint, found: Mapping[str, Asset], *, project: str = DEFAULT
) -> dict[int, str]:
    """Which steps would take the outputs of which jobs, were `blueprint` submitted now
    to `project`.

    By place in the plan. The claim decides anew (docs/decisions/0006): a step after one that must
    run is not foreseen, though it may find its inputs unchanged.
    """
    plan = blueprint.plan
    places = [str(job.index) for job in plan.jobs]
    reused: dict[int, str] = {}
    produced: dict[str, Mapping[str, Any]] = {}
    stored = rows(blueprint, places, found, actor="", force_rerun=False)
    for job, row in zip(plan.jobs, stored, strict=True):
        spec = blueprint.specs[row["spec_digest"]]
        if not row["is_leaf"] or job.role or not spec.get("is_deterministic"):
            continue
        sources = {given["job"] for given in row["inputs"].values() if "job" in given}
        if not sources <= produced.keys():
            continue
        try:
            inputs = resolve_inputs(conn, row["inputs"], produced, find_project=lambda: project)
        except (NotFoundError, StepError):
            continue  # told when the step starts, by which time it may have come
        cache_key = cache_key_of(row["spec_digest"], spec, inputs)
        earlier = find_cached(conn, cache_key, project=project)
        if earlier is not None:
            reused[job.index] = earlier.id
            produced[row["id"]] = outputs_of(conn, earlier.id)
    return reused
