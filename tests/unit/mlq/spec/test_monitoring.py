"""Limits of drift, and what goes over them."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.errors import SpecError
from mlq.spec.monitoring import Limits, find_breaches, read_limits

AGE = {"name": "age", "psi": 0.3, "ks": 0.2, "p_value": 0.001, "missing": 0.2,
       "missing_before": 0.05, "out_of_range": 0.2}  # fmt: skip
PLAN = {"name": "plan", "psi": 0.01, "missing": 0.0, "missing_before": 0.5, "unknown": 0.5}


def result(*features: Any, psi: float | None = 0.0, **live: Any) -> dict[str, Any]:
    prediction = None if psi is None else {"psi": psi}
    return {"features": features, "prediction": prediction, "live": {"truths": 0, **live}}


def test_each_limit_is_named_with_what_went_over_it() -> None:
    said = find_breaches(read_limits({"ks": 0.1, "p_value": 0.01}), result(AGE, PLAN), rows=200)
    assert said == [
        "age: PSI 0.3 > 0.25",
        "age: KS 0.2 > 0.1",
        "age: p 0.001 < 0.01",
        "age: 15.0% more missing > 10.0%",
        "age: 20.0% out of range > 10.0%",
        "plan: 50.0% unknown labels > 10.0%",
    ]


def test_few_rows_say_nothing_and_limits_may_be_taken_away() -> None:
    assert find_breaches(Limits(), result(AGE), rows=199) == []
    off = read_limits({"psi": None, "missing": None, "out_of_range": None})
    assert find_breaches(off, result(AGE), rows=200) == []


def test_predictions_and_their_truth() -> None:
    assert find_breaches(Limits(), result(psi=0.5), rows=200) == ["prediction: PSI 0.5 > 0.25"]
    assert find_breaches(Limits(), result(psi=None), rows=200) == []
    limits = read_limits({"accuracy": 0.8, "mae": 2})
    assert find_breaches(limits, result(truths=50, accuracy=0.7), rows=0) == ["accuracy 0.7 < 0.8"]
    assert find_breaches(limits, result(truths=49, accuracy=0.7), rows=0) == []
    assert find_breaches(limits, result(truths=50, mae=2.5), rows=0) == [
        "mean absolute error 2.5 > 2"
    ]


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ({"spi": 1}, "drift.spi"),
        ({"psi": "much"}, "drift.psi"),
        ({"psi": True}, "drift.psi"),
        ({"min_rows": None}, "drift.min_rows"),
        ({"window_s": 1e9}, "drift.window_s"),
        ([], "drift"),
    ],
)
def test_what_makes_no_sense_is_refused(written: Any, place: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_limits(written)
    assert [problem.path for problem in caught.value.problems] == [place]
