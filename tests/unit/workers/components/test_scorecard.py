"""scikit-learn's scorers, which `measure` uses, are the oracle."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from mlq_workers.components import scorecard
from mlq_workers.components.scorecard import Scorecard, Truth
from mlq_workers.components.scoring import measure

BINARY = ["accuracy", "average_precision", "balanced_accuracy", "f1", "log_loss", "precision"]
BINARY += ["recall", "roc_auc", "f1_macro", "recall_weighted", "precision_micro", "brier_score"]
MULTI = ["accuracy", "balanced_accuracy", "f1_macro", "f1_micro", "f1_weighted", "log_loss"]
MULTI += ["precision_macro", "precision_weighted", "recall_macro", "roc_auc_ovr", "roc_auc_ovo"]
NUMBERS = ["max_error", "mean_absolute_error", "mean_squared_error", "r2"]
NUMBERS += ["root_mean_squared_error", "median_absolute_error"]

# scikit-learn says so when a fold lacks a class; here it is meant.
pytestmark = pytest.mark.filterwarnings("ignore")


class Oracle(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted classifier that says what it was told."""

    def __init__(self, classes: Any = (), chances: Any = (), labels: Any = ()) -> None:
        self.classes = classes
        self.chances = chances
        self.labels = labels
        self.classes_ = np.asarray(classes)

    def fit(self, X: Any, y: Any) -> "Oracle":
        return self

    def predict(self, X: Any) -> Any:
        return np.asarray(self.labels)

    def predict_proba(self, X: Any) -> Any:
        return np.asarray(self.chances)


class Guess(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted regressor that says what it was told."""

    def __init__(self, values: Any = ()) -> None:
        self.values = values

    def fit(self, X: Any, y: Any) -> "Guess":
        return self

    def predict(self, X: Any) -> Any:
        return np.asarray(self.values)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _check(names: list[str], model: Any, target: np.ndarray, classes: list[Any]) -> None:
    rows = np.zeros((len(target), 1))
    found = Scorecard(names, Truth(target, classes)).measure(model, rows)
    wanted = measure(names, model, rows, target, classes=classes)
    assert list(found) == names
    for name in names:
        assert found[name] == pytest.approx(wanted[name], rel=1e-12, abs=1e-12, nan_ok=True), name


@settings(max_examples=60, deadline=None)
@given(
    data=some.data(),
    classes=some.sampled_from(
        [["no", "yes"], [0, 1], [False, True], [3, 7], ["a", "b", "c"], [0, 1, 2, 5]]
    ),
)
def test_classes_as_scikit_learn_scores_them(data: some.DataObject, classes: list[Any]) -> None:
    """Few different chances make ties, few rows leave classes out of truth and prediction."""
    count = data.draw(some.integers(1, 12))
    rows = some.lists(some.integers(0, len(classes) - 1), min_size=count, max_size=count)
    parts = some.lists(some.integers(0, 3), min_size=len(classes), max_size=len(classes))
    drawn = data.draw(some.lists(parts.filter(any), min_size=count, max_size=count))
    chances = np.asarray(drawn, dtype=float)
    chances /= chances.sum(axis=1, keepdims=True)
    known = np.asarray(classes)
    model = Oracle(classes, chances, known[data.draw(rows)])
    target = known[data.draw(rows)]
    _check(BINARY if len(classes) == 2 else MULTI, model, target, classes)


@settings(max_examples=60, deadline=None)
@given(
    pairs=some.lists(
        some.tuples(some.sampled_from([0.0, 1.0, -2.5, 1e6]), some.floats(-1e6, 1e6)),
        min_size=1,
        max_size=9,
    )
)
def test_numbers_as_scikit_learn_scores_them(pairs: list[tuple[float, float]]) -> None:
    target, values = (np.asarray(side) for side in zip(*pairs, strict=True))
    _check(NUMBERS, Guess(values), target, [])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predictions_that_are_no_numbers_leave_metrics_undefined(bad: float) -> None:
    truth = Truth(np.asarray([1.0, 2.0, 4.0]), [])
    found = Scorecard(NUMBERS, truth).measure(Guess([1.0, bad, 3.0]), np.zeros((3, 1)))
    assert np.isnan(list(found.values())).all()


def test_decisions_rank_before_probabilities_do() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(80, 3))
    target = np.where(rows[:, 0] + generator.normal(size=80) > 0, "yes", "no")
    for model in (LinearSVC(random_state=0), LogisticRegression(C=1e6)):
        model.fit(rows[:60], target[:60])
        names = ["roc_auc", "average_precision", "f1"]
        found = Scorecard(names, Truth(target[60:], ["no", "yes"])).measure(model, rows[60:])
        wanted = measure(names, model, rows[60:], target[60:], classes=["no", "yes"])
        assert found == pytest.approx(wanted, rel=1e-12)


def test_model_of_a_fold_without_one_of_the_classes() -> None:
    """Its columns are fewer, and what cannot be told from them is undefined."""
    rows = np.arange(12.0)[:, None]
    target = np.asarray(["a", "b", "c"] * 4)
    model = LogisticRegression().fit(rows[target != "c"], target[target != "c"])
    _check_fitted(model, rows, target)


def _check_fitted(model: Any, rows: np.ndarray, target: np.ndarray) -> None:
    classes = np.unique(target).tolist()
    found = Scorecard(MULTI, Truth(target, classes)).measure(model, rows)
    wanted = measure(MULTI, model, rows, target, classes=classes)
    assert found == pytest.approx(wanted, rel=1e-12, nan_ok=True)
    assert np.isnan(found["log_loss"])


def test_a_prediction_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    model = Oracle(["n", "y"], [[0.4, 0.6], [0.7, 0.3]], ["y", "n"])
    for name in ("predict", "predict_proba"):
        method = getattr(model, name)
        monkeypatch.setattr(
            model, name, lambda X, name=name, method=method: (asked.append(name), method(X))[1]
        )
    names = ["accuracy", "f1", "roc_auc", "log_loss", "average_precision", "recall"]
    Scorecard(names, Truth(np.asarray(["n", "y"]), ["n", "y"])).measure(model, np.zeros((2, 1)))
    assert sorted(asked) == ["predict", "predict_proba"]


def test_the_defaults_need_no_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlq.models.metrics import DEFAULTS

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("slow")

    monkeypatch.setattr(scorecard, "measure", refuse)
    cases = [
        (DEFAULTS["binary"], Oracle([0, 1], [[0.5, 0.5], [1, 0.0]], [0, 1]), [0, 1]),
        (DEFAULTS["multiclass"], Oracle([0, 1, 2], np.eye(3), [0, 1, 1]), [0, 1, 2]),
        (DEFAULTS["regression"], Guess([1.0, 2.0]), []),
    ]
    for names, model, classes in cases:
        target = np.asarray(classes) if classes else np.asarray([1.0, 3.0])
        found = Scorecard(names, Truth(target, classes)).measure(model, np.zeros((len(target), 1)))
        assert set(found) == set(names)
