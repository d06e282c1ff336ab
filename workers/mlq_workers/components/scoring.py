"""Scorers: measuring metrics by name, errors positive (see `mlq.models.metrics`)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    check_scoring,
    f1_score,
    get_scorer,
    jaccard_score,
    make_scorer,
    precision_score,
    recall_score,
)

from mlq.errors import StepError
from mlq.models import metrics

_RANKED = ("decision_function", "predict_proba")
#: Scorers that ask which of two classes is the positive one. scikit-learn's own take the label 1
#: for it, which text labels do not have; here it is the second class, as for roc_auc.
_BINARY: dict[str, tuple[Callable[..., float], dict[str, Any]]] = {
    "average_precision": (average_precision_score, {"response_method": _RANKED}),
    "brier_score": (
        brier_score_loss,
        {"response_method": "predict_proba", "greater_is_better": False},
    ),
    "f1": (f1_score, {"zero_division": 0.0}),
    "jaccard": (jaccard_score, {"zero_division": 0.0}),
    "precision": (precision_score, {"zero_division": 0.0}),
    "recall": (recall_score, {"zero_division": 0.0}),
}
_ONLY_BINARY = {
    "f1": "f1_macro",
    "jaccard": "jaccard_macro",
    "precision": "precision_macro",
    "recall": "recall_macro",
    "roc_auc": "roc_auc_ovr",
    "positive_likelihood_ratio": "balanced_accuracy",
    "negative_likelihood_ratio": "balanced_accuracy",
}
_REGRESSION = frozenset(
    {
        "d2_absolute_error_score",
        "explained_variance",
        "max_error",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_gamma_deviance",
        "mean_poisson_deviance",
        "mean_squared_error",
        "mean_squared_log_error",
        "median_absolute_error",
        "r2",
        "root_mean_squared_error",
        "root_mean_squared_log_error",
    }
)
_NEEDS_PROBABILITIES = frozenset(
    {"log_loss", "brier_score", "d2_log_loss_score", "d2_brier_score", "top_k_accuracy"}
    | {name for name in metrics.SCORES if name.startswith("roc_auc_")}
)
_NEEDS_RANKING = frozenset({"roc_auc", "average_precision"})


def choose_metrics(
    wanted: Iterable[str], estimator: Any, *, task: str, classes: Sequence[Any]
) -> list[str]:
    """The metrics to measure: those wanted, or the task's defaults that `estimator` can give.

    task: classification or regression; classes: labels, empty for regression. Raises StepError for
    an unknown metric, and for one that does not go with the task or the estimator.
    """
    names = metrics.unique(wanted)
    kind = _kind(task, classes)
    if not names:
        return [name for name in metrics.DEFAULTS[kind] if _lack(name, estimator) is None]
    for name in names:
        if (name in _REGRESSION) != (kind == "regression"):
            default = ", ".join(metrics.DEFAULTS[kind])
            raise StepError(
                f"The metric '{name}' does not go with {kind.replace('binary', 'two-class')} data.",
                code="invalid_metric",
                hint=f"Use {default}.",
            )
        if kind == "multiclass" and name in _ONLY_BINARY:
            raise StepError(
                f"The metric '{name}' is for two classes, and the target has {len(classes)}.",
                code="invalid_metric",
                hint=f"Use {_ONLY_BINARY[name]}.",
            )
        lack = _lack(name, estimator)
        if lack is not None:
            raise StepError(
                f"The metric '{name}' needs {lack}, which the estimator does not have.",
                code="invalid_metric",
                hint="Choose another metric, or an estimator (setting) with probabilities.",
            )
    return names


def _kind(task: str, classes: Sequence[Any]) -> str:
    if task == "regression":
        return "regression"
    return "binary" if len(classes) <= 2 else "multiclass"


def _lack(name: str, estimator: Any) -> str | None:
    """The method that `name` needs and `estimator` lacks."""
    if name in _NEEDS_PROBABILITIES and not hasattr(estimator, "predict_proba"):
        return "predict_proba"
    if name in _NEEDS_RANKING and not any(hasattr(estimator, method) for method in _RANKED):
        return "predict_proba or decision_function"
    return None


def measure(
    names: Sequence[str],
    model: Any,
    rows: pd.DataFrame,
    target: np.ndarray,
    *,
    classes: Sequence[Any],
) -> dict[str, float]:
    """Each metric of a fitted model on rows; NaN where it is undefined there.

    classes: all labels the model may know, in its order; empty for regression.
    """
    scorers = {name: _make(name, classes) for name in names}
    if not scorers:
        return {}
    measured = check_scoring(model, scoring=scorers, raise_exc=False)(model, rows, target)
    return {name: _positive(name, measured[name]) for name in names}


def _make(name: str, classes: Sequence[Any]) -> Any:
    if name in _BINARY and len(classes) == 2:
        function, options = _BINARY[name]
        return make_scorer(function, pos_label=classes[1], **options)
    if name == "log_loss":
        return _log_loss(classes)
    return get_scorer(metrics.scorer_name(name))


def _log_loss(classes: Sequence[Any]) -> Any:
    """The scorer `neg_log_loss` with the labels named, so that a fold may lack one of them."""
    from sklearn.metrics import log_loss

    return make_scorer(
        log_loss, response_method="predict_proba", greater_is_better=False, labels=list(classes)
    )


def _positive(name: str, value: Any) -> float:
    """A scorer's value as the metric's; a text is the traceback of a scorer that could not."""
    if isinstance(value, str):
        return math.nan
    number = float(value)
    if not math.isfinite(number):
        return math.nan
    # 0.0 - x rather than -x: an error of zero is not minus zero.
    return 0.0 - number if metrics.direction(name) == "minimize" else number


@contextmanager
def calm(log: Callable[[str], None]) -> Iterator[None]:
    """Log each different warning once, as one line, instead of printing them all."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            said: set[str] = set()
            for warning in caught:
                line = _say(warning)
                if line and line not in said:
                    said.add(line)
                    log(line)


def _say(warning: warnings.WarningMessage) -> str:
    from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning

    if issubclass(warning.category, (DeprecationWarning, FutureWarning, UndefinedMetricWarning)):
        return ""  # for programmers; an undefined metric is logged by whoever measures it
    first = str(warning.message).strip().splitlines()[0].rstrip(".")
    if issubclass(warning.category, ConvergenceWarning):
        return f"Note: the estimator stopped before it converged ({first}); try a larger max_iter."
    return f"Note: {first}."
