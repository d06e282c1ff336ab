"""Search spaces: what is read, what is refused, and the trials that come out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import ParameterGrid

from mlq.sweeps.space import SpaceError, parse_space
from tests.unit.mlq.sweeps.spaces import MODELS, choice, countable, spaces, uniform

unit = st.floats(0, 1)


@settings(deadline=None)
@given(spaces())
def test_a_space_survives_being_written(raw: dict[str, Any]) -> None:
    space = parse_space(raw)
    again = parse_space(json.loads(json.dumps(space.as_dict(), sort_keys=True)))

    assert again == space
    assert again.as_dict() == space.as_dict()


@settings(deadline=None)
@given(spaces(), st.data())
def test_every_point_of_the_cube_is_a_trial_of_the_space(
    raw: dict[str, Any], data: st.DataObject
) -> None:
    space = parse_space(raw)
    size = space.dimensions()
    params = space.from_unit(data.draw(st.lists(unit, min_size=size, max_size=size)))

    assert space.contains(params)
    assert params.keys() <= space.names()
    assert json.loads(json.dumps(params)) == params


@settings(max_examples=50, deadline=None)
@given(spaces(countable))
def test_the_grid_has_every_point_once(raw: dict[str, Any]) -> None:
    space = parse_space(raw)
    size = space.grid_size()
    assert size is not None
    indices = range(size) if size < 300 else range(0, size, size // 300)
    points = [space.grid_point(index) for index in indices]

    assert all(space.contains(point) for point in points)
    # branches whose values are alike make points that are, too
    if not any(isinstance(value, dict) for value in raw["m"]["values"]):
        assert len({json.dumps(point) for point in points}) == len(points)


def test_the_grid_is_in_the_order_of_scikit_learn() -> None:
    values = {"kernel": ["rbf", "linear"], "C": [1, 10, 100], "a": [None, True]}
    space = parse_space({name: choice(*listed) for name, listed in values.items()})

    assert [space.grid_point(i) for i in range(12)] == list(ParameterGrid(values))


def test_a_branch_gives_its_parameters_instead_of_the_choice() -> None:
    space = parse_space(MODELS)

    assert space.from_unit([0.1, 0.5, 0, 0, 0]) == {
        "estimator": "logistic",
        "C": 1.0,
        "scale": True,
    }
    assert space.from_unit([0.5, 0, 0.9, 0.9, 0.9]) == {
        "estimator": "forest",
        "depth": 8,
        "n_estimators": 100,
        "scale": False,
    }
    assert space.from_unit([1, 0, 0, 0, 0]) == {"model": "dummy", "scale": True}
    assert space.names() == {"model", "estimator", "C", "n_estimators", "depth", "scale"}
    assert space.grid_size() is None


def test_a_countable_branch_counts_its_own_points() -> None:
    raw = {"model": choice({"e": "a", "k": choice(1, 2, 3)}, {"e": "b"}, "c"), "x": choice(0, 1)}
    space = parse_space(raw)

    assert space.grid_size() == (3 + 1 + 1) * 2
    assert [space.grid_point(i) for i in (0, 5, 6, 9)] == [
        {"e": "a", "k": 1, "x": 0},
        {"e": "a", "k": 3, "x": 1},
        {"e": "b", "x": 0},
        {"model": "c", "x": 1},
    ]


def test_a_grid_of_a_billion_points_is_not_made() -> None:
    space = parse_space({name: {"type": "randint", "upper": 1000} for name in "abc"})

    assert space.grid_size() == 10**9
    assert space.grid_point(123_456_789) == {"a": 123, "b": 456, "c": 789}
    with pytest.raises(IndexError):
        space.grid_point(10**9)


def test_a_continuous_space_has_no_grid() -> None:
    with pytest.raises(ValueError, match="no grid"):
        parse_space({"x": uniform(0, 1)}).grid_point(0)


def test_a_point_needs_a_coordinate_for_each_dimension() -> None:
    with pytest.raises(ValueError, match="2 coordinates for 1"):
        parse_space({"x": uniform(0, 1)}).from_unit([0.1, 0.2])


def test_values_of_a_branch_may_be_mappings_and_lists() -> None:
    space = parse_space({"m": choice({"weights": {"0": 1, "1": 5}, "layers": [10, 5]})})

    assert space.grid_point(0) == {"weights": {"0": 1, "1": 5}, "layers": [10, 5]}


def test_numbers_may_be_text_as_yaml_reads_them() -> None:
    assert parse_space({"x": uniform("1e-3", "5")}) == parse_space({"x": uniform(0.001, 5)})


def test_other_values_are_not_of_the_space() -> None:
    space = parse_space({"x": uniform(0, 1), "k": choice(1, 2)})

    assert space.contains({"x": 1, "k": 2})
    assert not space.contains({"x": 1.1, "k": 2})
    assert not space.contains({"x": 1, "k": True})
    assert not space.contains({"x": 1})


@pytest.mark.parametrize(
    ("raw", "key", "words", "suggestion"),
    [
        ({}, (), "is empty", None),
        ([], (), "must be a mapping", None),
        ({"x": 3}, ("x",), "needs a distribution", None),
        ({"x": {"values": [1]}}, ("x",), "'type' is required", None),
        ({"x": {"type": "unifrm"}}, ("x", "type"), "no distribution 'unifrm'", "uniform"),
        ({"x": {"type": ["choice"]}}, ("x", "type"), "no distribution", None),
        ({"x": {"type": "randint"}}, ("x",), "randint needs 'upper'", None),
        (
            {"x": {"type": "uniform", "min_value": 0, "max_valeu": 1}},
            ("x", "max_valeu"),
            "not an argument of uniform",
            "max_value",
        ),
        ({"x": choice()}, ("x", "values"), "at least one value", None),
        ({"x": {"type": "choice", "values": "abc"}}, ("x", "values"), "must be a list", None),
        ({"x": choice(1, float("nan"))}, ("x", "values", 1), "not a JSON value", None),
        ({"x": uniform(2, 1)}, ("x", "min_value"), "greater than max_value", None),
        ({"x": uniform(0, float("inf"))}, ("x", "max_value"), "must be a number", None),
        ({"x": uniform(0, True)}, ("x", "max_value"), "must be a number", None),
        ({"x": uniform(0, "1,5")}, ("x", "max_value"), "must be a number", None),
        ({"x": uniform(-1e308, 1e308)}, ("x", "max_value"), "too far", None),
        (
            {"x": {"type": "loguniform", "min_value": 1, "max_value": 1000}},
            ("x", "max_value"),
            "exponents of e",
            None,
        ),
        ({"x": {"type": "lognormal", "mu": 0, "sigma": 100}}, ("x", "sigma"), "exponents", None),
        ({"x": {"type": "normal", "mu": 0, "sigma": 0}}, ("x", "sigma"), "greater than 0", None),
        ({"x": {**uniform(0, 1), "type": "quniform", "q": 0}}, ("x", "q"), "greater than", None),
        ({"x": {**uniform(1, 3), "type": "quniform", "q": 5}}, ("x", "q"), "no multiple", None),
        ({"x": {**uniform(0, 1), "type": "quniform", "q": 1e-300}}, ("x", "q"), "small", None),
        ({"x": {"type": "randint", "upper": 0}}, ("x", "upper"), "between 1 and", None),
        ({"x": {"type": "randint", "upper": 2.5}}, ("x", "upper"), "whole number", None),
        ({5: uniform(0, 1)}, ("5",), "must be text", None),
        (
            {"m": choice({"x": {"type": "unifrom", "min_value": 0, "max_value": 1}})},
            ("m", "values", 0, "x", "type"),
            "no distribution 'unifrom'",
            "uniform",
        ),
        ({"x": uniform(0, 1), "m": choice({"x": 1})}, ("x",), "both here and", None),
        ({"m": choice({"x": 1, "n": choice({"x": 2})})}, ("m", "values", 0, "x"), "both", None),
    ],
)
def test_what_makes_no_sense_is_named(raw: Any, key: Any, words: str, suggestion: str) -> None:
    with pytest.raises(SpaceError) as caught:
        parse_space(raw)

    assert [problem.key for problem in caught.value.problems] == [key]
    assert words in caught.value.problems[0].message
    assert caught.value.problems[0].suggestion == suggestion


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SpaceError) as caught:
        parse_space({"a": 1, "b": {"type": "randit", "upper": 1}, "c": uniform(2, 1)})

    assert [problem.key[0] for problem in caught.value.problems] == ["a", "b", "c"]
    assert "b.type: There is no distribution 'randit'" in str(caught.value)


def test_choices_stand_in_choices_only_so_deep() -> None:
    raw: Any = choice(1)
    for _ in range(40):
        raw = choice({"x": raw})

    with pytest.raises(SpaceError, match="more than 10 deep"):
        parse_space({"x": raw})
