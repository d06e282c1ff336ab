"""What the API takes and answers about sweeps, as OpenAPI describes it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from mlq.spec.model import MAX_CONCURRENT_TRIALS, MAX_TRIALS, Seconds

#: Points that may be added at once.
MAX_POINTS = 1000

_ID = "0199f2c81a2b7c3d8e4f5a6b7c8d9e0f"
_AT = "2026-11-23T08:00:00Z"

TrialState = Literal["queued", "running", "succeeded", "failed", "pruned", "canceled"]


def _example(**value: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class SweepObjective(BaseModel):
    """What a sweep is after. target: the value that ends it."""

    primary_metric: str
    goal: Literal["maximize", "minimize"]
    target: float | None = None


class SweepLimits(BaseModel):
    """How far a sweep goes, as its job file says it; times in seconds, null for no limit."""

    max_total_trials: int | None = None
    max_concurrent_trials: int | None = None
    timeout: float | None = None
    trial_timeout: float | None = None


class TrialCounts(BaseModel):
    """How many trials there are. queued: given out, and not begun or not known to have begun."""

    queued: int
    running: int
    succeeded: int
    failed: int
    pruned: int
    canceled: int


class BestTrial(BaseModel):
    """The best trial so far."""

    number: int
    id: str
    value: float
    params: dict[str, Any]


class SweepSummary(BaseModel):
    """What a sweep is after and how far it is."""

    model_config = _example(
        objective={"primary_metric": "roc_auc", "goal": "maximize", "target": 0.99},
        sampling={"type": "random", "rule": "sobol", "seed": 0},
        early_termination=None,
        limits={"max_total_trials": 100, "max_concurrent_trials": 8},
        total=100,
        counts={
            "queued": 6,
            "running": 2,
            "succeeded": 40,
            "failed": 1,
            "pruned": 3,
            "canceled": 0,
        },
        best={"number": 17, "id": _ID, "value": 0.93, "params": {"learning_rate": 0.05}},
        paused_at=None,
    )
    objective: SweepObjective
    sampling: dict[str, Any]
    early_termination: dict[str, Any] | None = None
    limits: SweepLimits
    total: int | None = Field(
        default=None, description="Trials when nothing ends it early; null where nobody can know."
    )
    counts: TrialCounts
    best: BestTrial | None = None
    paused_at: datetime | None = None


class TrialError(BaseModel):
    """Why a trial failed."""

    model_config = ConfigDict(extra="allow")
    code: str | None = None
    message: str | None = None


class Trial(BaseModel):
    """A trial of a sweep; a job too, under its id."""

    model_config = _example(
        number=17,
        id=_ID,
        state="succeeded",
        reason=None,
        error=None,
        params={"learning_rate": 0.05, "max_leaf_nodes": 31},
        value=0.93,
        metrics={"roc_auc": 0.93, "roc_auc_std": 0.01},
        attempt=1,
        worker="celery@laptop",
        started_at=_AT,
        finished_at=_AT,
        duration_s=0.11,
    )
    number: int
    id: str
    state: str
    reason: str | None = Field(
        default=None, description="Of a canceled one `pruned`, where early termination stopped it."
    )
    error: TrialError | None = None
    params: dict[str, Any] | None = Field(
        default=None, description="Null before the trial is begun."
    )
    value: float | None = Field(default=None, description="Of the primary metric.")
    metrics: dict[str, float | None] = {}
    attempt: int
    worker: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_s: float | None = None


class ProgressPoint(BaseModel):
    """A trial that was the best when it ended."""

    number: int
    finished_at: datetime
    value: float


class Progress(BaseModel):
    """The best value so far, as it rose or fell."""

    model_config = _example(
        objective={"primary_metric": "roc_auc", "goal": "maximize", "target": None},
        points=[{"number": 0, "finished_at": _AT, "value": 0.88}],
    )
    objective: SweepObjective
    points: list[ProgressPoint]


class Importance(BaseModel):
    """How much each swept parameter matters: shares of 1, the largest first.

    Empty with fewer than 4 succeeded trials, or where none of the parameters varied.
    """

    model_config = _example(importance={"learning_rate": 0.8, "max_leaf_nodes": 0.2}, succeeded=40)
    importance: dict[str, float]
    succeeded: int = Field(description="Trials that it was worked out from.")


class LimitsChange(BaseModel):
    """Changes the limits that are given; null takes one away."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"max_total_trials": 200}]}
    )
    max_total_trials: Annotated[StrictInt, Field(ge=1, le=MAX_TRIALS)] | None = None
    max_concurrent_trials: Annotated[StrictInt, Field(ge=1, le=MAX_CONCURRENT_TRIALS)] | None = None
    timeout: Seconds | None = Field(default=None, description="Seconds since the sweep started.")


class NewTrials(BaseModel):
    """Points to try: each gives every swept parameter a value."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"points": [{"learning_rate": 0.1}]}]},
    )
    points: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_POINTS)


class AddedTrials(BaseModel):
    """Numbers of the trials that were added."""

    model_config = _example(trials=[40, 41])
    trials: list[int]
