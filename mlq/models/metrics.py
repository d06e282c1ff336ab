"""The words for metrics: scikit-learn's scorer names, errors stored positive with their direction.

A scorer `neg_root_mean_squared_error` is reported as the metric `root_mean_squared_error`,
positive, to be minimized. The table is written out, so that programs without scikit-learn can rank
models.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mlq.errors import StepError, nearest

Direction = Literal["maximize", "minimize"]

#: Metrics whose scikit-learn scorer is named `neg_NAME`: smaller is better.
ERRORS = frozenset(
    {
        "brier_score",
        "log_loss",
        "max_error",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_gamma_deviance",
        "mean_poisson_deviance",
        "mean_squared_error",
        "mean_squared_log_error",
        "median_absolute_error",
        "negative_likelihood_ratio",
        "root_mean_squared_error",
        "root_mean_squared_log_error",
    }
)

#: Metrics whose scorer has their own name: larger is better.
SCORES = frozenset(
    {
        "accuracy",
        "average_precision",
        "balanced_accuracy",
        "d2_absolute_error_score",
        "d2_brier_score",
        "d2_log_loss_score",
        "explained_variance",
        "f1",
        "f1_macro",
        "f1_micro",
        "f1_weighted",
        "jaccard",
        "jaccard_macro",
        "jaccard_micro",
        "jaccard_weighted",
        "matthews_corrcoef",
        "positive_likelihood_ratio",
        "precision",
        "precision_macro",
        "precision_micro",
        "precision_weighted",
        "r2",
        "recall",
        "recall_macro",
        "recall_micro",
        "recall_weighted",
        "roc_auc",
        "roc_auc_ovo",
        "roc_auc_ovo_weighted",
        "roc_auc_ovr",
        "roc_auc_ovr_weighted",
        "top_k_accuracy",
    }
)

KNOWN = ERRORS | SCORES

#: What is measured when nobody says what, in the order of importance.
DEFAULTS: dict[str, tuple[str, ...]] = {
    "binary": ("roc_auc", "accuracy", "f1", "average_precision", "log_loss"),
    "multiclass": ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc_ovr", "log_loss"),
    "regression": ("r2", "root_mean_squared_error", "mean_absolute_error"),
}


def metric_name(name: str) -> str:
    """The metric's name for a scorer's or metric's: `neg_log_loss` and `log_loss` give `log_loss`.

    Raises StepError for a name that is neither, with the nearest known one.
    """
    plain = name.removeprefix("neg_")
    if plain in ERRORS or name in SCORES:
        return plain
    guess = nearest(plain, KNOWN)
    hint = f"Did you mean '{guess}'?" if guess else "Use a scikit-learn scorer name."
    raise StepError(f"There is no metric '{name}'.", code="unknown_metric", hint=hint)


def scorer_name(metric: str) -> str:
    """The scikit-learn scorer that measures `metric`."""
    return f"neg_{metric}" if metric in ERRORS else metric


def direction(metric: str) -> Direction:
    """Whether `metric` is better when larger or when smaller.

    Suffixes of a known metric (`roc_auc_fold`) and metrics that users log themselves are judged by
    their name: errors, losses and deviances are minimized, all else is maximized.
    """
    plain = metric.removesuffix("_fold").removesuffix("_mean")
    if plain in KNOWN:
        return "minimize" if plain in ERRORS else "maximize"
    words = ("error", "loss", "deviance", "_mae", "_mse", "_rmse")
    short = {"mae", "mse", "rmse", "mape"}
    is_error = any(word in plain for word in words) or plain in short
    return "minimize" if is_error else "maximize"


def gain(metric: str, *, new: float, old: float) -> float:
    """By how much `new` is better than `old` on `metric`; negative when it is worse."""
    return new - old if direction(metric) == "maximize" else old - new


_THRESHOLD = re.compile(r"\s*([A-Za-z_]\w*)\s*(>=|<=|==|>|<)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*")
_MIRROR = {">=": "<=", "<=": ">=", ">": "<", "<": ">", "==": "=="}


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound on a metric, such as `roc_auc >= 0.9`."""

    metric: str
    op: str
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.bound:g}"

    def is_met(self, value: float) -> bool:
        """Whether `value` is within the bound; an undefined value (NaN) never is."""
        if math.isnan(value):
            return False
        match self.op:
            case ">=":
                return value >= self.bound
            case "<=":
                return value <= self.bound
            case ">":
                return value > self.bound
            case "<":
                return value < self.bound
            case _:
                return value == self.bound


def parse_threshold(text: str) -> Threshold:
    """Read `METRIC OP NUMBER`; a bound on a negated scorer becomes one on its metric.

    Raises StepError where the text does not read so or the metric is unknown.
    """
    match = _THRESHOLD.fullmatch(text)
    try:
        name, op, bound = match.groups() if match else ("", "", "")
        number = float(bound)
    except ValueError:
        raise StepError(
            f"The threshold '{text}' does not read as a bound on a metric.",
            code="invalid_threshold",
            hint='Write it as "roc_auc >= 0.9" or "root_mean_squared_error <= 3".',
        ) from None
    metric = metric_name(name)
    if name.startswith("neg_"):
        return Threshold(metric, _MIRROR[op], -number if number else 0.0)
    return Threshold(metric, op, number)


def unique(names: Iterable[str]) -> list[str]:
    """Metric names for `names` (scorers or metrics), each once, in order."""
    return list(dict.fromkeys(metric_name(name) for name in names))
