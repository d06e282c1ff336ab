import math
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import brier_score_loss, f1_score, log_loss
from sklearn.svm import SVC

from mlq.errors import StepError
from mlq.models.metrics import DEFAULTS, ERRORS, SCORES
from mlq_workers.components.scoring import calm, choose_metrics, measure

GENERATOR = np.random.default_rng(0)
X = pd.DataFrame(GENERATOR.normal(size=(60, 2)), columns=["a", "b"])
TEXT = np.where(X["a"] + GENERATOR.normal(size=60) > 0, "yes", "no")
THREE = np.where(X["a"] > 0.5, "p", np.where(X["b"] > 0, "q", "r"))
NUMBER = X["a"].to_numpy() * 3 + GENERATOR.normal(size=60)


def test_two_classes_with_text_labels() -> None:
    model = LogisticRegression().fit(X, TEXT)
    names = choose_metrics([], model, task="classification", classes=["no", "yes"])
    assert tuple(names) == DEFAULTS["binary"]
    found = measure([*names, "brier_score"], model, X, TEXT, classes=["no", "yes"])
    chances = model.predict_proba(X)
    assert found["f1"] == f1_score(TEXT, model.predict(X), pos_label="yes")
    assert found["log_loss"] == pytest.approx(log_loss(TEXT, chances))
    assert found["brier_score"] == pytest.approx(
        brier_score_loss(TEXT, chances[:, 1], pos_label="yes")
    )
    assert all(value > 0 for value in found.values())


def test_three_classes_and_numbers() -> None:
    model = LogisticRegression().fit(X, THREE)
    classes = ["p", "q", "r"]
    names = choose_metrics([], model, task="classification", classes=classes)
    assert tuple(names) == DEFAULTS["multiclass"]
    found = measure(names, model, X, THREE, classes=classes)
    assert not any(math.isnan(value) for value in found.values())
    line = LinearRegression().fit(X, NUMBER)
    names = choose_metrics([], line, task="regression", classes=[])
    found = measure(names, line, X, NUMBER, classes=[])
    assert found["root_mean_squared_error"] == pytest.approx(
        np.sqrt(np.mean((line.predict(X) - NUMBER) ** 2))
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(ERRORS | SCORES))
def test_every_listed_metric_can_be_measured_somewhere(name: str) -> None:
    """The table names nothing that scikit-learn could not compute."""
    positive = np.abs(NUMBER) + 0.1
    cases = [
        (LogisticRegression().fit(X, TEXT), TEXT, "classification", ["no", "yes"]),
        (LogisticRegression().fit(X, THREE), THREE, "classification", ["p", "q", "r"]),
        (LinearRegression().fit(X * 0, positive), positive, "regression", []),
    ]
    values = []
    for model, target, task, classes in cases:
        try:
            chosen = choose_metrics([name], model, task=task, classes=classes)
        except StepError:
            continue
        rows = X * 0 if task == "regression" else X
        values.append(measure(chosen, model, rows, target, classes=classes)[name])
    assert any(math.isfinite(value) for value in values)


def test_estimators_without_probabilities() -> None:
    model = SVC().fit(X, TEXT)
    names = choose_metrics([], model, task="classification", classes=["no", "yes"])
    assert "roc_auc" in names
    assert "log_loss" not in names
    with pytest.raises(StepError, match="needs predict_proba"):
        choose_metrics(["log_loss"], model, task="classification", classes=["no", "yes"])


@pytest.mark.parametrize(
    ("name", "task", "classes", "hint"),
    [
        ("acuracy", "classification", ["a", "b"], "accuracy"),
        ("r2", "classification", ["a", "b"], "roc_auc"),
        ("accuracy", "regression", [], "r2"),
        ("f1", "classification", ["a", "b", "c"], "f1_macro"),
        ("roc_auc", "classification", ["a", "b", "c"], "roc_auc_ovr"),
    ],
)
def test_metrics_that_do_not_go(name: str, task: str, classes: list[str], hint: str) -> None:
    with pytest.raises(StepError) as caught:
        choose_metrics([name], LogisticRegression(), task=task, classes=classes)
    assert hint in caught.value.hint


def test_undefined_is_nan_and_a_perfect_error_is_plain_zero() -> None:
    model = LogisticRegression().fit(X, TEXT)
    one = np.full(60, "yes")
    assert math.isnan(measure(["roc_auc"], model, X, one, classes=["no", "yes"])["roc_auc"])
    line = LinearRegression().fit(X[["a"]], X["a"] * 0)
    error = measure(["max_error"], line, X[["a"]], np.zeros(60), classes=[])["max_error"]
    assert math.copysign(1, error) == 1
    assert error == 0


def test_warnings_are_said_once_and_calmly() -> None:
    lines: list[str] = []
    with calm(lines.append):
        for _ in range(3):
            warnings.warn("lbfgs failed\nSee the manual", ConvergenceWarning, stacklevel=1)
            warnings.warn("old ways", FutureWarning, stacklevel=1)
            warnings.warn("odd data.", UserWarning, stacklevel=1)
    assert len(lines) == 2
    assert "max_iter" in lines[0]
    assert lines[1] == "Note: odd data."
