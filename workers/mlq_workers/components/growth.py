"""Training in instalments: the score after few iterations tells early which trials to end.

All folds grow together, so that a value is the mean over all folds after so many iterations, and
values of different trials compare. Two kinds of estimators can go on where they stopped:

- ensembles that `warm_start` (forests, bagging, gradient boosting): an iteration is a tree or a
  round, and growing in instalments gives the very model that growing at once does;
- those with `partial_fit` and `max_iter` (SGD, Perceptron, MLP): an iteration is a pass over the
  rows, and there are `max_iter` of them: without the end that `tol` would put.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from sklearn.base import is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

#: The first value comes after so many iterations, each next one after twice as many.
FIRST = 10
#: From more rows than this on, HistGradientBoosting stops by itself unless told otherwise.
_HISTOGRAM_ROWS = 10_000


def stages(total: int) -> Iterator[int]:
    """Iterations after which there is a value: 10, 20, 40 … and at last `total`."""
    count = FIRST
    while count < total:
        yield count
        count *= 2
    yield total


class Growth(Protocol):
    """How the estimators of a trial are trained up to a number of iterations."""

    @property
    def total(self) -> int:
        """Iterations until they are done."""

    def grow(
        self, estimator: Any, rows: np.ndarray, target: np.ndarray, *, done: int, count: int
    ) -> None:
        """Take `estimator` from `done` to `count` iterations."""


def find_growth(estimator: Any, *, rows: int) -> Growth | None:
    """How `estimator`, unfitted, can be trained in instalments on so many rows.

    None where it cannot, or where it decides by itself when to stop.
    """
    known = estimator.get_params(deep=False)
    if isinstance(estimator, (HistGradientBoostingClassifier, HistGradientBoostingRegressor)):
        stops = known["early_stopping"]
        is_fixed = stops is False or (stops == "auto" and rows <= _HISTOGRAM_ROWS)
        return WarmStart("max_iter", known["max_iter"]) if is_fixed else None
    if "warm_start" in known and isinstance(known.get("n_estimators"), int):
        is_refused = known.get("n_iter_no_change") is not None or known.get("oob_score")
        return None if is_refused else WarmStart("n_estimators", known["n_estimators"])
    is_refused = known.get("early_stopping") or known.get("class_weight") == "balanced"
    if hasattr(estimator, "partial_fit") and isinstance(known.get("max_iter"), int):
        return None if is_refused else Passes(known["max_iter"])
    return None


@dataclass(frozen=True, slots=True)
class WarmStart:
    """Growth by raising `parameter`, the number of trees or rounds, and fitting again."""

    parameter: str
    total: int

    def grow(
        self, estimator: Any, rows: np.ndarray, target: np.ndarray, *, done: int, count: int
    ) -> None:
        """See Growth."""
        estimator.set_params(**{self.parameter: count, "warm_start": True})
        estimator.fit(rows, target)


@dataclass(frozen=True, slots=True)
class Passes:
    """Growth by passes over the rows."""

    total: int

    def grow(
        self, estimator: Any, rows: np.ndarray, target: np.ndarray, *, done: int, count: int
    ) -> None:
        """See Growth."""
        known = {"classes": np.unique(target)} if is_classifier(estimator) else {}
        for _ in range(done, count):
            estimator.partial_fit(rows, target, **known)
