"""What is tried in the comparison with other tools: data, estimator, grid and folds.

All of them get the same arrays and the same positions of rows in each fold.
"""

from __future__ import annotations

import io
import itertools
import pickle
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid, StratifiedKFold

METRIC = "accuracy"
SEED = 0
_FEATURES = 20
_TOLERANCE = 0.15
_MAX_ROWS = 100_000
#: Points of the grid that a calibration tries: about so many seconds' worth.
_MEASURED_S = 0.5
_LEAST_POINTS, _MOST_POINTS = 3, 50


@dataclass(frozen=True)
class Problem:
    """An estimator with `fixed` parameters, and the grid of the others. trial_s: seconds meant."""

    name: str
    estimator: type[Any]
    fixed: Mapping[str, Any]
    grid: Mapping[str, list[Any]]
    trial_s: float
    rows: int = 400
    folds: int = 3

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Features, shape (rows, 20), float64, and labels, shape (rows,)."""
        features, labels = make_classification(
            self.rows, _FEATURES, n_informative=8, flip_y=0.1, random_state=SEED
        )
        return np.ascontiguousarray(features), labels

    @cached_property
    def splits(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Positions of (train, test) rows in each fold, as `cv: folds` of mlq:train makes them."""
        splitter = StratifiedKFold(self.folds, shuffle=True, random_state=SEED)
        return list(splitter.split(*self.arrays))

    @cached_property
    def points(self) -> list[dict[str, Any]]:
        """The grid, in scikit-learn's order."""
        return list(ParameterGrid(dict(self.grid)))

    def shorten(self, count: int) -> Problem:
        """This problem with at most `count` points: those of fewer values of its longest axis."""
        axis, values = max(self.grid.items(), key=lambda item: len(item[1]))
        others = len(self.points) // len(values)
        return replace(self, grid={**self.grid, axis: values[: max(1, count // others)]})

    def make(self) -> Any:
        """The estimator without the parameters of the grid."""
        return self.estimator(**self.fixed)

    def table(self) -> bytes:
        """The data as Parquet."""
        features, labels = self.arrays
        frame = pd.DataFrame(features, columns=[f"f{at}" for at in range(features.shape[1])])
        buffer = io.BytesIO()
        frame.assign(target=labels).to_parquet(buffer)
        return buffer.getvalue()

    def document(self, data: Mapping[str, str]) -> dict[str, Any]:
        """The sweep as a job file."""
        return {
            "type": "sweep",
            "display_name": self.name,
            "trial": "mlq:train",
            "inputs": {
                "data": dict(data),
                "target": "target",
                "estimator": f"{self.estimator.__module__}.{self.estimator.__name__}",
                "params": dict(self.fixed),
                "cv": self.folds,
                "seed": SEED,
            },
            "search_space": {
                name: {"type": "choice", "values": values} for name, values in self.grid.items()
            },
            "sampling_algorithm": "grid",
            "objective": {"primary_metric": METRIC, "goal": "maximize"},
            "limits": {"max_concurrent_trials": 2},
        }


class Loop:
    """What somebody writes who knows how: the folds' matrices cut out once, then fit and score."""

    def __init__(self, problem: Problem) -> None:
        features, labels = problem.arrays
        self.points = problem.points
        self._prototype = problem.make()
        self._folds = [
            (features[train], labels[train], features[test], labels[test])
            for train, test in problem.splits
        ]

    def score(self, params: Mapping[str, Any]) -> float:
        """The mean accuracy over the folds, counted without a scorer's checks."""
        scores = []
        for train, target, test, truth in self._folds:
            model = type(self._prototype)(**{**self._prototype.get_params(deep=False), **params})
            model.fit(train, target)
            scores.append((model.predict(test) == truth).mean())
        return float(np.mean(scores))

    def run(self, start: int, step: int) -> list[float]:
        """Scores of every `step`th point from `start` on."""
        return [self.score(params) for params in itertools.islice(self.points, start, None, step)]


def store(problem: Problem, folder: Path) -> str:
    """Write a problem where other processes can load it; returns the file."""
    path = folder / f"{problem.name}-{len(problem.points)}.pickle"
    path.write_bytes(pickle.dumps(problem))
    return str(path)


@lru_cache(maxsize=8)
def load(path: str) -> Loop:
    """The loop of a stored problem, made once per process."""
    return Loop(pickle.loads(Path(path).read_bytes()))


def spread(low: float, high: float, count: int) -> list[float]:
    """`count` values from 10**low to 10**high, evenly in the exponent."""
    return [float(value) for value in np.logspace(low, high, count)]


def make_problems(*, is_quick: bool) -> list[Problem]:
    """The problems, not calibrated yet: trials of about 7 ms, 100 ms and 2 s."""
    boosting: dict[str, Any] = {"early_stopping": False, "random_state": SEED}
    return [
        Problem(
            "7ms",
            LogisticRegression,
            {"tol": 1e-6, "max_iter": 1000},
            {
                "C": spread(-2, 1, 50 if is_quick else 400),
                "fit_intercept": [True, False],
                "class_weight": [None, "balanced"],
            },
            0.007,
        ),
        Problem(
            "100ms",
            HistGradientBoostingClassifier,
            {**boosting, "max_iter": 10, "max_leaf_nodes": 15},
            {
                "learning_rate": spread(-2, -0.5, 6 if is_quick else 12),
                "l2_regularization": spread(-3, 1, 4 if is_quick else 10),
            },
            0.1,
            rows=4000,
        ),
        Problem(
            "2s",
            HistGradientBoostingClassifier,
            {**boosting, "max_iter": 200},
            {
                "learning_rate": spread(-2, -0.5, 2 if is_quick else 4),
                "l2_regularization": spread(-3, 1, 2 if is_quick else 4),
            },
            2.0,
            rows=8000,
        ),
    ]


def calibrate(problem: Problem) -> Problem:
    """The problem with as many rows as make a trial take `trial_s` on this machine."""
    for _ in range(8):
        took = measure(problem)
        if abs(took / problem.trial_s - 1) <= _TOLERANCE:
            break
        # time does not grow in proportion: each step is a part of the way
        factor = min(4.0, max(0.25, (problem.trial_s / took) ** 0.9))
        rows = min(_MAX_ROWS, max(100, int(problem.rows * factor)))
        if rows == problem.rows:
            break
        problem = replace(problem, rows=rows)
    return problem


def measure(problem: Problem) -> float:
    """Seconds of a trial on its own: the mean over points all over the grid, the better of two."""
    loop = Loop(problem)
    count = min(_MOST_POINTS, max(_LEAST_POINTS, int(_MEASURED_S / problem.trial_s)))
    points = [loop.points[at * len(loop.points) // count] for at in range(count)]
    loop.score(points[0])
    return min(_time(loop, points) for _ in range(2)) / len(points)


def _time(loop: Loop, points: list[dict[str, Any]]) -> float:
    began = time.perf_counter()
    for params in points:
        loop.score(params)
    return time.perf_counter() - began
