"""Use cases of jobs on an open transaction: submit, cancel, resume, archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from mlq.db import idempotency, specs, transitions, window
from mlq.db.events import record
from mlq.db.window import Delivery
from mlq.errors import ConflictError, MlqError, SpecError, SpecProblem
from mlq.ids import new_id
from mlq.lifecycle import INNER_TYPES
from mlq.service import assets
from mlq.service.assets import Asset
from mlq.service.capacity import Windows
from mlq.spec.builtin import BUILTIN
from mlq.spec.plan import Plan, PlannedJob, Source, spec_digest

_SHADOW_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key for one submission. body_digest: sha256 of the request's body."""

    key: str
    body_digest: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """An accepted job. deliveries: to publish after the commit; created: False for a replay."""

    job_id: str
    created: bool
    deliveries: list[Delivery] = field(default_factory=list)


def submit(
    conn: Connection,
    plan: Plan,
    *,
    actor: str,
    document: str,
    media_type: str,
    windows: Windows,
    idempotency_key: Idempotency | None = None,
    force_rerun: bool = False,
) -> Submitted:
    """Store a job tree and queue what can start.

    document: the text as submitted, kept for cloning and export.
    Raises SpecError when an asset that the plan names does not exist, and MlqError with code
    `idempotency_mismatch` when the key was used with another body.
    """
    if idempotency_key is not None:
        replayed = _replay(conn, actor, idempotency_key)
        if replayed is not None:
            return replayed
    found = resolve_assets(conn, plan)
    ids = [new_id() for _ in plan.jobs]
    root_spec = {
        **plan.jobs[0].spec,
        "document": document,
        "media_type": media_type,
        "description": plan.description,
        "warnings": list(plan.warnings),
    }
    contents = [root_spec, *(job.spec for job in plan.jobs[1:])]
    digests = [spec_digest(content) for content in contents]
    specs.save(conn, dict(zip(digests, contents, strict=True)))
    if idempotency_key is not None and not idempotency.claim(
        conn,
        principal=actor,
        key=idempotency_key.key,
        body_digest=idempotency_key.body_digest,
        job_id=ids[0],
    ):
        replayed = _replay(conn, actor, idempotency_key)
        if replayed is not None:
            return replayed
    rows = [
        _row(
            plan,
            job,
            ids,
            found,
            actor=actor,
            digest=digests[job.index],
            force_rerun=force_rerun or plan.force_rerun,
        )
        for job in plan.jobs
    ]
    edges = [
        {"upstream": ids[upstream], "downstream": ids[job.index]}
        for job in plan.jobs
        for upstream in job.upstreams
    ]
    standings = {
        compute: window.look(conn, compute, window=windows.size(conn, compute))
        for compute in transitions.entry_computes(rows)
    }
    inserted = transitions.insert_tree(conn, rows, edges, standings=standings)
    deliveries = inserted.deliveries + dispatch(conn, inserted.ready, windows)
    return Submitted(ids[0], True, deliveries)


def cancel(conn: Connection, job_id: str, *, actor: str, windows: Windows) -> list[Delivery]:
    """Cancel a job and everything below it; nothing happens when it has ended already."""
    settled = transitions.cancel(conn, job_id, actor=actor)
    return dispatch(conn, settled.ready, windows) if settled else []


def time_out(conn: Connection, job_id: str, *, windows: Windows) -> list[Delivery]:
    """Stop a pipeline that has taken longer than its timeout; it fails once all below has ended."""
    settled = transitions.time_out(conn, job_id)
    return dispatch(conn, settled.ready, windows) if settled else []


def resume(conn: Connection, job_id: str, *, actor: str, windows: Windows) -> list[Delivery]:
    """Run again what did not succeed of a finished job.

    Raises ConflictError unless `job_id` is a finished root that did not succeed.
    """
    return dispatch(conn, transitions.reopen(conn, job_id, actor=actor).ready, windows)


def archive(conn: Connection, job_id: str, *, actor: str) -> None:
    """Hide a job from lists. Raises ConflictError unless it is a finished root."""
    if not transitions.archive(conn, job_id):
        raise ConflictError("Only a whole job that has ended can be archived.")
    record(conn, "job.archive", job_id=job_id, root_id=job_id, actor=actor)


def dispatch(conn: Connection, computes: Iterable[str], windows: Windows) -> list[Delivery]:
    """Fill the windows of `computes`."""
    deliveries: list[Delivery] = []
    for compute in sorted(computes):
        deliveries += window.refill(conn, compute, window=windows.size(conn, compute))
    return deliveries


