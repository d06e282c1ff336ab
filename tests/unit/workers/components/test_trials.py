"""mlq:train as a sweep runs it: many trials on what was loaded once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold

from mlq.errors import StepError
from mlq.models.package import load_package, read_mlmodel
from mlq_workers.components import train
from mlq_workers.components.recipe import build_pipeline, read_recipe
from mlq_workers.components.shelf import Shelf
from mlq_workers.components.training import Training
from mlq_workers.components.trials import Pruned, Trials, prepare_trials
from tests.unit.workers.components.conftest import Go

LOGISTIC = "sklearn.linear_model.LogisticRegression"
FOREST = "sklearn.ensemble.RandomForestClassifier"
RIDGE = "sklearn.linear_model.Ridge"

Prepare = Callable[..., Trials]


@pytest.fixture(autouse=True)
def _own_shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "_shelf", Shelf())


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """prepare(metric, swept=…, **inputs): frames are written as Parquet."""

    def ready(metric: str | None = None, /, *, swept: Any = ("C",), **given: Any) -> Trials:
        inputs = {"cv": 5, "seed": 0, "report_per": "fold"}
        for name, value in given.items():
            if isinstance(value, pd.DataFrame):
                file = tmp_path / f"{name}.parquet"
                value.to_parquet(file)
                value = file
            inputs[name] = value
        trials = prepare_trials("mlq:train", inputs, primary_metric=metric, swept=swept)
        assert trials is not None
        return trials

    return ready


@pytest.fixture
def prepped(go: Go, people: pd.DataFrame) -> dict[str, Path]:
    ran = go("mlq:preprocess", data=people, target="left", clip_quantiles=[0.05, 0.95])
    return {"data": ran["train"], "recipe": ran["recipe"]}


def _heard(trials: Trials, params: dict[str, Any], name: str) -> list[tuple[float, int]]:
    heard: list[tuple[str, float, int]] = []
    trials.run(params, lambda *value: heard.append(value))
    return [(value, step) for key, value, step in heard if key == name]


def test_other_components_run_step_by_step() -> None:
    assert prepare_trials("mlq:evaluate", {}) is None


def test_classifier_scores_as_grid_search_does(prepare: Prepare, prepped: dict[str, Path]) -> None:
    """The oracle fits recipe and estimator anew in each fold."""
    values = [0.01, 0.3, 10]
    trials = prepare("roc_auc", **prepped, estimator=LOGISTIC)
    rows = pd.read_parquet(prepped["data"])
    pipeline = build_pipeline(read_recipe(prepped["recipe"]), LogisticRegression(random_state=0))
    search = GridSearchCV(
        pipeline,
        {"estimator__C": values},
        scoring="roc_auc",
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
        refit=False,
    ).fit(rows, rows["left"])
    wanted = search.cv_results_
    found = [trials.run({"C": value}) for value in values]
    assert [one["roc_auc"] for one in found] == pytest.approx(wanted["mean_test_score"], rel=1e-9)
    assert [one["roc_auc_std"] for one in found] == pytest.approx(
        wanted["std_test_score"], rel=1e-9
    )


def test_regressor_scores_as_grid_search_does(prepare: Prepare, houses: pd.DataFrame) -> None:
    values = [0.1, 1000.0]
    trials = prepare("mean_absolute_error", data=houses, target="price", estimator=RIDGE)
    search = GridSearchCV(
        Ridge(),
        {"alpha": values},
        scoring="neg_mean_absolute_error",
        cv=KFold(5, shuffle=True, random_state=0),
        refit=False,
    ).fit(houses[["area", "rooms"]], houses["price"])
    found = [trials.run({"alpha": value})["mean_absolute_error"] for value in values]
    assert found == pytest.approx(-search.cv_results_["mean_test_score"], rel=1e-9)


def test_trial_and_step_measure_the_same(
    prepare: Prepare, go: Go, prepped: dict[str, Path]
) -> None:
    trials = prepare("f1", **prepped, estimator=FOREST, n_estimators=5, scoring="log_loss")
    step = go("mlq:train", **prepped, estimator=FOREST, n_estimators=5, max_depth=2,
              scoring=["log_loss", "f1"])  # fmt: skip
    assert trials.run({"max_depth": 2}) == step.final()


def test_data_is_read_once(prepare: Prepare, prepped: dict[str, Path]) -> None:
    trials = prepare("accuracy", **prepped, estimator=LOGISTIC)
    prepped["data"].unlink()
    assert trials.run({"C": 1})["accuracy"] > 0.5


def test_data_that_changed_is_read_again(prepare: Prepare, houses: pd.DataFrame) -> None:
    given = {"target": "price", "estimator": RIDGE}
    before = prepare("r2", data=houses, **given).run({})
    after = prepare("r2", data=houses.assign(price=houses["rooms"]), **given).run({})
    assert before != after


def test_matrices_that_are_not_kept_give_the_same(prepped: dict[str, Path]) -> None:
    inputs = {**prepped, "estimator": LOGISTIC, "cv": 3, "seed": 0}
    kept, made = (
        Training(inputs, print, primary_metric="log_loss", shelf=Shelf(), keep_bytes=keep_bytes)
        for keep_bytes in (10**9, 0)
    )
    assert kept.run({"C": 0.1}) == made.run({"C": 0.1})
    sizes = [training.folds(training.set_up({})).size_bytes for training in (kept, made)]  # type: ignore[union-attr]
    assert sizes[0] > 0
    assert sizes[1] == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"cv": 3},
        {"seed": 4},
        {"scoring": ["roc_auc", "f1"]},
        {"estimator": FOREST, "n_estimators": 5},
        {"params": {"C": 5}},
        {"params.C": "0.2"},
    ],
)
def test_whatever_a_trial_changes_is_what_a_step_would_do(
    prepare: Prepare, go: Go, prepped: dict[str, Path], changed: dict[str, Any]
) -> None:
    trials = prepare("roc_auc", **prepped, estimator=LOGISTIC, swept=changed)
    given = {"estimator": LOGISTIC, "scoring": ["roc_auc"], **changed}
    assert trials.run(changed) == go("mlq:train", **prepped, **given).final()


def test_primary_metric_is_all_that_is_measured_unless_scoring_says_more(
    prepare: Prepare, prepped: dict[str, Path]
) -> None:
    assert set(prepare("f1", **prepped, estimator=LOGISTIC).run({})) == {"f1", "f1_std"}
    more = prepare("f1", **prepped, estimator=LOGISTIC, scoring="accuracy").run({})
    assert set(more) == {"accuracy", "accuracy_std", "f1", "f1_std"}


def test_each_fold_reports_the_mean_so_far(prepare: Prepare, prepped: dict[str, Path]) -> None:
    trials = prepare("accuracy", **prepped, estimator=LOGISTIC)
    folds = _heard(trials, {"C": 1}, "accuracy_fold")
    assert [step for _, step in folds] == [1, 2, 3, 4, 5]
    means = [np.mean([value for value, _ in folds[:count]]) for count in range(1, 6)]
    assert _heard(trials, {"C": 1}, "accuracy") == [
        (pytest.approx(mean), step) for step, mean in enumerate(means, start=1)
    ]
    assert trials.run({"C": 1})["accuracy"] == pytest.approx(means[-1])


class Counted(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts its parameter, and counts how often it was fitted."""

    fitted = 0

    def __init__(self, answer: str = "no", fail: bool = False) -> None:
        self.answer = answer
        self.fail = fail

    def fit(self, X: Any, y: Any) -> "Counted":
        type(self).fitted += 1
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        if self.fail:
            raise IndexError("out of reach")
        return np.full(len(X), self.answer)


