"""The parts of the sweep benchmarks that only compute."""

from __future__ import annotations

import math

import pytest

from benchmarks.sweeps.problems import Loop, make_problems
from benchmarks.sweeps.report import Check


@pytest.mark.parametrize(
    ("value", "sign", "holds"),
    [(1.0, "<=", True), (1.1, "<=", False), (1.0, ">=", True), (math.nan, ">=", False)],
)
def test_a_check_holds_up_to_its_bound(value: float, sign: str, *, holds: bool) -> None:
    assert Check("x", value, sign, 1.0).holds is holds


def test_the_parts_of_a_static_split_are_the_whole_grid() -> None:
    problem = make_problems(is_quick=True)[0]
    loop = Loop(problem)
    loop.points = loop.points[:5]
    scores = [loop.score(params) for params in loop.points]
    assert (loop.run(0, 2), loop.run(1, 2)) == (scores[::2], scores[1::2])
