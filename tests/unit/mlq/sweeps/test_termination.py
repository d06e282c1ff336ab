"""Early termination: Azure's policies by their formulas, ASHA by Optuna's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import fmean, median
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlq.sweeps.objective import Objective
from mlq.sweeps.samplers import Past
from mlq.sweeps.termination import Termination, make_termination

MAXIMIZE, MINIMIZE = Objective("score", "maximize"), Objective("loss", "minimize")
#: by trial the values that it reports
curves = st.lists(
    st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=6), min_size=1, max_size=8
)


def policy(objective: Objective = MAXIMIZE, **spec: Any) -> Termination:
    defaults = {"evaluation_interval": 1, "delay_evaluation": 0}
    made = make_termination({**defaults, **spec}, objective)
    assert made is not None
    return made


def past(number: int, values: list[float], state: str = "succeeded") -> Past:
    return Past(number, {}, state, None, dict(enumerate(values)))


def asks(termination: Termination, *values: float, number: int = 99) -> bool:
    return termination.should_stop(past(number, list(values), "running"))


def by_bandit(own: list[float], others: list[list[float]]) -> bool:
    best = max(max(values) for values in [*others, own])
    return max(own) < (best / 1.5 if best > 0 else best * 1.5)


def by_amount(own: list[float], others: list[list[float]]) -> bool:
    return max(own) < max(max(values) for values in [*others, own]) - 3


def by_median(own: list[float], others: list[list[float]]) -> bool:
    return max(own) < median([fmean(values) for values in [*others, own]])


def by_truncation(own: list[float], others: list[list[float]]) -> bool:
    not_better = [values for values in [*others, own] if max(values) <= max(own)]
    return len(not_better) <= (len(others) + 1) * 30 // 100


RULES: list[tuple[Mapping[str, Any], Callable[[list[float], list[list[float]]], bool]]] = [
    ({"type": "bandit", "slack_factor": 0.5}, by_bandit),
    ({"type": "bandit", "slack_amount": 3.0}, by_amount),
    ({"type": "median_stopping"}, by_median),
    ({"type": "truncation_selection", "truncation_percentage": 30}, by_truncation),
]


@pytest.mark.parametrize("goal", [MAXIMIZE, MINIMIZE], ids=["maximize", "minimize"])
@pytest.mark.parametrize(("spec", "rule"), RULES)
@settings(deadline=None)
@given(trials=curves)
def test_decisions_are_those_of_the_formula(
    spec: Mapping[str, Any],
    rule: Callable[[list[float], list[list[float]]], bool],
    goal: Objective,
    trials: list[list[float]],
) -> None:
    sign = 1 if goal is MAXIMIZE else -1
    termination = policy(goal, **spec)
    *others, own = trials
    # noted as they come, the last of them in pieces
    for number, values in enumerate(others):
        termination.sync([past(number, [sign * v for v in values[:1]], "running")])
        termination.sync([past(number, [sign * v for v in values])])
    for count in range(1, len(own) + 1):
        there = [values[:count] for values in others if len(values) >= count]

        assert asks(termination, *(sign * v for v in own[:count])) == rule(own[:count], there)


@settings(deadline=None)
@given(trials=st.lists(st.lists(st.integers(0, 9), min_size=9, max_size=9), max_size=12))
def test_hyperband_decides_as_optuna_halves(trials: list[list[int]]) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    termination = policy(type="hyperband", min_resource=1, reduction_factor=3)
    for number, values in enumerate(trials):
        trial = study.ask()
        for step, value in enumerate(values, start=1):
            trial.report(value, step)
            stops = asks(termination, *map(float, values[:step]), number=number)

            assert stops == trial.should_prune()
            if stops:
                break
        study.tell(trial, values[-1])


def test_azures_example_of_a_bandit() -> None:
    termination = policy(type="bandit", slack_factor=0.2)
    termination.sync([past(0, [0.8])])

    assert asks(termination, 0.66)
    assert not asks(termination, 0.67)


def test_the_best_trial_goes_on_where_the_metric_is_negative() -> None:
    termination = policy(type="bandit", slack_factor=0.5)
    termination.sync([past(0, [-10.0])])

    assert not asks(termination, -10.0)
    assert not asks(termination, -14.0)
    assert asks(termination, -16.0)


@pytest.mark.parametrize(("spec", "rule"), RULES)
def test_a_first_trial_and_equal_ones_go_on(spec: Mapping[str, Any], rule: Any) -> None:
    termination = policy(**spec)

    assert [asks(termination, 1.0, 1.0, number=number) for number in range(10)] == [False] * 10


def test_policies_apply_at_multiples_of_the_interval_after_the_delay() -> None:
    termination = policy(type="bandit", slack_amount=1.0, evaluation_interval=2, delay_evaluation=3)
    termination.sync([past(0, [9.0] * 8)])

    assert [asks(termination, *[0.0] * count) for count in range(9)] == [
        *(False, False, False, False, True, False, True, False, True)
    ]


def test_intervals_are_reports_and_not_step_numbers() -> None:
    termination = policy(type="bandit", slack_amount=1.0)
    termination.sync([Past(0, {}, "succeeded", None, {10: 5.0, 20: 9.0})])

    assert not termination.should_stop(Past(1, {}, "running", None, {7: 4.5}))
    assert termination.should_stop(Past(1, {}, "running", None, {8: 4.5, 7: 4.5}))


def test_a_metric_that_is_no_number_is_the_worst() -> None:
    for spec, _ in RULES:
        termination = policy(MINIMIZE, **spec)
        termination.sync([past(k, [float(k), float(k)]) for k in range(5)])
        termination.sync([past(5, [math.nan, math.inf])])

        assert asks(termination, math.nan), spec
        assert not asks(termination, -1.0, math.nan), spec


def test_a_trial_that_begins_again_no_longer_counts_as_it_was() -> None:
    termination = policy(type="bandit", slack_amount=1.0)
    termination.sync([past(0, [9.0, 9.0])])
    termination.sync([past(0, [2.0], "running")])

    assert not asks(termination, 1.5)
    assert not asks(termination, 1.5, 1.5)


def test_a_trial_without_reports_goes_on() -> None:
    assert not asks(policy(type="median_stopping"))


def test_there_may_be_no_policy() -> None:
    assert make_termination(None, MAXIMIZE) is None


def test_another_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="no early termination policy 'luck'"):
        policy(type="luck")