def _replay(conn: Connection, actor: str, wanted: Idempotency) -> Submitted | None:
    earlier = idempotency.find(conn, principal=actor, key=wanted.key)
    if earlier is None:
        return None
    if earlier.body_digest != wanted.body_digest:
        raise MlqError(
            f"Idempotency-Key '{wanted.key}' was used before with a different body "
            f"(job {earlier.job_id}).",
            code="idempotency_mismatch",
            hint="Use a new key for a new job.",
        )
    return Submitted(earlier.job_id, False)


def resolve_assets(conn: Connection, plan: Plan) -> Mapping[str, Asset]:
    """Resolve what the plan names; an alias for an optional input may come later."""
    late = {
        source.value
        for job in plan.jobs
        for name, source in job.inputs.items()
        if _is_late(job, name, source)
    }
    found: dict[str, Asset] = {}
    problems: list[SpecProblem] = []
    for name in plan.assets:
        if name not in late:
            try:
                found |= assets.resolve(conn, [name])
            except MlqError as error:
                problems += _asset_problems(plan, name, error)
    if problems:
        raise SpecError(problems)
    return found


def _asset_problems(plan: Plan, asset: str, error: MlqError) -> list[SpecProblem]:
    message = f"{error.message} {error.hint}".strip()
    return [
        SpecProblem(_key_path(job, name), message)
        for job in plan.jobs
        for name, source in job.inputs.items()
        if source.kind == "asset" and source.value == asset
    ] or [SpecProblem("", message)]


def _key_path(job: PlannedJob, name: str) -> str:
    steps = [f"jobs.{step}." for step in job.path.split(".")] if job.path else []
    return "".join(steps) + f"inputs.{name}"


def _is_late(job: PlannedJob, name: str, source: Source) -> bool:
    if source.kind != "asset" or not str(source.value).startswith("models:/"):
        return False
    if "@" not in source.value:
        return False
    component = BUILTIN.get(job.component or "")
    port = component.inputs.get(name) if component else None
    return port is not None and port.optional


def _row(
    plan: Plan,
    job: PlannedJob,
    ids: list[str],
    found: Mapping[str, Asset],
    *,
    actor: str,
    digest: str,
    force_rerun: bool,
) -> dict[str, Any]:
    is_leaf = job.type not in INNER_TYPES
    shadow = f"{plan.display_name}.{job.path}" if job.path else plan.display_name
    return {
        "id": ids[job.index],
        "parent_id": None if job.parent is None else ids[job.parent],
        "root_id": ids[0],
        "type": job.type,
        "is_leaf": is_leaf,
        "name": job.name,
        "path": job.path,
        "display_name": job.display_name,
        "shadow": shadow[:_SHADOW_LENGTH],
        "experiment": plan.experiment,
        "ordinal": job.ordinal,
        "component": job.component,
        "compute": job.compute,
        "priority": plan.priority,
        "spec_digest": digest,
        "params": _inner_params(plan, job, ids) if not is_leaf else None,
        "inputs": {name: _input(source, ids, found) for name, source in job.inputs.items()},
        "tags": dict(plan.tags if job.parent is None else job.tags),
        "waiting_on": len(job.upstreams),
        "downstreams": job.downstreams,
        "open_children": sum(1 for other in plan.jobs if other.parent == job.index)
        if not is_leaf
        else 0,
        "chain_id": None if job.chain is None else ids[job.chain],
        "chain_position": None if job.chain is None else job.chain_position,
        "timeout_s": None if is_leaf else job.timeout_s,
        "max_failures": job.max_retries + 1,
        "force_rerun": force_rerun,
        "submitted_by": actor,
    }


def _input(source: Source, ids: list[str], found: Mapping[str, Asset]) -> dict[str, Any]:
    if source.kind == "literal":
        return {"type": source.type, "value": source.value}
    if source.kind == "output":
        assert source.job is not None
        return {"type": source.type, "job": ids[source.job], "output": source.output}
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


def _inner_params(plan: Plan, job: PlannedJob, ids: list[str]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    if job.spec.get("continue_on_step_failure") is False:
        params["stop_on_failure"] = True
    if any(other.parent == job.index and other.type in INNER_TYPES for other in plan.jobs):
        params["has_inner"] = True
    outputs = job.spec.get("outputs")
    if outputs:
        prefix = f"{job.path}." if job.path else ""
        places = {other.path: other.index for other in plan.jobs}
        params["outputs"] = {
            name: {"job": ids[places[prefix + path]], "output": output}
            for name, (path, output) in outputs.items()
        }
    return params
