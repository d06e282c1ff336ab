"""Measuring one estimator after another on the same rows, at the cost of a prediction.

scikit-learn's scorers look at the true labels anew each time, which takes longer than to fit a
small model. Here that is done once for the rows, predictions are shared by all metrics, and the
usual metrics are computed from counts. The definitions are scikit-learn's, and so are the values;
metrics and cases that are not here go to its scorers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mlq_workers.components.scoring import measure


class Truth:
    """What there is to know about the true values of some rows.

    values: shape (rows,). classes: all labels, sorted; empty for regression.
    """

    def __init__(self, values: np.ndarray, classes: Sequence[Any]) -> None:
        self.values = values
        self.classes = np.asarray(classes)
        if len(self.classes):
            #: Position of each row's label in `classes`, shape (rows,), int.
            self.codes = np.searchsorted(self.classes, values)
            #: Rows of each class, shape (classes,), int.
            self.support = np.bincount(self.codes, minlength=len(self.classes))

    @cached_property
    def is_of(self) -> np.ndarray:
        """Whether a row is of a class, shape (classes, rows), bool."""
        return np.asarray(np.arange(len(self.classes))[:, None] == self.codes)

    @cached_property
    def variation(self) -> float:
        """Sum of the squared distances from the mean."""
        return float(np.square(self.values - self.values.mean()).sum())


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The metrics `names`, to be measured on the same rows for many models."""

    names: Sequence[str]
    truth: Truth

    def measure(self, model: Any, rows: np.ndarray) -> dict[str, float]:
        """Each metric of a fitted model on its rows; NaN where it is undefined there."""
        truth = self.truth
        answers = _Answers(model, rows, truth)
        quick = _CLASSIFICATION if len(truth.classes) else _REGRESSION
        measured: dict[str, float] = {}
        others: list[str] = []
        for name in self.names:
            metric = quick.get(name)
            if metric is None:
                others.append(name)
                continue
            try:
                value = metric(answers)
            except _NotQuick:
                others.append(name)
            else:
                measured[name] = value if math.isfinite(value) else math.nan
        if others:
            classes = truth.classes.tolist()
            measured |= measure(others, model, rows, truth.values, classes=classes)
            return {name: measured[name] for name in self.names}
        return measured


class _NotQuick(Exception):
    """A case that scikit-learn's scorers decide."""


@dataclass(slots=True)
class _Answers:
    """What a model says about some rows; each method is asked once."""

    model: Any
    rows: np.ndarray
    truth: Truth
    _said: dict[str, np.ndarray] = field(default_factory=dict)

    def say(self, method: str) -> np.ndarray:
        found = self._said.get(method)
        if found is None:
            found = self._said[method] = np.asarray(getattr(self.model, method)(self.rows))
        return found

    def numbers(self) -> np.ndarray:
        """Predictions of a regressor, shape (rows,)."""
        said = self.say("predict")
        if said.ndim != 1 or not np.isfinite(said).all():
            raise _NotQuick
        return said

    def counts(self) -> np.ndarray:
        """Rows by true class and by predicted class, shape (classes, classes), int."""
        found = self._said.get("counts")
        if found is None:
            said, classes = self.say("predict"), self.truth.classes
            if said.ndim != 1:
                raise _NotQuick
            size = len(classes)
            codes = np.minimum(np.searchsorted(classes, said), size - 1)
            if not (classes[codes] == said).all():
                raise _NotQuick
            pairs = np.bincount(self.truth.codes * size + codes, minlength=size * size)
            found = self._said["counts"] = pairs.reshape(size, size)
        return found

    def probabilities(self) -> np.ndarray:
        """Shape (rows, classes), float64, within 0 … 1."""
        said = self.say("predict_proba")
        self._check_classes()
        if (
            said.shape != (len(self.rows), len(self.truth.classes))
            or said.dtype != np.float64
            or not (said.min() >= 0 and said.max() <= 1)  # false for NaN too
        ):
            raise _NotQuick
        return said

    def scores(self) -> np.ndarray:
        """What ranks rows for the second of two classes, shape (rows,), as scorers choose it."""
        if len(self.truth.classes) != 2:
            raise _NotQuick
        if not hasattr(self.model, "decision_function"):
            return self.probabilities()[:, 1]
        said = self.say("decision_function")
        self._check_classes()
        if said.ndim != 1 or not np.isfinite(said).all():
            raise _NotQuick
        return said

    def _check_classes(self) -> None:
        """A fold may lack a class; the columns of such a model are others."""
        known = getattr(self.model, "classes_", None)
        if known is None or not np.array_equal(known, self.truth.classes):
            raise _NotQuick


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0))


