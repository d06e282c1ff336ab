"""Distributions: Azure's formulas, as quantiles."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from mlq.sweeps.distributions import Normal, RandInt, Scalar, Uniform, multiple
from mlq.sweeps.space import parse_space
from tests.unit.mlq.sweeps.spaces import normals, uniforms

inside = st.floats(1e-6, 1 - 1e-6)


def drawn_from(raw: dict[str, Any]) -> Any:
    return parse_space({"x": raw}).parameters["x"]


def plain(raw: dict[str, Any]) -> Any:
    """SciPy's distribution for `raw`, before rounding and exp()."""
    if "mu" in raw:
        return stats.norm(raw["mu"], raw["sigma"])
    return stats.uniform(raw["min_value"], raw["max_value"] - raw["min_value"])


@settings(deadline=None)
@given(uniforms() | normals(), inside)
def test_quantiles_are_those_of_scipy_rounded_as_azure_does(raw: dict[str, Any], u: float) -> None:
    drawn = drawn_from(raw)
    expected = float(plain(raw).ppf(u))
    if "log" in raw["type"]:
        expected = math.exp(expected)
    value = drawn.value(u)
    if "q" not in raw:
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)
        return
    azure = round(expected / raw["q"])
    # beside the border of two multiples, the last bit decides
    assume(abs(expected / raw["q"] % 1 - 0.5) > 1e-6)
    if "uniform" in raw["type"]:
        azure = min(max(azure, drawn.multiples[0]), drawn.multiples[1])
    assert value == pytest.approx(azure * raw["q"])


@settings(deadline=None)
@given(uniforms(quantised=True), st.floats(0, 1))
def test_quantised_values_are_multiples_inside_the_range(raw: dict[str, Any], u: float) -> None:
    drawn = drawn_from(raw)
    value = drawn.value(u)

    assert Fraction(str(value)) % Fraction(str(raw["q"])) == 0
    assert drawn.low - 1e-9 * abs(drawn.low) <= value <= drawn.high + 1e-9 * abs(drawn.high)
    assert isinstance(value, int) == isinstance(raw["q"], int)
    assert drawn.contains(value)


@settings(deadline=None)
@given(uniforms() | normals(), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_never_fall(raw: dict[str, Any], one: float, other: float) -> None:
    drawn = drawn_from(raw)

    assert drawn.value(min(one, other)) <= drawn.value(max(one, other))


@settings(deadline=None)
@given(normals(), inside)
def test_a_normal_value_tells_its_quantile(raw: dict[str, Any], u: float) -> None:
    assume("q" not in raw)
    drawn = drawn_from(raw)

    assert drawn.unit(drawn.value(u)) == pytest.approx(u, rel=1e-6)


@pytest.mark.parametrize("u", [0.0, 1.0])
@pytest.mark.parametrize(
    "drawn",
    [Normal(0, 1), Normal(0, 5, is_log=True), Normal(3, 2, q=1), Uniform(-700, 700, is_log=True)],
)
def test_the_ends_of_the_cube_are_finite(drawn: Scalar, u: float) -> None:
    assert math.isfinite(drawn.value(u))
    assert drawn.contains(drawn.value(u))


def test_whole_numbers_below_the_upper_bound() -> None:
    drawn = RandInt(3)

    assert [drawn.value(u) for u in (0, 0.33, 0.34, 0.99, 1.0)] == [0, 0, 1, 2, 2]
    assert [v for v in (-1, 0, 2, 2.0, 2.5, 3, True, "1", None) if drawn.contains(v)] == [0, 2, 2.0]


def test_rounding_does_not_leave_the_range() -> None:
    # Azure's round(… / 4) * 4 gives 0 and 12 here as well
    assert {Uniform(1, 10, q=4).value(k / 100) for k in range(101)} == {4, 8}


def test_the_ends_of_a_logarithmic_range_are_not_lost_to_rounding() -> None:
    assert Uniform(0, math.log(100), q=1, is_log=True).multiples == (1, 100)
    assert Uniform(math.log(0.1), math.log(0.7), q=0.1, is_log=True).multiples == (1, 7)


def test_multiples_are_the_nearest_floats() -> None:
    assert [multiple(0.1, k) for k in (3, 6, 7)] == [0.3, 0.6, 0.7]
    assert Uniform(0.1, 0.7, q=0.1).multiples == (1, 7)


@pytest.mark.parametrize("value", [None, "1", True, math.nan, math.inf, 10**400, [1]])
def test_what_is_no_number_is_not_drawn(value: Any) -> None:
    for drawn in (Uniform(0, 1), Uniform(0, 9, q=1), Normal(0, 1), Normal(0, 1, q=1), RandInt(9)):
        assert not drawn.contains(value)
