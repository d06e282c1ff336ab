"""Staged rollouts: a version reaches an alias by stages, or what served before goes on.

While it is under way the version stands behind a deployment of its own, `ALIAS-candidate`, which
gets copies of requests (mirror) and then a growing share of them (canary). The alias moves at the
end only, so every way out of a rollout is the same: the traffic as it was, the candidate gone.
All of it is rows: whoever leads reconciles, and drives them on.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from sqlalchemy import Connection

from mlq.db import events, monitoring, registry, routing
from mlq.db import rollouts as rows
from mlq.db.projects import owner_of_job
from mlq.db.rollouts import Rollout
from mlq.errors import ConflictError, MlqError, NotFoundError
from mlq.service import endpoints, models, projects
from mlq.service.assets import parse
from mlq.service.names import check_alias, check_name, check_text, invalid
from mlq.spec.rollout import Drift, Measured, Policy, find_fault, find_lack, read_policy


def start(
    conn: Connection,
    *,
    model: str,
    endpoint: str,
    policy: Policy,
    actor: str,
    alias: str = models.PRODUCTION,
    job_id: str | None = None,
    project: str | None = None,
) -> Rollout | None:
    """Begin to roll a version out; None where it was deployed at once.

    model: `models:/NAME/VERSION`. At once: no deployment that follows the alias answers requests
    yet, so there is nothing to compare with and nobody to protect. Raises NotFoundError;
    ConflictError while another rollout is open there or the alias is held.
    """
    check_name(endpoint, what="endpoint")
    check_alias(alias)
    reference = parse(model)
    if reference.kind != "model" or reference.name is None or reference.is_alias:
        raise invalid(f"'{model:.80}' is no model version.", hint="Write models:/NAME/VERSION.")
    if job_id is not None:
        project = owner_of_job(conn, job_id)
        projects.own_name(conn, "endpoint", endpoint, project)
    projects.require_name(conn, "model", reference.name, project)
    registry.lock_model(conn, reference.name)
    version = models.find_version(conn, reference.name, version=reference.label or "latest").version
    models.check_not_held(conn, reference.name, alias)
    previous = registry.find_alias(conn, reference.name, alias)
    found = routing.lock_endpoint(conn, endpoint)
    if found is not None and rows.find_open(conn, endpoint) is not None:
        raise endpoints.rollout_is_open(endpoint)
    serving = next(
        (
            one
            for one in (found.deployments if found is not None else ())
            if one.model_name == reference.name and one.alias == alias
        ),
        None,
    )
    if found is None or serving is None or not found.traffic[serving.name] or previous is None:
        endpoints.deploy(
            conn,
            model=f"models:/{reference.name}/{version}",
            endpoint=endpoint,
            alias=alias,
            actor=actor,
            job_id=job_id,
        )
        return None
    if previous == version:
        raise ConflictError(f"models:/{reference.name}@{alias} is on version {version} already.")
    candidate = f"{alias}-candidate"
    if candidate in found.traffic:
        raise ConflictError(
            f"Endpoint '{endpoint}' has a deployment '{candidate}', the name that a rollout needs.",
            hint="Delete it first.",
        )
    routing.put_deployment(
        conn,
        endpoint=endpoint,
        name=candidate,
        model=reference.name,
        alias=None,
        version=version,
        settings=_settings(serving.settings, policy),
    )
    rows.insert_rollout(
        conn,
        endpoint=endpoint,
        serving=serving.name,
        candidate=candidate,
        model=reference.name,
        alias=alias,
        version=version,
        previous=previous,
        policy=policy.as_dict(),
        traffic={name: share for name, share in found.traffic.items() if share},
        created_by=actor,
        job_id=job_id,
    )
    rollout = _find_open(conn, endpoint)
    _route(conn, rollout, policy)
    _record(conn, "start", rollout, actor=actor, job_id=job_id)
    return rollout


def advance(conn: Connection, endpoint: str, *, actor: str = "rollout") -> Rollout | None:
    """Drive the open rollout of an endpoint on by what was measured; None where there is none.

    Called at any time, by anyone, any number of times: it acts only on what the rows say.
    """
    before = rows.find_open(conn, endpoint)
    if before is None:
        return None
    # the model's lock first, as everywhere; then nobody else changes what is read below
    registry.lock_model(conn, before.model)
    if routing.lock_endpoint(conn, endpoint) is None:
        return None
    rollout = rows.find_open(conn, endpoint)
    if rollout is None or rollout.id != before.id or rollout.phase != "running":
        return rollout
    policy = read_policy(rollout.policy)
    if registry.find_alias(conn, rollout.model, rollout.alias) != rollout.previous:
        reason = f"somebody moved models:/{rollout.model}@{rollout.alias} meanwhile"
        return _roll_back(conn, rollout, reason=reason, actor=actor)
    is_baked = rows.age_of_stage_s(conn, rollout) >= policy.stages[rollout.stage].bake_s
    counts = rows.read_counts(conn, rollout.endpoint, since=rollout.stage_at)
    candidate = counts.get((rollout.candidate, rollout.version), Measured())
    serving = counts.get((rollout.serving, rollout.previous), Measured())
    drift = _read_drift(conn, rollout)
    fault = find_fault(
        policy, candidate, serving, drift=drift, metrics=rollout.metrics, is_baked=is_baked
    )
    if fault is not None:
        return _roll_back(conn, rollout, reason=fault, actor=actor)
    if not is_baked:
        return rollout
    if (lack := find_lack(policy, candidate, metrics=rollout.metrics)) is not None:
        rows.say(conn, rollout.id, reason=lack)
        return _find_open(conn, endpoint)
    if rollout.stage + 1 < len(policy.stages):
        rows.enter_stage(conn, rollout.id, rollout.stage + 1)
        rollout = _find_open(conn, endpoint)
        _route(conn, rollout, policy)
        _record(conn, "advance", rollout, actor=actor)
        return rollout
    return _succeed(conn, rollout, actor=actor)


def freeze(conn: Connection, endpoint: str, *, actor: str, reason: str = "") -> Rollout:
    """Keep the open rollout where it is: nothing is judged, nothing moves. Raises NotFoundError."""
    check_text(reason, what="reason")
    rollout = _lock_open(conn, endpoint)
    rows.freeze(conn, rollout.id, reason=reason)
    _record(conn, "freeze", rollout, actor=actor, reason=reason)
    return _find_open(conn, endpoint)


def resume(conn: Connection, endpoint: str, *, actor: str, reason: str = "") -> Rollout:
    """Let a frozen rollout go on; its stage begins again. Raises NotFoundError, ConflictError."""
    check_text(reason, what="reason")
    rollout = _lock_open(conn, endpoint)
    if rollout.phase != "frozen":
        raise ConflictError(f"The rollout of '{endpoint}' is {rollout.phase}, not frozen.")
    rows.enter_stage(conn, rollout.id, rollout.stage)
    _record(conn, "resume", rollout, actor=actor, reason=reason)
    return _find_open(conn, endpoint)


def abort(conn: Connection, endpoint: str, *, actor: str, reason: str = "") -> Rollout:
    """End the open rollout: what served before serves all. Raises NotFoundError."""
    check_text(reason, what="reason")
    rollout = _lock_open(conn, endpoint)
    return _roll_back(conn, rollout, reason=reason or f"aborted by {actor}", actor=actor)


def tell(conn: Connection, endpoint: str, *, metrics: Mapping[str, Any]) -> Rollout:
    """Keep what somebody measured of the candidate elsewhere; the next look judges it.

    metrics: name -> number, of those that the policy names; a later word replaces an earlier one.
    Raises NotFoundError; MlqError (code `invalid`).
    """
    rollout = _lock_open(conn, endpoint)
    known = read_policy(rollout.policy).metrics
    for name, value in metrics.items():
        if name not in known:
            raise invalid(
                f"The policy of this rollout has no metric '{name:.80}'.",
                hint=f"It has: {', '.join(known) or 'none; name them in abort.metrics'}.",
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise invalid(f"metrics.{name} should be a finite number.")
    rows.put_metrics(conn, rollout.id, {**rollout.metrics, **metrics})
    return _find_open(conn, endpoint)


def list_rollouts(
    conn: Connection, endpoint: str, *, limit: int = 50, before: str | None = None
) -> list[Rollout]:
    """Rollouts of an endpoint, newest first. Raises NotFoundError."""
    endpoints.find(conn, endpoint)
    return rows.page(conn, endpoint, limit=limit, before=before)


def measure(
    conn: Connection, endpoint: str, *, seconds: float
) -> Mapping[tuple[str, int], Measured]:
    """What (deployment, version) answered in the last `seconds`. Raises NotFoundError."""
    endpoints.find(conn, endpoint)
    return rows.read_counts(conn, endpoint, seconds=seconds)


def _settings(serving: Mapping[str, Any], policy: Policy) -> dict[str, Any]:
    """How the candidate answers: as what serves does. To be judged by drift it must be sampled."""
    settings = dict(serving)
    if policy.prediction_psi is not None and not settings.get("sampling_rate"):
        settings["sampling_rate"] = 1.0
    return settings


def _read_drift(conn: Connection, rollout: Rollout) -> Drift | None:
    """What is known of the candidate's predictions since this rollout began."""
    report = monitoring.find_report(conn, rollout.endpoint, rollout.candidate, rollout.version)
    if report is None or report.at < rollout.created_at:
        return None
    psi = (report.result["prediction"] or {}).get("psi")
    return None if psi is None else Drift(psi, report.rows)


