"""Samplers: who gets which parameters, by number."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.sweeps.objective import Objective
from mlq.sweeps.samplers import Past, Sampler, SamplingError, make_sampler
from mlq.sweeps.space import Space, parse_space
from tests.unit.mlq.sweeps.spaces import MODELS, choice, uniform

OBJECTIVE = Objective("score", "maximize")
KINDS = {
    "grid": {"type": "grid"},
    "random": {"type": "random", "rule": "random"},
    "sobol": {"type": "random", "rule": "sobol"},
    "bayesian": {"type": "bayesian"},
}
COUNTABLE = parse_space({"k": {"type": "randint", "upper": 100}})


def sampler(kind: str, space: Space, *, seed: int = 0) -> Sampler:
    return make_sampler(KINDS[kind], space, OBJECTIVE, seed=seed)


@pytest.mark.parametrize("kind", ["grid", "random", "sobol"])
def test_any_process_computes_any_trial(kind: str) -> None:
    space = COUNTABLE if kind == "grid" else parse_space(MODELS)
    one, other = sampler(kind, space), sampler(kind, space)
    in_order = [one.ask(number) for number in range(40)]

    assert not one.needs_history
    assert [other.ask(number) for number in (39, 0, 7, 7, 3, 38)] == [
        in_order[number] for number in (39, 0, 7, 7, 3, 38)
    ]


@pytest.mark.parametrize("kind", ["random", "sobol", "bayesian"])
def test_another_seed_draws_others(kind: str) -> None:
    space = parse_space({"x": uniform(0, 1)})

    assert sampler(kind, space, seed=1).ask(0) != sampler(kind, space, seed=2).ask(0)
    assert sampler(kind, space, seed=-1).ask(0) == sampler(kind, space, seed=-1).ask(0)


def test_draws_are_the_same_on_every_machine() -> None:
    space = parse_space({"x": uniform(0, 1)})

    assert sampler("random", space, seed=7).ask(3) == {"x": pytest.approx(0.04321881789228821)}


def test_a_grid_ends() -> None:
    grid = sampler("grid", COUNTABLE)

    assert grid.size == 100
    with pytest.raises(IndexError):
        grid.ask(100)


def test_sobol_leaves_no_large_gaps() -> None:
    sobol = sampler("sobol", parse_space({"x": uniform(0, 1), "y": uniform(0, 1)}))
    points = [sobol.ask(number) for number in range(64)]

    # one point in each cell of a grid: the property of a (0, 6, 2)-net
    assert len({(int(p["x"] * 8), int(p["y"] * 8)) for p in points}) == 64


def test_a_grid_of_continuous_parameters_is_refused() -> None:
    with pytest.raises(SamplingError, match="Use random or bayesian"):
        sampler("grid", parse_space({"x": uniform(0, 1)}))


def test_more_dimensions_than_sobol_has_are_refused() -> None:
    space = parse_space({f"x{k}": choice(0, 1) for k in range(21_202)})

    with pytest.raises(SamplingError, match="takes at most 21201"):
        sampler("sobol", space)


def test_another_algorithm_is_refused() -> None:
    with pytest.raises(SamplingError, match="no sampling algorithm 'annealing'"):
        make_sampler({"type": "annealing"}, COUNTABLE, OBJECTIVE, seed=0)


def test_what_is_synced_changes_nothing_without_a_memory() -> None:
    random = sampler("random", COUNTABLE)
    before: dict[str, Any] = random.ask(5)
    random.sync([Past(0, {"k": 1}, "succeeded", 1.0)])

    assert random.ask(5) == before