def test_pruning_saves_the_folds_that_are_left(
    prepare: Prepare, prepped: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counted, "fitted", 0)
    trials = prepare("accuracy", **prepped, estimator=f"{__name__}.Counted")
    seen: list[int] = []
    with pytest.raises(Pruned):
        trials.run({}, lambda name, value, step: seen.append(step), lambda: max(seen) == 2)
    assert Counted.fitted == 2
    trials.run({}, None, lambda: Counted.fitted == 7)  # the last fold is there: nothing to save
    assert Counted.fitted == 7


def test_by_iteration_ends_where_a_plain_fit_does(
    prepare: Prepare, prepped: dict[str, Path]
) -> None:
    given = {**prepped, "estimator": FOREST, "cv": 3}
    plain = prepare("roc_auc", **given).run({"n_estimators": 25})
    trials = prepare("roc_auc", **given, report_per="iteration")
    heard = _heard(trials, {"n_estimators": 25}, "roc_auc")
    assert [step for _, step in heard] == [10, 20, 25]
    assert heard[0][0] == pytest.approx(
        prepare("roc_auc", **given).run({"n_estimators": 10})["roc_auc"]
    )
    assert heard[-1][0] == pytest.approx(plain["roc_auc"])
    assert trials.run({"n_estimators": 25}) == pytest.approx(plain)
    with pytest.raises(Pruned):
        trials.run({"n_estimators": 25}, None, lambda: True)


def test_by_iteration_the_model_is_trained_as_it_was_measured(
    prepare: Prepare, prepped: dict[str, Path], tmp_path: Path
) -> None:
    """SGD's own fit would stop after a few passes."""
    trials = prepare(
        "accuracy",
        **prepped,
        estimator="sklearn.linear_model.SGDClassifier",
        report_per="iteration",
        max_iter=40,
    )
    heard = _heard(trials, {"alpha": 0.1}, "accuracy")
    assert [step for _, step in heard] == [10, 20, 40]
    model = load_package(trials.refit({"alpha": 0.1}, tmp_path, metrics={})["model"])
    rows = pd.read_parquet(prepped["data"])
    assert model.pipeline[-1].t_ == 1 + 40 * len(rows)
    assert set(model.predict(rows)) <= {"yes", "no"}


