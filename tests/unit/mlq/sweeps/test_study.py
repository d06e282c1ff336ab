"""Studies: what Optuna, its dashboard and a spreadsheet are shown of a sweep."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, IntDistribution

from mlq.sweeps.objective import Objective
from mlq.sweeps.samplers import Past, RandomSampler
from mlq.sweeps.space import parse_space
from mlq.sweeps.study import TrialRecord, build_study, export_study, importance
from tests.unit.mlq.sweeps.spaces import MODELS, choice, spaces, uniform

MAXIMIZE = Objective("score", "maximize")
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def records() -> list[TrialRecord]:
    draw = RandomSampler(parse_space(MODELS), seed=0)
    times = {"started": START, "finished": START + timedelta(seconds=1.5)}
    return [
        TrialRecord(0, draw.ask(0), "succeeded", 0.5, {0: 0.4, 1: 0.5}, **times),
        TrialRecord(1, draw.ask(1), "failed", None, reason="error", **times),
        TrialRecord(2, draw.ask(2), "pruned", None, {0: 0.1}, reason="pruned", **times),
        TrialRecord(3, draw.ask(3), "running", started=START),
        TrialRecord(4, {"estimator": "by hand"}, "succeeded", 0.9, **times),
        TrialRecord(5, draw.ask(5), "canceled", reason="target", **times),
        TrialRecord(6, draw.ask(6), "succeeded", math.nan, {0: math.nan, 1: -math.inf}, **times),
        TrialRecord(7, draw.ask(7), "succeeded", math.inf, **times),
    ]


def test_a_study_has_every_trial_as_it_ended() -> None:
    study = build_study(records(), parse_space(MODELS), MAXIMIZE)

    assert [trial.state.name for trial in study.trials] == [
        *("COMPLETE", "FAIL", "PRUNED", "RUNNING", "COMPLETE", "FAIL", "FAIL", "COMPLETE")
    ]
    assert study.direction.name == "MAXIMIZE"
    assert study.trials[0].intermediate_values == {0: 0.4, 1: 0.5}
    assert study.trials[0].duration == timedelta(seconds=1.5)
    assert study.trials[2].user_attrs["reason"] == "pruned"
    # added by hand, from outside the space
    assert study.trials[4].params == {}
    assert study.trials[4].user_attrs["params"] == {"estimator": "by hand"}


def test_parameters_are_shown_as_people_wrote_them() -> None:
    space = parse_space(
        {
            "n": {**uniform(10, 50), "type": "quniform", "q": 10},
            "layers": choice([10], [10, 5]),
            "flag": choice(1, True),
            "model": choice({"e": "a", "C": uniform(0, 1)}, {"e": "b", "C": uniform(0, 9)}, "c"),
        }
    )
    trials = [
        Past(0, {"n": 20, "layers": [10, 5], "flag": True, "e": "b", "C": 3}, "succeeded", 1.0),
        Past(1, {"n": 50, "layers": [10], "flag": 1, "model": "c"}, "succeeded", 1.0),
    ]
    first, second = build_study(trials, space, MAXIMIZE).trials

    assert first.params == {
        "n": 20,
        "layers": "[10, 5]",
        "flag": "1: true",
        "model": "e=b",
        "model[1].C": 3,
    }
    assert first.distributions["n"] == IntDistribution(10, 50, step=10)
    assert first.distributions["model"] == CategoricalDistribution(["e=a", "e=b", "c"])
    assert second.params == {"n": 50, "layers": "[10]", "flag": "0: 1", "model": "c"}


@settings(max_examples=50, deadline=None)
@given(spaces(), st.integers(0, 9))
def test_any_trial_can_be_shown(raw: dict[str, Any], seed: int) -> None:
    space = parse_space(raw)
    draw = RandomSampler(space, seed=seed)
    study = build_study((Past(n, draw.ask(n), "succeeded", n) for n in range(5)), space, MAXIMIZE)

    assert all(trial.params for trial in study.trials)


def test_an_exported_file_is_a_study_of_optuna(tmp_path: Path) -> None:
    path = tmp_path / "sweep.db"
    space = parse_space(MODELS)
    export_study(records(), space, MAXIMIZE, path, name="churn")
    study = optuna.load_study(study_name="churn", storage=f"sqlite:///{path}")

    shown = build_study(records(), space, MAXIMIZE)
    assert [told(trial) for trial in study.trials] == [told(trial) for trial in shown.trials]
    assert study.direction == shown.direction
    assert study.user_attrs == {"primary_metric": "score"}
    # and Optuna can go on with it
    study.tell(study.ask(shown.trials[0].distributions), 0.7)
    assert len(study.trials) == len(shown.trials) + 1


def told(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """All of a trial but its id, NaN as text."""
    record = {key: value for key, value in trial.__dict__.items() if key != "_trial_id"}
    return {**record, "intermediate_values": str(sorted(trial.intermediate_values.items()))}


def test_a_file_that_cannot_be_finished_is_not_left(tmp_path: Path) -> None:
    path = tmp_path / "sweep.db"
    trial = Past(0, {"C": object()}, "succeeded", 1.0)

    with pytest.raises(TypeError):
        export_study([trial], parse_space(MODELS), MAXIMIZE, path, name="churn")
    assert not path.exists()


def test_an_export_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_text("mine")

    with pytest.raises(FileExistsError, match="there already"):
        export_study([], parse_space(MODELS), MAXIMIZE, path, name="churn")
    assert path.read_text() == "mine"


def scored(space: dict[str, Any], count: int, score: Any) -> list[Past]:
    draw = RandomSampler(parse_space(space), seed=0)
    asked = [draw.ask(number) for number in range(count)]
    return [Past(number, p, "succeeded", score(p)) for number, p in enumerate(asked)]


@pytest.mark.parametrize("count", [20, 100])
def test_importance_tells_what_matters_from_noise(count: int) -> None:
    raw = {"much": uniform(-2, 2), "some": choice(1, 2, 3, 4), "noise": uniform(0, 1)}
    trials = scored(raw, count, lambda p: -5 * p["much"] ** 2 - 2 * (p["some"] - 2) ** 2)
    shares = importance(trials, parse_space(raw), MAXIMIZE)

    assert next(iter(shares)) == "much"
    assert shares["noise"] < 0.2
    assert sum(shares.values()) == pytest.approx(1)


def test_importance_of_branches_has_the_names_of_the_study() -> None:
    raw = {"m": choice({"e": "a", "x": uniform(0, 1)}, {"e": "b", "x": uniform(0, 1)})}
    trials = scored(raw, 100, lambda p: p["x"] + (p["e"] == "a"))

    assert importance(trials, parse_space(raw), MAXIMIZE).keys() == {"m", "m[0].x", "m[1].x"}


def test_nothing_is_said_of_a_branch_with_few_trials() -> None:
    raw = {"m": choice("a", {"e": "b", "x": uniform(0, 1)}), "y": uniform(0, 1)}
    trials = scored(raw, 14, lambda p: p["y"])

    assert importance(trials, parse_space(raw), MAXIMIZE).keys() == {"m", "y"}


def test_nothing_is_said_without_enough_to_compare() -> None:
    raw = {"x": uniform(0, 1)}
    space = parse_space(raw)

    def rate(params: dict[str, Any]) -> Any:
        return params["x"]

    assert importance(scored(raw, 3, rate), space, MAXIMIZE) == {}
    assert importance(scored(raw, 9, lambda p: 1.0), space, MAXIMIZE) == {}
    assert (
        importance([Past(n, {"x": 0.5}, "succeeded", n) for n in range(9)], space, MAXIMIZE) == {}
    )
    failed = [Past(n, {"x": n / 9}, "failed") for n in range(9)]
    assert importance([*failed, *scored(raw, 3, rate)], space, MAXIMIZE) == {}
