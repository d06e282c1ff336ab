"""Bodies of what is watched: drift, and feedback."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

_FEATURE = {
    "name": "tenure",
    "kind": "number",
    "rows": 400,
    "missing": 0.01,
    "missing_before": 0.0,
    "psi": 0.31,
    "ks": 0.22,
    "p_value": 1e-8,
    "out_of_range": 0.02,
    "drift": "large",
}


def _example(**example: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [example]})


class Drifted(BaseModel):
    """How a column, or the predictions, differ from the training profile.

    Shares from 0 to 1. psi, p_value: of what can be compared; ks, out_of_range: of numbers;
    chi_square, unknown: of labels. drift: none, moderate or large, as the PSI is usually read.
    """

    model_config = _example(**_FEATURE)
    name: str
    kind: str
    rows: int
    missing: float
    missing_before: float
    psi: float | None = None
    p_value: float | None = None
    ks: float | None = None
    out_of_range: float | None = None
    chi_square: float | None = None
    unknown: float | None = None
    drift: str | None = None


class Live(BaseModel):
    """What the truth says. truths: rows whose truth is known."""

    truths: int
    accuracy: float | None = None
    mae: float | None = None
    rmse: float | None = None


class DriftReport(BaseModel):
    """How the version behind a deployment did. at: null where it was not looked at yet."""

    model_config = _example(
        deployment="production",
        model="models:/churn/4",
        sampling_rate=0.2,
        at="2026-06-01T08:00:00Z",
        rows=400,
        has_profile=True,
        features=[_FEATURE],
        prediction={**_FEATURE, "name": "prediction", "kind": "category", "psi": 0.02},
        live={"truths": 120, "accuracy": 0.91},
        breaches=["tenure: PSI 0.31 > 0.25"],
    )
    deployment: str
    model: str
    sampling_rate: float
    at: datetime | None
    rows: int
    has_profile: bool
    features: list[Drifted]
    prediction: Drifted | None
    live: Live
    breaches: list[str]


class Drift(BaseModel):
    """An endpoint's deployments."""

    model_config = _example(items=[])
    items: list[DriftReport]


class SampledRequest(BaseModel):
    """A request that was sampled. rows: how many it had, of which some are kept.

    columns: name -> values of those. truth: what feedback said, null where it is not known.
    is_copy: the caller got another deployment's answer.
    """

    model_config = _example(
        id=17,
        at="2026-06-01T08:00:00Z",
        request_id="order-17",
        deployment="production",
        version=3,
        is_copy=False,
        rows=1,
        columns={"tenure": [2], "plan": ["basic"]},
        predictions=["yes"],
        truth=["no"],
    )
    id: int
    at: datetime
    request_id: str
    deployment: str
    version: int
    is_copy: bool
    rows: int
    columns: dict[str, list[Any]]
    predictions: list[Any]
    truth: list[Any] | None = None


class Feedback(BaseModel):
    """What turned out to be true, of one request or, in `items`, of many."""

    model_config = _example(items=[{"request_id": "order-17", "truth": ["yes"]}])
    request_id: str | None = None
    truth: Any = None
    items: list[dict[str, Any]] = []


class Kept(BaseModel):
    """For how many requests a truth is kept."""

    model_config = _example(kept=1)
    kept: int
