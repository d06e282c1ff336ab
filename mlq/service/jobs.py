"""Use cases of jobs on an open transaction: submit, cancel, resume, archive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from mlq.db import idempotency, job_git, limits, registry, shares, specs, transitions, uses, window
from mlq.db.events import record
from mlq.db.job_git import GitRecord
from mlq.db.projects import DEFAULT
from mlq.db.queries.submission import look_around
from mlq.db.window import Delivery
from mlq.errors import ConflictError, MlqError, SpecError, SpecProblem
from mlq.ids import new_id
from mlq.lifecycle import Role
from mlq.service import assets, projects, secrets, trees
from mlq.service.assets import Asset
from mlq.service.blueprint import Blueprint, draw, edges, rows
from mlq.service.capacity import Windows
from mlq.spec.builtin import BUILTIN
from mlq.spec.plan import Plan, PlannedJob, Source
from mlq.spec.references import is_address

MAX_CODE_BYTES = 512 << 20
#: Assets that have versions, which may be deleted while nobody uses them.
_VERSIONED = ("mlq:", "models:/")


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
    project: str | None = None,
) -> Submitted:
    """Store a job tree and queue what can start.

    document: the text as submitted, kept for cloning and export.
    project: whose job it is; it finds assets of that project only, None stands for `default`.
    Raises SpecError when an asset or a limit that the plan names does not exist, and MlqError with
    code `idempotency_mismatch` when the key was used with another body.
    """
    return submit_drawn(
        conn,
        draw(plan, document=document, media_type=media_type),
        actor=actor,
        windows=windows,
        idempotency_key=idempotency_key,
        force_rerun=force_rerun,
        project=project,
    )


def submit_drawn(
    conn: Connection,
    blueprint: Blueprint,
    *,
    actor: str,
    windows: Windows,
    idempotency_key: Idempotency | None = None,
    force_rerun: bool = False,
    project: str | None = None,
    pinned: Mapping[str, Asset] | None = None,
    git: GitRecord | None = None,
) -> Submitted:
    """As `submit`, for a job file that may come again.

    pinned: what references stand for, where that is not to be what they stand for now.
    git: what the job's code was submitted from; its `diff` has been uploaded.
    """
    plan = blueprint.plan
    # names of tokens are not unique between projects, and a key must not answer another's job
    owner = actor if project in (None, DEFAULT) else f"{project}/{actor}"
    around = look_around(
        conn,
        digests=blueprint.specs,
        windows={compute: windows.size(conn, compute) for compute in blueprint.computes},
        key=None if idempotency_key is None else (owner, idempotency_key.key),
    )
    if idempotency_key is not None and around.earlier is not None:
        return _replay(around.earlier, idempotency_key)
    found = pinned
    if found is None:
        found = resolve_assets(conn, plan, project=project or DEFAULT)
    require_limits(conn, plan)
    require_code(conn, plan, project=project)
    require_secrets(conn, plan, project=project)
    if git is not None and git.diff is not None:
        assets.resolve(conn, [f"artifact:sha256:{git.diff}"], project=project)
    ids = [new_id() for _ in plan.jobs]
    specs.add(conn, blueprint.specs, known=around.known)
    if idempotency_key is not None and not idempotency.claim(
        conn,
        principal=owner,
        key=idempotency_key.key,
        body_digest=idempotency_key.body_digest,
        job_id=ids[0],
    ):
        earlier = idempotency.find(conn, principal=owner, key=idempotency_key.key)
        return _replay(earlier, idempotency_key)
    inserted = transitions.insert_tree(
        conn,
        rows(
            blueprint,
            ids,
            found,
            actor=actor,
            force_rerun=force_rerun or plan.force_rerun,
            project=project,
        ),
        edges(blueprint, ids),
        standings=around.standings,
        at=around.at,
        warnings=plan.warnings,
    )
    projects.own_job(conn, ids[0], project)
    if git is not None:
        job_git.note(conn, ids[0], git)
    if found:
        versions = (asset.uri for asset in found.values())
        uses.note(conn, (uri for uri in versions if uri.startswith(_VERSIONED)), ids[0])
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
        size = windows.size(conn, compute)
        quotas = windows.quotas(conn)
        if quotas is None:
            deliveries += window.refill(conn, compute, window=size)
        else:
            deliveries += shares.refill(conn, compute, window_size=size, quotas=quotas)
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


def resolve_assets(conn: Connection, plan: Plan, *, project: str = DEFAULT) -> Mapping[str, Asset]:
    """Resolve what the plan names in `project`; an alias for an optional input may come later."""
    late = {
        source.value
        for job in plan.jobs
        for name, source in job.inputs.items()
        if _is_late(job, name, source)
    }
    found: dict[str, Asset] = {}
    problems: dict[SpecProblem, None] = {}
    for name in plan.assets:
        if name not in late and not is_address(name):
            try:
                found |= assets.resolve(conn, [name], project=project)
            except MlqError as error:
                problems |= dict.fromkeys(asset_problems(plan, name, error))
    if problems:
        raise SpecError(list(problems))
    return found


def require_limits(conn: Connection, plan: Plan) -> None:
    """Raise SpecError where a step names a concurrency limit that nobody has set."""
    wanted = [(job, name) for job in plan.jobs for name in job.demands.get("limits", ())]
    if not wanted:
        return
    known = limits.known(conn, {name for _, name in wanted})
    problems = {
        SpecProblem(
            _key_path(plan, job, "limits.concurrency"),
            f"There is no limit '{name:.80}'. An administrator sets it: "
            f"`mlq limit set {name:.80} SLOTS`.",
        ): None
        for job, name in wanted
        if name not in known
    }
    if problems:
        raise SpecError(list(problems))


def require_code(conn: Connection, plan: Plan, *, project: str | None) -> None:
    """Raise SpecError where code of a step was not stored as a folder, or is too large to run in.

    Of code that was stored by another project nobody learns that it is there.
    """
    problems: list[SpecProblem] = []
    for digest in plan.code:
        stored = registry.find_artifact(conn, digest)
        if not trees.has_tree(conn, digest, project=project):
            words = (
                f"There is no code folder {digest}: send its files with PUT /v1/blobs/SHA256, "
                f"then their list with PUT /v1/trees/{digest}. `mlq job create` does so."
            )
        elif stored is not None and stored.size_bytes > MAX_CODE_BYTES:
            words = (
                f"This code has {stored.size_bytes:,} bytes; each attempt gets a copy, so that "
                f"{MAX_CODE_BYTES >> 20} MiB is the most. Give data as an input."
            )
        else:
            continue
        problems += [SpecProblem(path, words) for path in _paths_of(plan, "code", digest)]
    if problems:
        raise SpecError(problems)


def require_secrets(conn: Connection, plan: Plan, *, project: str | None) -> None:
    """Raise SpecError where a step names a secret that its project does not have."""
    problems = [
        SpecProblem(path, f"There is no secret '{name}'. Set it: `mlq secret set {name}`.")
        for name in secrets.find_missing(conn, plan.secrets, project=project)
        for path in _paths_of(plan, "secrets", name)
    ]
    if problems:
        raise SpecError(problems)


def _paths_of(plan: Plan, key: str, word: str) -> list[str]:
    """Where a plan's job file has `word` under `key`: of commands, and of trials."""
    found = [_key_path(plan, job, key) for job in plan.jobs if word in (job.spec.get(key) or ())]
    found += [
        _key_path(plan, job, "trial")
        for job in plan.jobs
        if job.role is None and f'"{word}"' in json.dumps(job.spec.get("trial"))
    ]
    found += [
        _key_path(plan, job, key)
        for job in plan.jobs
        if job.role == Role.EXPAND and f'"{word}"' in json.dumps(job.spec["plan"])
    ]
    return list(dict.fromkeys(found))


def asset_problems(plan: Plan, asset: str, error: MlqError) -> list[SpecProblem]:
    """`error` at each place of the job file that names `asset`."""
    message = f"{error.message} {error.hint}".strip()
    return [
        SpecProblem(_key_path(plan, job, f"inputs.{name}"), message)
        for job in plan.jobs
        for name, source in job.inputs.items()
        if source.kind == "asset" and source.value == asset
    ] or [SpecProblem("", message)]


def _key_path(plan: Plan, job: PlannedJob, path: str) -> str:
    """Where `path` of a job stands in the job file, which knows no runners and rounds."""
    while job.parent is not None:
        if job.role is None:
            path = f"jobs.{job.name}.{path}"
        elif job.role == Role.FINALLY:
            path = f"finally.{job.name}.{path}"
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
