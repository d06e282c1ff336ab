"""A sweep finds what scikit-learn's GridSearchCV finds on the same folds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.sweeps.equal import TOLERANCE, Case, compare, make_cases
from benchmarks.sweeps.system import System, running_system


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("grid-search")) as running:
        yield running


@pytest.mark.parametrize("case", make_cases(), ids=lambda case: case.name)
def test_scores_and_best_parameters_are_those_of_grid_search(case: Case, system: System) -> None:
    found = compare(case, system)
    assert found.difference <= TOLERANCE
    assert found.same_best