def _route(conn: Connection, rollout: Rollout, policy: Policy) -> None:
    stage = policy.stages[rollout.stage]
    traffic, mirror = dict(rollout.traffic), {}
    if stage.kind == "mirror":
        mirror = {rollout.candidate: stage.percent}
    else:
        # at least a hundredth, however small the share of what serves
        share = max(1, round(traffic[rollout.serving] * stage.percent / 100))
        traffic[rollout.serving] -= share
        traffic[rollout.candidate] = share
    _set_routes(conn, rollout.endpoint, traffic=traffic, mirror=mirror)


def _succeed(conn: Connection, rollout: Rollout, *, actor: str) -> Rollout:
    try:
        models.set_alias(
            conn,
            name=rollout.model,
            alias=rollout.alias,
            version=rollout.version,
            actor=rollout.created_by,
            reason="rolled out",
            act="deploy",
            job_id=rollout.job_id,
        )
    except MlqError as error:  # held, or the version is gone
        return _roll_back(conn, rollout, reason=error.message, actor=actor)
    _clear(conn, rollout)
    rows.end(conn, rollout.id, phase="succeeded", reason="")
    _record(conn, "succeed", rollout, actor=actor)
    return rows.page(conn, rollout.endpoint, limit=1)[0]


def _roll_back(conn: Connection, rollout: Rollout, *, reason: str, actor: str) -> Rollout:
    _clear(conn, rollout)
    rows.end(conn, rollout.id, phase="rolled_back", reason=reason)
    _record(conn, "roll_back", rollout, actor=actor, reason=reason)
    return rows.page(conn, rollout.endpoint, limit=1)[0]


