"""What a trial's numbers make of it."""

from __future__ import annotations

import math

from mlq_workers.sweeps.verdict import find_value


def test_the_primary_metric_is_the_value() -> None:
    assert find_value({"accuracy": 0.5, "f1": 0.1}, "accuracy") == (0.5, None)


def test_a_trial_without_its_metric_says_what_it_reported() -> None:
    value, error = find_value({"acuracy": 0.5}, "accuracy")
    assert value is None
    assert error is not None
    assert error["code"] == "metric_missing"
    assert "it reported acuracy" in error["message"]
    assert error["hint"] == "Did you mean 'acuracy'?"


def test_a_value_that_cannot_be_compared_fails_the_trial() -> None:
    for odd in (math.nan, math.inf, -math.inf):
        value, error = find_value({"loss": odd}, "loss")
        assert value is None
        assert error is not None
        assert error["code"] == "metric_nan"
