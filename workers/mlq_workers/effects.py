"""Effects of built-in components on the registry, committed with the outcome of their step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from mlq.db import registry
from mlq.errors import StepError
from mlq.service import endpoints, models, rollouts
from mlq.service.execution import Attempt
from mlq_workers.components.base import DeployModel, Effect, RegisterModel


def bind(effect: Effect) -> Callable[[Connection, Attempt], Mapping[str, Any]]:
    """What to do in the outcome's transaction; it returns further outputs."""
    if isinstance(effect, RegisterModel):
        return lambda conn, attempt: _register(conn, attempt, effect)
    return lambda conn, attempt: _deploy(conn, attempt, effect)


def _register(conn: Connection, attempt: Attempt, effect: RegisterModel) -> Mapping[str, Any]:
    given = attempt.inputs["model"]
    if given.digest is None or given.kind != "tree":
        raise StepError("Input 'model' is not a model package.", code="not_a_model")
    stored = registry.find_artifact(conn, given.digest)
    version = models.register(
        conn,
        name=effect.name,
        digest=given.digest,
        size_bytes=stored.size_bytes if stored else 0,
        job_id=attempt.claim.id,
        metrics=effect.metrics,
        report=effect.report,
        description=effect.description,
        actor=attempt.claim.submitted_by,
    )
    return {"version": {"type": "string", "value": f"models:/{effect.name}/{version.version}"}}


def _deploy(conn: Connection, attempt: Attempt, effect: DeployModel) -> Mapping[str, Any]:
    actor, job_id = attempt.claim.submitted_by, attempt.claim.id
    if effect.policy is None:
        endpoints.deploy(
            conn,
            model=effect.model,
            endpoint=effect.endpoint,
            alias=effect.alias,
            actor=actor,
            job_id=job_id,
        )
    else:
        rollouts.start(
            conn,
            model=effect.model,
            endpoint=effect.endpoint,
            alias=effect.alias,
            policy=effect.policy,
            actor=actor,
            job_id=job_id,
        )
    return {"endpoint": {"type": "string", "value": effect.endpoint}}