def test_by_iteration_falls_back_to_folds_and_says_so_once(
    prepped: dict[str, Path],
) -> None:
    lines: list[str] = []
    given = {**prepped, "estimator": LOGISTIC, "cv": 3, "seed": 0, "report_per": "iteration"}
    trials = prepare_trials("mlq:train", given, lines.append, primary_metric="f1")
    assert trials is not None
    for value in (1, 2):
        assert [step for _, step in _heard(trials, {"C": value}, "f1")] == [1, 2, 3]
    assert [line for line in lines if "per iteration" in line] == [
        "LogisticRegression cannot be measured per iteration as it is set; this is per fold."
    ]


def test_refit_is_the_step_s_model_with_the_trial_s_metrics(
    prepare: Prepare, go: Go, prepped: dict[str, Path], people: pd.DataFrame, tmp_path: Path
) -> None:
    trials = prepare("roc_auc", **prepped, estimator=LOGISTIC, tol=0.01)
    metrics = trials.run({"C": 0.5})
    outputs = trials.refit({"C": 0.5}, tmp_path, metrics=metrics)
    step = go("mlq:train", **prepped, estimator=LOGISTIC, tol=0.01, C=0.5)
    mine, its = load_package(outputs["model"]), load_package(step["model"])
    np.testing.assert_array_equal(mine.predict_proba(people), its.predict_proba(people))
    stored = read_mlmodel(outputs["model"])["metadata"]["mlq"]
    assert stored["params"] == {"C": 0.5, "tol": 0.01}
    assert stored["metrics"] == {"roc_auc": metrics["roc_auc"]}
    json.dumps(stored)


def test_refit_alone_makes_no_folds(prepped: dict[str, Path], tmp_path: Path) -> None:
    """Three folds are more than there are rows of a class."""
    rows = pd.read_parquet(prepped["data"])
    few = tmp_path / "few.parquet"
    rows.groupby("left").head(2).to_parquet(few)
    given = {**prepped, "data": few, "estimator": LOGISTIC, "cv": 3, "seed": 0}
    with pytest.raises(StepError, match="3 folds need 3"):
        prepare_trials("mlq:train", given)
    trials = prepare_trials("mlq:train", given, only_refit=True)
    assert trials is not None
    assert trials.refit({}, tmp_path, metrics={})["model"].is_dir()


def test_undefined_in_every_fold_is_nan(prepare: Prepare, houses: pd.DataFrame) -> None:
    cv = {"kind": "time", "column": "t", "n_splits": 2}
    frame = houses.assign(y=[*["a", "b"] * 13, *["b"] * 54], t=range(80))
    metrics = prepare("roc_auc", data=frame, target="y", estimator=LOGISTIC, cv=cv).run({})
    assert np.isnan(list(metrics.values())).all()


def test_a_bad_trial_leaves_the_next_one_alone(prepare: Prepare, prepped: dict[str, Path]) -> None:
    trials = prepare("accuracy", **prepped, estimator=LOGISTIC)
    before = trials.run({"C": 1})
    for params, code in (
        ({"C": -1}, "fit_failed"),
        ({"D": 1}, "unknown_parameter"),
        ({"estimator": f"{__name__}.Counted", "fail": True}, "fit_failed"),
    ):
        with pytest.raises(StepError) as caught:
            trials.run(params)
        assert caught.value.code == code
    assert trials.run({"C": 1}) == before


@pytest.mark.parametrize(
    ("metric", "changed", "code", "words"),
    [
        ("neg_log_loss", {}, "unknown_metric", "'log_loss', which is positive"),
        ("roc_acu", {}, "unknown_metric", "roc_auc"),
        ("r2", {}, "invalid_metric", "accuracy"),
        ("accuracy", {"cv": 0}, "invalid_input", "cv is 0"),
        ("accuracy", {"estimator": None}, "missing_input", "'estimator'"),
        ("accuracy", {"data": None}, "missing_input", "'data'"),
        ("accuracy", {"data": "mlq:churn:3"}, "invalid_input", "should be a file"),
    ],
)
def test_bad_input(
    prepare: Prepare,
    prepped: dict[str, Path],
    metric: str,
    changed: dict[str, Any],
    code: str,
    words: str,
) -> None:
    given = {**prepped, "estimator": LOGISTIC, **changed}
    with pytest.raises(StepError) as caught:
        prepare(metric, **given).run({})
    assert caught.value.code == code
    assert words in f"{caught.value.message} {caught.value.hint}"
