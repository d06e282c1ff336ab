"""Endpoints and deployments: names that answer predictions, and what stands behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from mlq.db import events, registry, rollouts, routing
from mlq.db.projects import owner_of_job
from mlq.db.routing import Deployment, Endpoint
from mlq.errors import ConflictError, NotFoundError, nearest
from mlq.service import models, projects
from mlq.service.assets import parse
from mlq.service.names import check_alias, check_name, check_text, invalid


def create(
    conn: Connection,
    *,
    name: str,
    actor: str,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    project: str | None = None,
) -> Endpoint:
    """Make an endpoint without deployments. Raises ConflictError where there is one."""
    check_name(name, what="endpoint")
    check_text(description, what="description")
    projects.own_name(conn, "endpoint", name, project)
    if not routing.insert_endpoint(conn, name=name, description=description, tags=tags or {}):
        raise ConflictError(f"There is an endpoint '{name}' already.")
    return _changed(conn, "endpoint.create", name, actor=actor)


def update(
    conn: Connection,
    *,
    name: str,
    actor: str,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Endpoint:
    """Set what is not None. Raises NotFoundError."""
    _lock(conn, name)
    columns: dict[str, Any] = {}
    if description is not None:
        columns["description"] = check_text(description, what="description")
    if tags is not None:
        columns["tags"] = dict(tags)
    routing.update_endpoint(conn, name, **columns)
    return _changed(conn, "endpoint.update", name, actor=actor, detail=columns)


def delete(conn: Connection, *, name: str, actor: str) -> None:
    """Remove an endpoint with its deployments. Raises NotFoundError."""
    _lock_free(conn, name)
    routing.delete_endpoint(conn, name)
    events.record(conn, "endpoint.delete", subject=f"endpoint:{name}", actor=actor)
    routing.raise_number(conn)


def set_traffic(
    conn: Connection, *, name: str, traffic: Mapping[str, int], actor: str, reason: str = ""
) -> Endpoint:
    """Split an endpoint's requests: deployment -> percent; those not named get none.

    The percents sum to 100, or are all 0. Raises NotFoundError; MlqError (code `invalid`).
    """
    check_text(reason, what="reason")
    endpoint = _lock_free(conn, name)
    _check_percents(endpoint, traffic, what="Traffic")
    if sum(traffic.values()) not in (0, 100):
        raise invalid(
            f"Traffic of endpoint '{name}' sums to {sum(traffic.values())}, not to 100.",
            hint="Name every deployment that gets some; all 0 takes the endpoint off.",
        )
    split = {deployment: percent for deployment, percent in traffic.items() if percent}
    routing.update_endpoint(conn, name, traffic=split)
    detail = {"traffic": split, "previous": _positive(endpoint), "reason": reason}
    return _changed(conn, "endpoint.traffic", name, actor=actor, detail=detail)


def set_mirror_traffic(
    conn: Connection, *, name: str, mirror: Mapping[str, int], actor: str, reason: str = ""
) -> Endpoint:
    """Send copies of requests: deployment -> percent of them; those not named get none.

    Callers get the answers of the deployments that `traffic` names, which must be others.
    Raises NotFoundError; MlqError (code `invalid`).
    """
    check_text(reason, what="reason")
    endpoint = _lock_free(conn, name)
    _check_percents(endpoint, mirror, what="Mirrored traffic")
    copies = {deployment: percent for deployment, percent in mirror.items() if percent}
    for deployment in copies:
        if endpoint.traffic[deployment]:
            raise invalid(
                f"Deployment '{deployment}' of '{name}' answers {endpoint.traffic[deployment]} % "
                "of the requests and cannot get copies too.",
                hint="Mirror to a deployment without traffic.",
            )
    routing.update_endpoint(conn, name, mirror_traffic=copies)
    detail = {
        "mirror_traffic": copies,
        "previous": dict(endpoint.mirror_traffic),
        "reason": reason,
    }
    return _changed(conn, "endpoint.mirror", name, actor=actor, detail=detail)


def put_deployment(
    conn: Connection,
    *,
    endpoint: str,
    name: str,
    model: str,
    actor: str,
    job_id: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    project: str | None = None,
) -> Deployment:
    """Make deployment `name`, or point it elsewhere. What is None stays as it is.

    settings: see `mlq.spec.serving.DeploymentFile`.

    model: `models:/churn/3` stays on a version, `models:/churn@production` follows an alias.
    The first deployment of an endpoint gets all traffic, later ones none until told.
    Raises NotFoundError for an unknown endpoint, model, version or alias.
    """
    check_name(name, what="deployment")
    reference = parse(model)
    if reference.kind != "model" or reference.name is None:
        raise invalid(
            f"'{model:.80}' is no model.", hint="Write models:/NAME/3 or models:/NAME@ALIAS."
        )
    projects.require_name(conn, "model", reference.name, project)
    # The model's lock first: the alias must not go away before this commits.
    registry.lock_model(conn, reference.name)
    label = reference.label or "latest"
    found = models.find_version(conn, reference.name, version=label)
    before = _lock_free(conn, endpoint)
    follows = reference.is_alias
    routing.put_deployment(
        conn,
        endpoint=endpoint,
        name=name,
        model=reference.name,
        alias=label if follows else None,
        version=None if follows else found.version,
        **_given(description=description, tags=tags, settings=settings),
    )
    traffic = {name: 100} if not before.deployments else _positive(before)
    routing.update_endpoint(conn, endpoint, traffic=traffic)
    after = _changed(
        conn,
        "endpoint.deploy",
        endpoint,
        actor=actor,
        job_id=job_id,
        detail={"deployment": name, "model": model, "version": found.version},
    )
    return next(one for one in after.deployments if one.name == name)


def delete_deployment(conn: Connection, *, endpoint: str, name: str, actor: str) -> None:
    """Remove a deployment. Raises NotFoundError; ConflictError while it gets traffic."""
    found = _lock_free(conn, endpoint)
    if name not in found.traffic:
        raise _no_deployment(found, name)
    if found.traffic[name]:
        raise ConflictError(
            f"Deployment '{name}' of '{endpoint}' gets {found.traffic[name]} % of the traffic.",
            hint="Give its traffic to another deployment first, or set all of it to 0.",
        )
    if name in found.mirror_traffic:
        copies = {key: share for key, share in found.mirror_traffic.items() if key != name}
        routing.update_endpoint(conn, endpoint, mirror_traffic=copies)
    routing.delete_deployment(conn, endpoint=endpoint, name=name)
    _changed(conn, "endpoint.undeploy", endpoint, actor=actor, detail={"deployment": name})


def deploy(
    conn: Connection,
    *,
    model: str,
    endpoint: str,
    alias: str,
    actor: str,
    job_id: str | None = None,
) -> Endpoint:
    """Move `alias` to a version; see to it that `endpoint` has a deployment that follows it.

    model: `models:/NAME/VERSION`. The deployment is named like the alias; the endpoint is made
    where it does not exist. Raises NotFoundError; MlqError (code `invalid`).
    """
    check_name(endpoint, what="endpoint")
    check_alias(alias)
    reference = parse(model)
    if reference.kind != "model" or reference.name is None or reference.is_alias:
        raise invalid(f"'{model:.80}' is no model version.", hint="Write models:/NAME/VERSION.")
    if job_id is not None:
        project = owner_of_job(conn, job_id)
        projects.require_name(conn, "model", reference.name, project)
        projects.own_name(conn, "endpoint", endpoint, project)
    models.set_alias(
        conn,
        name=reference.name,
        alias=alias,
        version=reference.label or "latest",
        actor=actor,
        act="deploy",
        job_id=job_id,
    )
    if routing.insert_endpoint(conn, name=endpoint, description="", tags={}):
        events.record(
            conn, "endpoint.create", subject=f"endpoint:{endpoint}", actor=actor, job_id=job_id
        )
    follow = f"models:/{reference.name}@{alias}"
    current = _lock(conn, endpoint)
    if not any(one.name == alias and one.model == follow for one in current.deployments):
        put_deployment(
            conn, endpoint=endpoint, name=alias, model=follow, actor=actor, job_id=job_id
        )
    return find(conn, endpoint)


def find(conn: Connection, name: str) -> Endpoint:
    """An endpoint with its deployments. Raises NotFoundError with the nearest name."""
    found = routing.find_endpoint(conn, name)
    if found is None:
        raise _no_endpoint(conn, name)
    return found


def list_endpoints(
    conn: Connection, *, limit: int = 50, after: str | None = None, project: str | None = None
) -> list[Endpoint]:
    """Endpoints by name; `after` is the last name of a page."""
    return routing.page_endpoints(conn, limit=limit, after=after, project=project)


def _lock(conn: Connection, name: str) -> Endpoint:
    found = routing.lock_endpoint(conn, name)
    if found is None:
        raise _no_endpoint(conn, name)
    return found


def _lock_free(conn: Connection, name: str) -> Endpoint:
    """Lock an endpoint that no rollout is changing."""
    found = _lock(conn, name)
    if rollouts.find_open(conn, name) is not None:
        raise rollout_is_open(name)
    return found


def rollout_is_open(name: str) -> ConflictError:
    """The error for a change that a rollout would undo."""
    return ConflictError(
        f"A rollout is under way on endpoint '{name}': until it ends, traffic and deployments are "
        "its own.",
        code="rollout_open",
        hint=f"`mlq rollout show {name}` tells where it is, `mlq rollout abort {name}` ends it.",
    )


def _changed(
    conn: Connection,
    kind: str,
    name: str,
    *,
    actor: str,
    job_id: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Endpoint:
    events.record(conn, kind, subject=f"endpoint:{name}", actor=actor, job_id=job_id, detail=detail)
    routing.raise_number(conn)
    return find(conn, name)


def _check_percents(endpoint: Endpoint, shares: Mapping[str, int], *, what: str) -> None:
    known = [deployment.name for deployment in endpoint.deployments]
    for deployment, percent in shares.items():
        if deployment not in known:
            raise _no_deployment(endpoint, deployment)
        if not isinstance(percent, int) or isinstance(percent, bool) or not 0 <= percent <= 100:
            raise invalid(f"{what} of '{deployment}' is a whole number from 0 to 100.")


def _given(**columns: Any) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if value is not None}


def _positive(endpoint: Endpoint) -> dict[str, int]:
    return {name: percent for name, percent in endpoint.traffic.items() if percent}


def _no_endpoint(conn: Connection, name: str) -> NotFoundError:
    close = nearest(name, routing.endpoint_names(conn))
    return NotFoundError(
        f"There is no endpoint '{name:.80}'.",
        hint=f"Did you mean '{close}'?"
        if close
        else "`mlq online-endpoint list` shows what there is.",
    )


def _no_deployment(endpoint: Endpoint, name: str) -> NotFoundError:
    known = ", ".join(one.name for one in endpoint.deployments)
    return NotFoundError(
        f"Endpoint '{endpoint.name}' has no deployment '{name:.80}'.",
        hint=f"It has: {known}." if known else "It has none yet.",
    )
