import sys
from pathlib import Path
from typing import Any

import pytest

from mlq.errors import StepError
from mlq_workers.components.base import Metric
from mlq_workers.components.trials import Pruned, Trials, prepare_trials
from tests.unit.workers.components.conftest import Go

CODE = """
import math

def square(x, shift=0):
    return (x - shift) ** 2

def several(x):
    return {"loss": x / 2, "accuracy": 1}

def slow(x, report):
    for step in range(5):
        report("loss", x - step, step)
    return {"loss": x}

def note(x, *, into=()):
    into.append(x)
    return len(into)

def anything(**given):
    return len(given)

def bad(kind):
    return {"text": "0.5", "none": None, "nan": math.nan, "mapping": {"a": [1, 2]}}[kind]

def broken():
    raise RuntimeError("no luck")

def leaves():
    raise SystemExit(3)

class Box:
    @staticmethod
    def open(x):
        return x

NUMBER = 3
"""


@pytest.fixture(autouse=True)
def objective(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's module, `objective`, on the path."""
    (tmp_path / "objective.py").write_text(CODE)
    (tmp_path / "stumbling.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "objective", raising=False)


def _prepare(function: str, *, metric: str = "value", **inputs: Any) -> Trials:
    given = {"function": f"objective:{function}", **inputs}
    trials = prepare_trials("mlq:call", given, primary_metric=metric, swept=["x"])
    assert trials is not None
    return trials


def test_step_reports_what_the_function_returns(go: Go) -> None:
    ran = go("mlq:call", function="objective:square", x=5, shift=2)
    assert ran.metrics == [Metric("value", 9.0)]
    assert ran["result"] == {"value": 9.0}
    ran = go("mlq:call", function="objective.several", x=5)
    assert ran["result"] == {"loss": 2.5, "accuracy": 1.0}
    ran = go("mlq:call", function="objective:square", x=5, metric="distance")
    assert ran["result"] == {"distance": 25.0}


def test_step_keeps_the_way_there_and_leaves_out_what_is_no_number(go: Go) -> None:
    ran = go("mlq:call", function="objective:slow", x=9)
    assert [metric.step for metric in ran.metrics if metric.key == "loss"] == [0, 1, 2, 3, 4, 0]
    ran = go("mlq:call", function="objective:bad", kind="nan")
    assert (ran["result"], ran.metrics) == ({}, [])
    assert ran.lines == ["value is nan and left out."]


def test_a_trial_s_parameters_stand_over_the_fixed_ones() -> None:
    trials = _prepare("square", x=1, shift=1, metric="loss")
    assert trials.run({"x": 4}) == {"loss": 9.0}
    assert trials.run({"shift": 3}) == {"loss": 4.0}


def test_names_that_collide_and_functions_that_differ() -> None:
    trials = prepare_trials("mlq:call", {"x": 2}, swept=["function"])
    assert trials is not None
    assert trials.run({"function": "objective:square"}) == {"value": 4.0}
    assert trials.run({"function": "objective:anything", "params.function": 1}) == {"value": 2.0}
    with pytest.raises(StepError, match="needs the input 'function'"):
        trials.run({})


def test_what_a_function_does_to_a_fixed_list_stays_with_it() -> None:
    trials = _prepare("note", into=[])
    assert [trials.run({"x": n}) for n in range(3)] == [{"value": 1.0}] * 3


def test_report_ends_a_trial_that_should_stop() -> None:
    trials, seen = _prepare("slow"), list[tuple[str, float, int]]()
    with pytest.raises(Pruned):
        trials.run({"x": 9}, lambda *value: seen.append(value), lambda: len(seen) == 3)
    assert seen == [("loss", 9.0, 0), ("loss", 8.0, 1), ("loss", 7.0, 2)]
    assert trials.run({"x": 9}) == {"loss": 9.0}


def test_best_call_hands_over_its_numbers(tmp_path: Path) -> None:
    assert _prepare("broken").refit({}, tmp_path, metrics={"value": 1.0}) == {
        "result": {"value": 1.0}
    }


def test_attributes_of_a_module_s_classes_are_functions_too() -> None:
    assert _prepare("Box.open").run({"x": 7}) == {"value": 7.0}


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ({"function": "objective:sqare"}, "unknown_function", "'objective:square'"),
        ({"function": "objektive:square"}, "unknown_function", "cannot be imported"),
        ({"function": "stumbling:square"}, "unknown_function", "ZeroDivisionError"),
        ({"function": "square"}, "unknown_function", "package.module:function"),
        ({"function": "objective:NUMBER"}, "unknown_function", "is of type int, not a function"),
        ({"function": "objective:square"}, "invalid_argument", "missing a required argument: 'x'"),
        ({"function": "objective:square", "x": 1, "shfit": 2}, "invalid_argument", "'shift'"),
        (
            {"function": "objective:bad", "kind": "text"},
            "no_number",
            "a value of type str, not a number",
        ),
        (
            {"function": "objective:bad", "kind": "none"},
            "no_number",
            "returned a value of type NoneType",
        ),
        (
            {"function": "objective:bad", "kind": "mapping"},
            "no_number",
            "for 'a' a value of type list",
        ),
    ],
)
def test_bad_input(go: Go, inputs: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(StepError) as caught:
        go("mlq:call", **inputs)
    assert caught.value.code == code
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_what_the_function_raises_is_its_own_error() -> None:
    with pytest.raises(RuntimeError, match="no luck"):
        _prepare("broken").run({})


def test_a_function_that_ends_the_process_has_failed() -> None:
    with pytest.raises(StepError, match=r"called sys.exit\(3\)") as caught:
        _prepare("leaves").run({})
    assert caught.value.code == "exit"
