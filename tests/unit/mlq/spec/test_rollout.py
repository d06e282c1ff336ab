from __future__ import annotations

from typing import Any

import pytest

from mlq.errors import SpecError
from mlq.spec.rollout import (
    BOUNDS_MS,
    Drift,
    Measured,
    Stage,
    bucket_of,
    find_fault,
    find_lack,
    read_policy,
)

POLICY = {
    "mirror": {"percent": 50, "bake_s": 1},
    "canary": [{"percent": 10, "bake_s": 2.5}],
    "abort": {"error_rate": 0.1, "p95_ms": 100, "p95_ratio": 2, "min_requests": 10},
}


def measured(*latencies_ms: float, errors: int = 0) -> Measured:
    latency: dict[int, int] = {}
    for one in latencies_ms:
        latency[bucket_of(one)] = latency.get(bucket_of(one), 0) + 1
    return Measured(len(latencies_ms), errors, len(latencies_ms), latency)


def test_a_policy_is_read_and_written() -> None:
    policy = read_policy(POLICY)
    assert policy.stages == (Stage("mirror", 50, 1.0), Stage("canary", 10, 2.5))
    assert read_policy(policy.as_dict()) == policy


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ([], "policy"),
        ({}, "policy"),
        ({"canray": []}, "policy.canray"),
        ({"canary": [{"percent": 0, "bake_s": 1}]}, "policy.canary[0].percent"),
        ({"canary": [{"percent": True, "bake_s": 1}]}, "policy.canary[0].percent"),
        ({"canary": [{"percent": 5}]}, "policy.canary[0].bake_s"),
        ({"mirror": {"percent": 5, "bake": 1}}, "policy.mirror.bake"),
        ({"mirror": {"bake_s": 1}, "abort": {"p95_ms": "slow"}}, "policy.abort.p95_ms"),
        ({"mirror": {"bake_s": 1}, "abort": {"drift": 1}}, "policy.abort.drift"),
        ({"mirror": {"bake_s": 1}, "abort": {"metrics": ["a"]}}, "policy.abort.metrics"),
        ({"mirror": {"bake_s": 1}, "abort": {"metrics": {"a": {}}}}, "policy.abort.metrics.a"),
        ({"mirror": {"bake_s": 1}, "abort": {"metrics": {"a": 1}}}, "policy.abort.metrics.a"),
        (
            {"mirror": {"bake_s": 1}, "abort": {"metrics": {"a": {"min": "x"}}}},
            "policy.abort.metrics.a.min",
        ),
    ],
)
def test_a_wrong_policy_names_the_place(written: Any, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_policy(written)
    assert path in [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("candidate", "serving", "is_baked", "said"),
    [
        (measured(), measured(), True, None),
        (measured(*[5] * 20, errors=2), measured(), False, None),
        (measured(*[5] * 20, errors=3), measured(), False, "3 of 20 requests failed"),
        (measured(*[5] * 9, errors=9), measured(), False, None),
        (measured(*[5] * 9, errors=9), measured(), True, "9 of 9 requests failed"),
        (measured(*[5] * 94, *[300] * 6), measured(), False, "over the limit of 100 ms"),
        (measured(*[5] * 96, *[300] * 4), measured(), False, None),
        (measured(*[50] * 20), measured(*[5] * 20), False, "times the"),
        (measured(*[50] * 20), measured(5), False, None),
        (measured(*[9] * 20), measured(*[5] * 20), False, None),
    ],
)
def test_what_ends_a_rollout(
    candidate: Measured, serving: Measured, is_baked: bool, said: str | None
) -> None:
    fault = find_fault(read_policy(POLICY), candidate, serving, is_baked=is_baked)
    assert (said in fault) if said and fault else fault == said


@pytest.mark.parametrize(
    ("psi", "rows", "is_baked", "is_over"),
    [(0.3, 20, False, True), (0.3, 19, False, False), (0.3, 1, True, True), (0.2, 99, True, False)],
)
def test_drift_of_predictions_ends_a_rollout(
    psi: float, rows: int, is_baked: bool, is_over: bool
) -> None:
    policy = read_policy({**POLICY, "abort": {"prediction_psi": 0.25, "min_requests": 20}})
    assert read_policy(policy.as_dict()) == policy
    drift = Drift(psi, rows)
    fault = find_fault(policy, measured(), measured(), drift=drift, is_baked=is_baked)
    assert bool(fault and "drifted" in fault) == is_over
    other = read_policy(POLICY)  # which says nothing of drift
    assert find_fault(other, measured(), measured(), drift=drift, is_baked=is_baked) is None


def test_a_quantile_is_the_upper_bound_of_its_bucket() -> None:
    found = measured(*range(1, 101))
    for share in (0.5, 0.95, 0.99):
        quantile = found.quantile_ms(share)
        assert quantile is not None
        assert share * 100 <= quantile <= share * 100 * 1.25
    assert measured(10**9).quantile_ms(0.5) == BOUNDS_MS[-1]
    assert Measured().quantile_ms(0.5) is None


def test_metrics_of_ones_own_are_held_to_their_bounds() -> None:
    bounds = {"conversion": {"min": 0.02}, "complaints": {"max": 5}}
    policy = read_policy({**POLICY, "abort": {"min_requests": 0, "metrics": bounds}})
    assert read_policy(policy.as_dict()) == policy
    for metrics, said in (
        ({"conversion": 0.02, "complaints": 5}, None),
        ({"conversion": 0.01}, "its conversion is 0.01 (at least 0.02)"),
        ({"complaints": 6}, "its complaints is 6 (at most 5)"),
    ):
        found = find_fault(policy, measured(), measured(), metrics=metrics, is_baked=False)
        assert found == said
    lack = find_lack(policy, measured(), metrics={"complaints": 1})
    assert lack is not None
    assert "its conversion " in lack
    assert find_lack(policy, measured(), metrics={"complaints": 1, "conversion": 1}) is None
