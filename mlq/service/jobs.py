"""Use cases of jobs on an open transaction: submit, cancel, resume, archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from mlq.db import idempotency, specs, transitions, window
from mlq.db.events import record
from mlq.db.queries.submission import look_around
from mlq.db.window import Delivery
from mlq.errors import ConflictError, MlqError, SpecError, SpecProblem
from mlq.ids import new_id
from mlq.service import assets
from mlq.service.assets import Asset
from mlq.service.blueprint import Blueprint, draw, edges, rows
from mlq.service.capacity import Windows
from mlq.spec.builtin import BUILTIN
from mlq.spec.plan import Plan, PlannedJob, Source


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key for one submission. body_digest: sha256 of the request's body."""

    key: str
    body_digest: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """An accepted job.

    created: False for a replay; deliveries: to publish after the commit; rows: of the whole tree as
    it was stored, None where it has to be read.
    """

    job_id: str
    created: bool
    deliveries: list[Delivery] = field(default_factory=list)
    rows: list[dict[str, Any]] | None = None


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
    return submit_drawn(
        conn,
        draw(plan, document=document, media_type=media_type),
        actor=actor,
        windows=windows,
        idempotency_key=idempotency_key,
        force_rerun=force_rerun,
    )


def submit_drawn(
    conn: Connection,
    blueprint: Blueprint,
    *,
    actor: str,
    windows: Windows,
    idempotency_key: Idempotency | None = None,
    force_rerun: bool = False,
) -> Submitted:
    """As `submit`, for a job file that may come again."""
    plan = blueprint.plan
    around = look_around(
        conn,
        digests=blueprint.specs,
        windows={compute: windows.size(conn, compute) for compute in blueprint.computes},
        key=None if idempotency_key is None else (actor, idempotency_key.key),
    )
    if idempotency_key is not None and around.earlier is not None:
        return _replay(around.earlier, idempotency_key)
    found = resolve_assets(conn, plan)
    ids = [new_id() for _ in plan.jobs]
    specs.add(conn, blueprint.specs, known=around.known)
    if idempotency_key is not None and not idempotency.claim(
        conn,
        principal=actor,
        key=idempotency_key.key,
        body_digest=idempotency_key.body_digest,
        job_id=ids[0],
    ):
        earlier = idempotency.find(conn, principal=actor, key=idempotency_key.key)
        return _replay(earlier, idempotency_key)
    inserted = transitions.insert_tree(
        conn,
        rows(blueprint, ids, found, actor=actor, force_rerun=force_rerun or plan.force_rerun),
        edges(blueprint, ids),
        standings=around.standings,
        at=around.at,
    )
    deliveries = inserted.deliveries + dispatch(conn, inserted.ready, windows)
    return Submitted(ids[0], True, deliveries, inserted.rows)


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


def _replay(earlier: Any, wanted: Idempotency) -> Submitted:
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
    problems: dict[SpecProblem, None] = {}
    for name in plan.assets:
        if name not in late:
            try:
                found |= assets.resolve(conn, [name])
            except MlqError as error:
                problems |= dict.fromkeys(_asset_problems(plan, name, error))
    if problems:
        raise SpecError(list(problems))
    return found


def _asset_problems(plan: Plan, asset: str, error: MlqError) -> list[SpecProblem]:
    message = f"{error.message} {error.hint}".strip()
    return [
        SpecProblem(_key_path(plan, job, name), message)
        for job in plan.jobs
        for name, source in job.inputs.items()
        if source.kind == "asset" and source.value == asset
    ] or [SpecProblem("", message)]


def _key_path(plan: Plan, job: PlannedJob, name: str) -> str:
    """Where the input stands in the job file, which knows no runners and rounds."""
    path = f"inputs.{name}"
    while job.parent is not None:
        if job.role is None:
            path = f"jobs.{job.name}.{path}"
        job = plan.jobs[job.parent]
    return path


def _is_late(job: PlannedJob, name: str, source: Source) -> bool:
    if source.kind != "asset" or not str(source.value).startswith("models:/"):
        return False
    if "@" not in source.value:
        return False
    component = BUILTIN.get(job.component or "")
    port = component.inputs.get(name) if component else None
    return port is not None and port.optional
