"""What all submissions of one job file have in common, worked out once.

The rows of a job tree differ from one submission to the next only in their ids, in who submitted
them and in what asset names stand for; everything else comes from the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from mlq.db.projects import DEFAULT
from mlq.db.transitions import entry_computes
from mlq.lifecycle import INNER_TYPES, JobType, Role
from mlq.service.assets import Asset
from mlq.spec.plan import Plan, PlannedJob, Source, spec_digest
from mlq.spec.references import is_address

_SHADOW_LENGTH = 255
#: What waits for siblings by name; the others wait as `_waiting_on` says.
_WITH_EDGES = frozenset({None, Role.FINALLY})


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A plan, ready to become rows.

    specs: digest -> content, of all its jobs; columns: of each job of the plan, those that are the
    same in every submission; edges: (upstream, downstream), as places in the plan; computes: those
    on which it starts.
    """

    plan: Plan
    specs: Mapping[str, Mapping[str, Any]]
    columns: Sequence[Mapping[str, Any]]
    edges: Sequence[tuple[int, int]]
    computes: Set[str]


def draw(
    plan: Plan,
    *,
    document: str,
    media_type: str,
    components: Mapping[str, str] | None = None,
    environments: Mapping[str, str] | None = None,
) -> Blueprint:
    """Work out what every submission of `plan` has in common.

    document: the text as submitted, kept for cloning and export. components,
    environments: registered ones that it names -> the version that each stands for.
    """
    root_spec = {
        **plan.jobs[0].spec,
        "document": document,
        "media_type": media_type,
        "description": plan.description,
        "warnings": list(plan.warnings),
    }
    if components:
        root_spec["components"] = dict(components)
    if environments:
        root_spec["environments"] = dict(environments)
    contents = [root_spec, *(job.spec for job in plan.jobs[1:])]
    digests = [spec_digest(content) for content in contents]
    children = [0] * len(plan.jobs)
    for job in plan.jobs:
        if job.parent is not None:
            children[job.parent] += 1
    columns = [
        _columns(plan, job, digest=digests[job.index], children=children[job.index])
        for job in plan.jobs
    ]
    placed = [
        {**own, "id": job.index, "parent_id": job.parent}
        for job, own in zip(plan.jobs, columns, strict=True)
    ]
    return Blueprint(
        plan,
        specs=dict(zip(digests, contents, strict=True)),
        columns=columns,
        edges=[
            (upstream, job.index)
            for job in plan.jobs
            for upstream in job.upstreams
            if job.role in _WITH_EDGES
        ],
        computes=entry_computes(placed),
    )


def rows(
    blueprint: Blueprint,
    ids: Sequence[str],
    found: Mapping[str, Asset],
    *,
    actor: str,
    force_rerun: bool,
    project: str | None = None,
) -> list[dict[str, Any]]:
    """The columns of `jobs` that a submission gives, root first.

    ids: one for each job of the plan; found: what its asset names stand for. project: None for
    `default`.
    """
    plan = blueprint.plan
    return [
        {
            **columns,
            "id": ids[job.index],
            "parent_id": None if job.parent is None else ids[job.parent],
            "root_id": ids[0],
            "params": _inner_params(plan, job, ids) if job.type in INNER_TYPES else None,
            "inputs": {name: _input(source, ids, found) for name, source in job.inputs.items()},
            "chain_id": None if job.chain is None or job.role else ids[job.chain],
            "force_rerun": force_rerun,
            "submitted_by": actor,
            "project": None if project == DEFAULT else project,
        }
        for job, columns in zip(plan.jobs, blueprint.columns, strict=True)
    ]


def edges(blueprint: Blueprint, ids: Sequence[str]) -> list[dict[str, str]]:
    """The rows of `job_edges`."""
    return [
        {"upstream": ids[upstream], "downstream": ids[downstream]}
        for upstream, downstream in blueprint.edges
    ]


