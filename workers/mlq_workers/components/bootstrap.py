"""A paired bootstrap: how sure the difference of two models on the same rows is.

Rows are drawn with replacement, the same for both models. A draw is a row of weights (how often
each row was drawn), and the metrics below are computed for all draws at once from these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if

from mlq.models import metrics
from mlq_workers.components.scoring import measure

#: Draws times rows that are held at once, 8 bytes each.
CHUNK_CELLS = 4_000_000
#: Draws for a metric that has to be computed draw by draw.
SLOW_DRAWS = 200
CONFIDENCE = 0.95

Weights = np.ndarray  # shape (draws, rows), float64
Values = np.ndarray  # shape (draws,), float64, NaN where undefined


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a model says on the rows of a comparison.

    labels: predictions, shape (rows,); probabilities: shape (rows, classes), None without;
    scores: what ranks rows for the second of two classes, shape (rows,), None without.
    """

    classes: Sequence[Any]
    labels: np.ndarray
    probabilities: np.ndarray | None = None
    scores: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """The middle 95 % of the gains over all draws; `draws` is how many were defined."""

    low: float
    high: float
    draws: int

    def as_dict(self) -> dict[str, Any]:
        """The interval as JSON."""
        return {"low": self.low, "high": self.high, "draws": self.draws, "level": CONFIDENCE}


def predict_all(model: Any, rows: pd.DataFrame, classes: Sequence[Any]) -> Predicted:
    """Everything that metrics need of a fitted model, in one pass."""
    labels = np.asarray(model.predict(rows))
    if not classes:
        return Predicted(classes, labels)
    probabilities = model.predict_proba(rows) if hasattr(model, "predict_proba") else None
    scores = None
    if len(classes) == 2:
        if probabilities is not None:
            scores = probabilities[:, 1]
        elif hasattr(model, "decision_function"):
            scores = np.asarray(model.decision_function(rows))
    return Predicted(classes, labels, probabilities, scores)


def compare(
    metric: str,
    target: np.ndarray,
    *,
    new: Predicted,
    old: Predicted,
    draws: int,
    seed: int,
) -> Interval | None:
    """The interval of the gain of `new` over `old`; None without draws or where all are undefined.

    target: shape (rows,), without gaps.
    """
    if draws < 1:
        return None
    is_quick = metric in _VECTORIZED and _lacks_nothing(metric, new, old)
    count = draws if is_quick else min(draws, SLOW_DRAWS)
    evaluate = _VECTORIZED[metric] if is_quick else _slow(metric)
    sign = 1.0 if metrics.direction(metric) == "maximize" else -1.0
    gains = np.concatenate(
        [
            sign * (evaluate(weights, target, new) - evaluate(weights, target, old))
            for weights in _draw(len(target), count, seed)
        ]
    )
    gains = gains[np.isfinite(gains)]
    if not gains.size:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(gains, [tail, 1 - tail])
    return Interval(float(low), float(high), int(gains.size))