def _per_class(answers: _Answers, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Precision, recall or F1 of each class, and whether it is there, each of shape (classes,)."""
    counts = answers.counts()
    right, true, said = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    if kind == "precision":
        values = _ratio(right, said)
    elif kind == "recall":
        values = _ratio(right, true)
    else:
        values = _ratio(2 * right, true + said)
    return values, true + said > 0


def _positive(kind: str) -> Callable[[_Answers], float]:
    def metric(answers: _Answers) -> float:
        if len(answers.truth.classes) != 2:
            raise _NotQuick
        return float(_per_class(answers, kind)[0][1])

    return metric


def _macro(kind: str) -> Callable[[_Answers], float]:
    def metric(answers: _Answers) -> float:
        values, is_there = _per_class(answers, kind)
        return float(values[is_there].mean())

    return metric


def _weighted(kind: str) -> Callable[[_Answers], float]:
    def metric(answers: _Answers) -> float:
        support = answers.truth.support
        return float(_per_class(answers, kind)[0] @ support / support.sum())

    return metric


def _accuracy(answers: _Answers) -> float:
    counts = answers.counts()
    return float(np.trace(counts) / counts.sum())


def _balanced_accuracy(answers: _Answers) -> float:
    support = answers.truth.support
    is_there = support > 0
    return float((answers.counts().diagonal()[is_there] / support[is_there]).mean())


def _log_loss(answers: _Answers) -> float:
    probabilities, codes = answers.probabilities(), answers.truth.codes
    floor = np.finfo(probabilities.dtype).eps
    chances = np.clip(probabilities[np.arange(len(codes)), codes], floor, 1 - floor)
    return float(-np.log(chances).mean())


def _rank(is_positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive and negative rows from the top down to each different score; int64."""
    order = np.argsort(-scores)
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    positive = np.cumsum(is_positive[order])[last]
    return positive, last + 1 - positive


def _area(is_positive: np.ndarray, scores: np.ndarray) -> float:
    """The area under the ROC curve by trapezoids, NaN for one class."""
    positive, negative = _rank(is_positive, scores)
    if positive[-1] == 0 or negative[-1] == 0:
        return math.nan
    widths = np.diff(negative, prepend=0)
    heights = 2 * positive - np.diff(positive, prepend=0)  # left and right side
    return float(widths @ heights) / (2 * int(positive[-1]) * int(negative[-1]))


def _roc_auc(answers: _Answers) -> float:
    return _area(answers.truth.is_of[1], answers.scores())


def _roc_auc_ovr(answers: _Answers) -> float:
    probabilities, truth = answers.probabilities(), answers.truth
    if len(truth.classes) < 3 or not np.allclose(1, probabilities.sum(axis=1)):
        raise _NotQuick
    areas = [_area(*pair) for pair in zip(truth.is_of, probabilities.T, strict=True)]
    return float(np.mean(areas))


def _average_precision(answers: _Answers) -> float:
    positive, negative = _rank(answers.truth.is_of[1], answers.scores())
    if positive[-1] == 0:
        return 0.0
    gained = np.diff(positive, prepend=0) / positive[-1]
    return float(gained @ (positive / (positive + negative)))


def _squared_error(answers: _Answers) -> float:
    return float(np.square(answers.truth.values - answers.numbers()).mean())


def _absolute_error(answers: _Answers) -> float:
    return float(np.abs(answers.truth.values - answers.numbers()).mean())


def _largest_error(answers: _Answers) -> float:
    return float(np.abs(answers.truth.values - answers.numbers()).max())


def _r2(answers: _Answers) -> float:
    said, truth = answers.numbers(), answers.truth
    if len(said) < 2:
        return math.nan
    missed = float(np.square(truth.values - said).sum())
    if truth.variation == 0:
        return 1.0 if missed == 0 else 0.0
    return 1 - missed / truth.variation


_Metric = Callable[[_Answers], float]

_CLASSIFICATION: dict[str, _Metric] = {
    "accuracy": _accuracy,
    "average_precision": _average_precision,
    "balanced_accuracy": _balanced_accuracy,
    "log_loss": _log_loss,
    "roc_auc": _roc_auc,
    "roc_auc_ovr": _roc_auc_ovr,
    **{f"{kind}_micro": _accuracy for kind in ("f1", "precision", "recall")},
    **{kind: _positive(kind) for kind in ("f1", "precision", "recall")},
    **{f"{kind}_macro": _macro(kind) for kind in ("f1", "precision", "recall")},
    **{f"{kind}_weighted": _weighted(kind) for kind in ("f1", "precision", "recall")},
}
_REGRESSION: dict[str, _Metric] = {
    "max_error": _largest_error,
    "mean_absolute_error": _absolute_error,
    "mean_squared_error": _squared_error,
    "r2": _r2,
    "root_mean_squared_error": lambda answers: math.sqrt(_squared_error(answers)),
}
