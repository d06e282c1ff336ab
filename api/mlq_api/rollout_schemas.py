"""Bodies of rollouts and of what was measured."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_POLICY: dict[str, Any] = {
    "mirror": {"percent": 100, "bake_s": 60},
    "canary": [{"percent": 5, "bake_s": 300}, {"percent": 50, "bake_s": 300}],
    "abort": {"error_rate": 0.01, "p95_ratio": 2.0, "min_requests": 20},
}


def _example(**example: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [example]})


class NewRollout(BaseModel):
    """Rolls a version out by stages. policy: mirror, canary and abort; see the documentation."""

    model_config = _example(model="models:/churn/4", alias="production", policy=_POLICY)
    model: str = Field(max_length=400)
    alias: str = Field(default="production", max_length=64)
    policy: dict[str, Any]


class RolloutAct(BaseModel):
    """Freezes, resumes or aborts a rollout."""

    model_config = _example(reason="it is Friday")
    reason: str = Field(default="", max_length=2000)


class ToldMetrics(BaseModel):
    """What was measured of a candidate elsewhere, by the names of its policy's `abort.metrics`."""

    model_config = _example(metrics={"conversion": 0.031})
    metrics: dict[str, float] = Field(min_length=1, max_length=100)


class Rollout(BaseModel):
    """A version on its way to an alias. phase: running, frozen, succeeded or rolled_back."""

    model_config = _example(
        id="0" * 32,
        endpoint="churn",
        model="models:/churn/4",
        alias="production",
        previous=3,
        candidate="production-candidate",
        policy=_POLICY,
        stage=1,
        phase="running",
        reason="",
        metrics={},
        created_by="admin",
        created_at="2026-06-01T08:00:00Z",
        stage_at="2026-06-01T08:01:00Z",
    )
    id: str
    endpoint: str
    model: str
    alias: str
    previous: int
    candidate: str
    policy: dict[str, Any]
    stage: int
    phase: str
    reason: str
    metrics: dict[str, float] = {}
    created_by: str
    job_id: str | None = None
    created_at: datetime
    stage_at: datetime
    ended_at: datetime | None = None


class StartedRollout(BaseModel):
    """rollout null: nothing served yet that could be compared with, so it was deployed at once."""

    model_config = _example(rollout=None)
    rollout: Rollout | None


class Traffic(BaseModel):
    """What a version behind a deployment answered. Latencies in milliseconds."""

    model_config = _example(
        deployment="production", version=3, requests=100, errors=0, rows=100, p50_ms=2.1
    )
    deployment: str
    version: int
    requests: int
    errors: int
    rows: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


class Measurements(BaseModel):
    """What an endpoint answered in the last `seconds`."""

    model_config = _example(seconds=300, items=[])
    seconds: float
    items: list[Traffic]