def _draw(rows: int, draws: int, seed: int) -> Iterator[Weights]:
    generator = np.random.default_rng(seed)
    chunk = max(1, min(draws, CHUNK_CELLS // max(rows, 1)))
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        picks = generator.integers(0, rows, size=(size, rows))
        picks += np.arange(size)[:, None] * rows
        yield np.bincount(picks.ravel(), minlength=size * rows).reshape(size, rows).astype(float)


def _lacks_nothing(metric: str, *models: Predicted) -> bool:
    if metric == "roc_auc":
        return all(model.scores is not None for model in models)
    if metric == "log_loss":
        return all(model.probabilities is not None for model in models)
    if metric in ("f1", "precision", "recall"):
        return all(len(model.classes) == 2 for model in models)
    return True


def _mean(weights: Weights, losses: np.ndarray) -> Values:
    result: Values = weights @ losses / weights.shape[1]
    return result


def _accuracy(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    return _mean(weights, (model.labels == target).astype(float))


def _mae(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    return _mean(weights, np.abs(model.labels - target))


def _mse(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    return _mean(weights, np.square(model.labels - target))


def _rmse(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    return np.asarray(np.sqrt(_mse(weights, target, model)))


def _r2(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    centered = target - target.mean()
    spread = _mean(weights, np.square(centered)) - np.square(_mean(weights, centered))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, 1 - _mse(weights, target, model) / spread, np.nan)


def _log_loss(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    assert model.probabilities is not None
    known = np.asarray(model.classes)
    column = np.clip(np.searchsorted(known, target), 0, len(known) - 1)
    chance = model.probabilities[np.arange(len(target)), column]
    chance = np.where(known[column] == target, chance, np.nan)
    floor = np.finfo(model.probabilities.dtype).eps
    return _mean(weights, -np.log(np.clip(chance, floor, 1 - floor)))


def _roc_auc(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    """Chance that a positive row outranks a negative one, ties counting half."""
    assert model.scores is not None
    order = np.argsort(model.scores, kind="stable")
    ranked = model.scores[order]
    is_positive = (target == model.classes[1])[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # of each run of ties
    drawn = weights[:, order]
    positive = np.add.reduceat(np.where(is_positive, drawn, 0.0), starts, axis=1)
    negative = np.add.reduceat(np.where(is_positive, 0.0, drawn), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        won = (positive * (below + 0.5 * negative)).sum(axis=1)
        return np.where(pairs > 0, won / pairs, np.nan)


def _confusion(
    weights: Weights, target: np.ndarray, model: Predicted
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right, true and predicted counts per class, each of shape (draws, classes)."""
    labels = np.unique(np.concatenate([target, model.labels]))
    if len(model.classes) == 2:
        labels = np.unique(np.concatenate([labels, np.asarray(model.classes)]))
    is_true = (target[:, None] == labels).astype(float)
    is_said = (model.labels[:, None] == labels).astype(float)
    return weights @ (is_true * is_said), weights @ is_true, weights @ is_said


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0))


def _of_positive(values: np.ndarray, target: np.ndarray, model: Predicted) -> Values:
    labels = np.unique(np.concatenate([target, model.labels, np.asarray(model.classes)]))
    column: Values = values[:, int(np.flatnonzero(labels == model.classes[1])[0])]
    return column


def _f1(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    right, true, said = _confusion(weights, target, model)
    return _of_positive(_ratio(2 * right, true + said), target, model)


def _precision(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    right, _, said = _confusion(weights, target, model)
    return _of_positive(_ratio(right, said), target, model)


def _recall(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    right, true, _ = _confusion(weights, target, model)
    return _of_positive(_ratio(right, true), target, model)


def _f1_macro(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    """Mean over the classes that are in the draw, as scikit-learn has it."""
    right, true, said = _confusion(weights, target, model)
    scores = _ratio(2 * right, true + said)
    result: Values = scores.sum(axis=1) / ((true + said) > 0).sum(axis=1)
    return result


def _balanced_accuracy(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
    right, true, _ = _confusion(weights, target, model)
    result: Values = _ratio(right, true).sum(axis=1) / (true > 0).sum(axis=1)
    return result


Evaluate = Callable[[Weights, np.ndarray, Predicted], Values]

_VECTORIZED: dict[str, Evaluate] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "f1_macro": _f1_macro,
    "log_loss": _log_loss,
    "mean_absolute_error": _mae,
    "mean_squared_error": _mse,
    "precision": _precision,
    "r2": _r2,
    "recall": _recall,
    "roc_auc": _roc_auc,
    "root_mean_squared_error": _rmse,
}


def _slow(metric: str) -> Evaluate:
    """Any metric, draw by draw, through its scorer."""

    def evaluate(weights: Weights, target: np.ndarray, model: Predicted) -> Values:
        replay = _REPLAYS[bool(model.classes)](model)
        found = []
        for drawn in weights:
            picks = np.repeat(np.arange(len(target)), drawn.astype(int))
            rows = pd.DataFrame({"row": picks})
            measured = measure([metric], replay, rows, target[picks], classes=model.classes)
            found.append(measured[metric])
        return np.asarray(found, dtype=float)

    return evaluate


class _Replay(BaseEstimator):  # type: ignore[misc]
    """A fitted model of which the answers are known: rows are positions among them."""

    def __init__(self, known: Predicted) -> None:
        self.known = known

    def fit(self, rows: pd.DataFrame, target: Any = None) -> _Replay:
        return self  # scikit-learn takes only what has `fit` for an estimator

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return _pick(self.known.labels, rows)


def _pick(values: np.ndarray | None, rows: pd.DataFrame) -> np.ndarray:
    assert values is not None
    return np.asarray(values[rows["row"].to_numpy()])


class _ReplayRegressor(RegressorMixin, _Replay):  # type: ignore[misc]
    pass


class _ReplayClassifier(ClassifierMixin, _Replay):  # type: ignore[misc]
    @property
    def classes_(self) -> np.ndarray:
        return np.asarray(self.known.classes)

    @available_if(lambda self: self.known.probabilities is not None)  # type: ignore[untyped-decorator]
    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        return _pick(self.known.probabilities, rows)

    @available_if(lambda self: self.known.scores is not None)  # type: ignore[untyped-decorator]
    def decision_function(self, rows: pd.DataFrame) -> np.ndarray:
        return _pick(self.known.scores, rows)


_REPLAYS = {True: _ReplayClassifier, False: _ReplayRegressor}