def _clear(conn: Connection, rollout: Rollout) -> None:
    _set_routes(conn, rollout.endpoint, traffic=rollout.traffic, mirror={})
    routing.delete_deployment(conn, endpoint=rollout.endpoint, name=rollout.candidate)


def _set_routes(
    conn: Connection, endpoint: str, *, traffic: Mapping[str, int], mirror: Mapping[str, int]
) -> None:
    split = {name: share for name, share in traffic.items() if share}
    routing.update_endpoint(conn, endpoint, traffic=split, mirror_traffic=dict(mirror))


def _record(
    conn: Connection,
    act: str,
    rollout: Rollout,
    *,
    actor: str,
    job_id: str | None = None,
    reason: str = "",
) -> None:
    detail: dict[str, Any] = {
        "rollout": rollout.id,
        "model": f"models:/{rollout.model}/{rollout.version}",
        "alias": rollout.alias,
        "stage": rollout.stage,
        "reason": reason,
    }
    events.record(
        conn,
        f"rollout.{act}",
        subject=f"endpoint:{rollout.endpoint}",
        actor=actor,
        job_id=job_id,
        detail=detail,
    )
    routing.raise_number(conn)


def _lock_open(conn: Connection, endpoint: str) -> Rollout:
    endpoints.find(conn, endpoint)
    routing.lock_endpoint(conn, endpoint)
    return _find_open(conn, endpoint)


def _find_open(conn: Connection, endpoint: str) -> Rollout:
    found = rows.find_open(conn, endpoint)
    if found is None:
        raise NotFoundError(
            f"No rollout is under way on endpoint '{endpoint}'.",
            hint=f"`mlq rollout list {endpoint}` shows those that were.",
        )
    return found