def _columns(plan: Plan, job: PlannedJob, *, digest: str, children: int) -> dict[str, Any]:
    is_leaf = job.type not in INNER_TYPES
    shadow = f"{plan.display_name}.{job.path}" if job.path else plan.display_name
    return {
        "type": job.type,
        "is_leaf": is_leaf,
        "role": job.role,
        "name": job.name,
        "path": job.path,
        "display_name": job.display_name,
        "shadow": shadow[:_SHADOW_LENGTH],
        "experiment": plan.experiment,
        "ordinal": job.ordinal,
        "component": job.component,
        "compute": job.compute,
        "demands": dict(job.demands) or None,
        "priority": plan.priority,
        "spec_digest": digest,
        "tags": dict(plan.tags if job.parent is None else job.tags),
        "waiting_on": _waiting_on(job),
        "downstreams": job.downstreams if job.role in _WITH_EDGES else 0,
        "open_children": 0 if is_leaf else children,
        "chain_position": None if job.chain is None or job.role else job.chain_position,
        "timeout_s": None if is_leaf else _inner_timeout_s(job),
        "max_failures": job.max_retries + 1,
    }


def _waiting_on(job: PlannedJob) -> int:
    """Upstreams; some wait without edges: see mlq.db.transitions.cascade."""
    if job.role in (Role.ITEM, Role.COLLECT):
        return 1  # room for one more, or all items
    if job.role == Role.BEST:
        return 1  # its runners, however they end
    if job.role == Role.ROUND:
        return min(job.ordinal, 1)  # the round before it, should that not be good enough
    if job.role == Role.FINALLY:
        return len(job.upstreams) + 1  # the others
    return len(job.upstreams)


def _inner_timeout_s(job: PlannedJob) -> float | None:
    """A sweep's own limit, or that of any step."""
    limits = [job.timeout_s, (job.spec.get("limits") or {}).get("timeout_s")]
    return min((limit for limit in limits if limit is not None), default=None)


def _input(source: Source, ids: Sequence[str], found: Mapping[str, Asset]) -> dict[str, Any]:
    if source.kind == "literal":
        return {"type": source.type, "value": source.value}
    if source.kind == "output":
        assert source.job is not None
        bound = {"type": source.type, "job": ids[source.job], "output": source.output}
        if not source.optional:
            return bound
        return {**bound, "optional": True, "default": source.default}
    if is_address(source.value) and source.value not in found:
        return {"type": source.type, "address": source.value}
    asset = found.get(source.value)
    if asset is None:
        return {"type": source.type, "late": source.value}
    return {
        "type": asset.type,
        "asset": {
            "digest": asset.digest,
            "kind": asset.kind,
            "name": asset.name,
            "uri": asset.uri,
        },
    }


def _inner_params(plan: Plan, job: PlannedJob, ids: Sequence[str]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    if job.type == JobType.APPROVAL:
        return params
    if job.spec.get("continue_on_step_failure") is False:
        params["stop_on_failure"] = True
    if any(other.parent == job.index and other.type in INNER_TYPES for other in plan.jobs):
        params["has_inner"] = True
    last = sum(other.parent == job.index and other.role == Role.FINALLY for other in plan.jobs)
    if last:
        params["finally"] = last
    if "branches" in job.spec:
        places = {other.path: other.index for other in plan.jobs}
        params["branches"] = [
            [ids[places[path]] for path in block] for block in job.spec["branches"]
        ]
    if "spread" in job.spec:
        params["spread"] = job.spec["spread"]
    if "rounds" in job.spec:
        params["rounds"] = job.spec["rounds"]
    outputs = job.spec.get("outputs")
    if outputs:
        prefix = f"{job.path}." if job.path else ""
        places = {other.path: other.index for other in plan.jobs}
        params["outputs"] = {
            name: {"job": ids[places[prefix + path]], "output": output}
            for name, (path, output) in outputs.items()
        }
    return params
