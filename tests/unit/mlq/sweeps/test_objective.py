"""Which value is better, and which is good enough."""

from __future__ import annotations

import math

import pytest

from mlq.sweeps.objective import Objective

UP = Objective("roc_auc", "maximize", 0.9)
DOWN = Objective("log_loss", "minimize", 0.2)


@pytest.mark.parametrize(
    ("objective", "better", "worse"), [(UP, 0.8, 0.7), (DOWN, 0.1, 0.3), (DOWN, -1.0, 0.0)]
)
def test_the_goal_says_what_is_better(objective: Objective, better: float, worse: float) -> None:
    assert objective.is_better(better, worse)
    assert not objective.is_better(worse, better)


def test_an_equal_value_is_not_better() -> None:
    assert not UP.is_better(0.5, 0.5)
    assert not DOWN.is_better(0.5, 0.5)


@pytest.mark.parametrize("objective", [UP, DOWN])
def test_nan_beats_nothing_and_reaches_nothing(objective: Objective) -> None:
    assert not objective.is_better(math.nan, 0.0)
    assert not objective.is_better(math.nan, math.nan)
    assert objective.is_better(0.0, math.nan)
    assert not objective.reaches_target(math.nan)


@pytest.mark.parametrize(
    ("objective", "reached", "missed"), [(UP, [0.9, 0.91], [0.89]), (DOWN, [0.2, 0.0], [0.21])]
)
def test_the_target_is_reached_by_itself_and_by_what_is_better(
    objective: Objective, reached: list[float], missed: list[float]
) -> None:
    assert all(objective.reaches_target(value) for value in reached)
    assert not any(objective.reaches_target(value) for value in missed)


def test_without_a_target_nothing_reaches_it() -> None:
    assert not Objective("f1", "maximize").reaches_target(math.inf)


def test_it_is_read_back_from_its_json() -> None:
    assert Objective.from_dict(UP.as_dict()) == UP
