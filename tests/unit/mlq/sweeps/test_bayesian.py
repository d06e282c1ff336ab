"""Bayesian sampling: what is learned from which trials, and that nothing else matters."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from mlq.sweeps import bayesian
from mlq.sweeps.bayesian import STARTUP_TRIALS, BayesianSampler
from mlq.sweeps.objective import Objective
from mlq.sweeps.samplers import Past, RandomSampler
from mlq.sweeps.space import Params, Space, parse_space
from tests.unit.mlq.sweeps.spaces import MODELS, choice, spaces, uniform

MAXIMIZE = Objective("score", "maximize")
PLANE = parse_space({"x": uniform(-2, 2), "y": uniform(-2, 2)})


def hill(params: Params) -> float:
    return float(-((params["x"] - 1) ** 2) - (params["y"] + 0.5) ** 2)


def model_score(params: Params) -> float:
    return {"logistic": 0.7, "forest": 0.9}.get(params.get("estimator", ""), 0.5) - 0.01 * abs(
        math.log(params.get("C", 1)) + params.get("depth", 4) - 4
    )


def run(sampler: BayesianSampler, score: Callable[[Params], float], numbers: range) -> list[Past]:
    trials = []
    for number in numbers:
        params = sampler.ask(number)
        trials.append(Past(number, params, "succeeded", score(params)))
        sampler.sync(trials[-1:])
    return trials


def best(trials: list[Past]) -> float:
    return max(trial.value for trial in trials if trial.value is not None)


def test_it_starts_with_random_draws() -> None:
    asked = [
        trial.params for trial in run(BayesianSampler(PLANE, MAXIMIZE, seed=3), hill, range(9))
    ]

    assert asked == [RandomSampler(PLANE, seed=3).ask(number) for number in range(9)]


@pytest.mark.parametrize(("goal", "sign"), [("maximize", 1), ("minimize", -1)])
def test_it_finds_better_values_than_random_draws(goal: Any, sign: int) -> None:
    sampler = BayesianSampler(PLANE, Objective("score", goal), seed=0)
    trials = run(sampler, lambda params: sign * hill(params), range(60))
    drawn = [hill(RandomSampler(PLANE, seed=0).ask(number)) for number in range(60)]

    assert max(hill(trial.params) for trial in trials) > max(drawn)
    assert sum(hill(trial.params) > -1 for trial in trials) > 2 * sum(v > -1 for v in drawn)


def test_it_learns_which_branch_is_good() -> None:
    space = parse_space(MODELS)
    trials = run(BayesianSampler(space, MAXIMIZE, seed=1), model_score, range(40))

    assert all(space.contains(trial.params) for trial in trials)
    late = [trial.params.get("estimator") for trial in trials[20:]]
    assert late.count("forest") > len(late) / 2


@pytest.mark.parametrize("space", [PLANE, parse_space(MODELS)], ids=["plane", "models"])
def test_a_fresh_sampler_goes_on_where_another_stopped(space: Space) -> None:
    score = hill if space is PLANE else model_score
    whole = run(BayesianSampler(space, MAXIMIZE, seed=5), score, range(25))
    fresh = BayesianSampler(space, MAXIMIZE, seed=5)
    # through the database, and in one piece
    fresh.sync(Past(t.number, json.loads(json.dumps(t.params)), "running") for t in whole[:20])
    fresh.sync(
        Past(t.number, json.loads(json.dumps(t.params)), t.state, t.value)
        for t in reversed(whole[:20])
    )

    assert run(fresh, score, range(20, 25)) == whole[20:]


def test_trials_asked_for_at_once_differ() -> None:
    sampler = BayesianSampler(PLANE, MAXIMIZE, seed=0)
    run(sampler, hill, range(20))
    asked = [sampler.ask(number) for number in range(20, 36)]

    assert len({json.dumps(params) for params in asked}) == 16


def test_failed_and_canceled_trials_teach_nothing() -> None:
    one, other = (BayesianSampler(PLANE, MAXIMIZE, seed=0) for _ in range(2))
    known = run(one, hill, range(15))
    other.sync(known)
    ended = [Past(15, {"x": 0, "y": 0}, "failed"), Past(16, {"x": 1, "y": 1}, "canceled", 5.0)]
    odd = [Past(17, {"x": 1, "y": 0}, "succeeded", math.nan), Past(18, {"z": 1}, "succeeded", 1.0)]
    other.sync([*ended, *odd])

    assert one.ask(20) == other.ask(20)


def test_a_trial_that_changes_is_taken_as_it_is_now() -> None:
    one, other = (BayesianSampler(PLANE, MAXIMIZE, seed=0) for _ in range(2))
    known = run(one, hill, range(15))
    other.sync(Past(t.number, t.params, "succeeded", 7.0) for t in known)
    other.sync(Past(t.number, t.params, "running", None, {1: 0.5}) for t in known)
    other.sync(known)

    assert one.ask(15) == other.ask(15)


def test_pruned_trials_count_as_bad_ones() -> None:
    sampler = BayesianSampler(PLANE, MAXIMIZE, seed=0)
    draw = RandomSampler(PLANE, seed=9)
    trials = []
    for number in range(60):
        params = draw.ask(number)
        is_left = params["x"] < 0
        steps = {0: -9.0} if is_left else {}
        state = "pruned" if is_left else "succeeded"
        trials.append(Past(number, params, state, None if is_left else hill(params), steps))
    sampler.sync(trials)

    assert sum(sampler.ask(number)["x"] > 0 for number in range(60, 80)) >= 18


def test_no_point_is_tried_twice_while_others_are_left() -> None:
    space = parse_space({"a": choice(1, 2, 3, 4, 5), "b": choice("x", "y", "z"), "c": choice(0, 1)})
    trials = run(
        BayesianSampler(space, MAXIMIZE, seed=0), lambda params: float(params["a"]), range(32)
    )
    points = [json.dumps(trial.params, sort_keys=True) for trial in trials]

    assert len(set(points[:30])) == 30
    assert set(points[30:]) <= set(points[:30])


def test_it_is_shown_the_best_and_the_latest_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bayesian, "MAX_SHOWN", 40)
    sampler = BayesianSampler(PLANE, MAXIMIZE, seed=0)
    draw = RandomSampler(PLANE, seed=1)
    sampler.sync(
        Past(number, params := draw.ask(number), "succeeded", hill(params)) for number in range(200)
    )
    found = run(sampler, hill, range(200, 220))

    assert best(found) > -0.05


@settings(max_examples=30, deadline=None)
@given(spaces())
def test_it_proposes_trials_of_any_space(raw: dict[str, Any]) -> None:
    space = parse_space(raw)
    sampler = BayesianSampler(space, MAXIMIZE, seed=0)
    trials = run(sampler, lambda params: float(len(str(params))), range(STARTUP_TRIALS + 2))

    assert all(space.contains(trial.params) for trial in trials)
