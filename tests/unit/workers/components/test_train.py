import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.feather as feather
import pytest

from mlq.errors import StepError
from mlq.models.package import load_package, read_mlmodel
from mlq_workers.components.training import read_params
from tests.unit.workers.components.conftest import Go, Ran

LOGISTIC = "sklearn.linear_model.LogisticRegression"
RIDGE = "sklearn.linear_model.Ridge"


@pytest.fixture
def prepared(go: Go, people: pd.DataFrame) -> dict[str, Path]:
    ran = go("mlq:preprocess", data=people, target="left", clip_quantiles=[0.05, 0.95])
    return {"data": ran["train"], "recipe": ran["recipe"]}


def _refused(go: Go, **inputs: object) -> StepError:
    with pytest.raises(StepError) as caught:
        go("mlq:train", **{"estimator": LOGISTIC, **inputs})
    return caught.value


def test_metrics_are_mean_spread_and_folds(go: Go, prepared: dict[str, Path]) -> None:
    ran = go("mlq:train", **prepared, estimator=LOGISTIC, scoring=["roc_auc", "neg_log_loss"])
    assert set(ran.final()) == {"roc_auc", "roc_auc_std", "log_loss", "log_loss_std"}
    folds = [metric for metric in ran.metrics if metric.key == "roc_auc_fold"]
    assert [metric.step for metric in folds] == [1, 2, 3, 4, 5]
    values = [metric.value for metric in folds]
    assert ran.final()["roc_auc"] == pytest.approx(np.mean(values))
    assert ran.final()["roc_auc_std"] == pytest.approx(np.std(values))
    assert ran.final()["log_loss"] > 0


@pytest.mark.parametrize(
    "estimator",
    [
        LOGISTIC,
        "sklearn.ensemble.RandomForestClassifier",
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.neural_network.MLPClassifier",
    ],
)
def test_same_seed_same_metrics_to_the_last_digit(
    go: Go, prepared: dict[str, Path], people: pd.DataFrame, estimator: str
) -> None:
    quick = {"MLP": {"max_iter": 30}, "Hist": {"max_iter": 5}, "Forest": {"n_estimators": 9}}
    params = next((quick[word] for word in quick if word in estimator), {})
    one, two = (
        go("mlq:train", **prepared, estimator=estimator, cv=3, seed=5, params=params)
        for _ in range(2)
    )
    assert one.metrics == two.metrics
    models = [load_package(ran["model"]) for ran in (one, two)]
    np.testing.assert_array_equal(*(model.predict_proba(people) for model in models))


def test_model_takes_raw_rows_and_keeps_labels(
    go: Go, prepared: dict[str, Path], people: pd.DataFrame
) -> None:
    ran = go("mlq:train", **prepared, estimator=LOGISTIC)
    model = load_package(ran["model"])
    assert model.classes == ("no", "yes")
    assert model.target == "left"
    assert set(model.predict(people)) <= {"no", "yes"}
    rows = json.loads((ran["model"] / "input_example.json").read_text())
    example = pd.DataFrame(rows["data"], columns=rows["columns"])
    assert len(model.predict(example)) == 3
    stored = read_mlmodel(ran["model"])["metadata"]["mlq"]
    assert stored["metrics"]["roc_auc"] == ran.final()["roc_auc"]
    assert stored["estimator"] == LOGISTIC


def test_recipe_is_fitted_inside_each_fold(go: Go, tmp_path: Path) -> None:
    """One row is so far out that quantiles of all rows would show in every fold.

    Each fold's metric must equal what a model gives whose clipping, filling and scaling never saw
    the fold's own rows, written out here without mlq's pipeline.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold

    generator = np.random.default_rng(1)
    x = generator.normal(size=40)
    x[17] = 1e4
    y = np.clip(x, -3, 3) + generator.normal(0, 0.1, 40)
    recipe = tmp_path / "recipe.json"
    column = {"name": "x", "kind": "number", "required": True}
    record = {"version": 1, "target": "y", "columns": [column], "clip": [0.0, 1.0]}
    recipe.write_text(json.dumps(record))
    frame = pd.DataFrame({"x": x, "y": y})
    ran = go(
        "mlq:train", data=frame, recipe=recipe, estimator=RIDGE, cv=4, seed=2, scoring="max_error"
    )

    def errors(*, leak: bool) -> list[float]:
        found = []
        for train, test in KFold(4, shuffle=True, random_state=2).split(x):
            known = x if leak else x[train]
            clipped = np.clip(x, known.min(), known.max())
            scaled = (clipped - clipped[train].mean()) / clipped[train].std()
            model = Ridge().fit(scaled[train, None], y[train])
            found.append(float(np.abs(model.predict(scaled[test, None]) - y[test]).max()))
        return found

    folds = [metric.value for metric in ran.metrics if metric.key == "max_error_fold"]
    assert folds == pytest.approx(errors(leak=False))
    assert folds != pytest.approx(errors(leak=True), rel=0.1)


def test_regression_without_a_recipe(go: Go, houses: pd.DataFrame) -> None:
    ran = go("mlq:train", data=houses, target="price", estimator=RIDGE)
    assert ran.final()["r2"] > 0.9
    assert ran.final()["root_mean_squared_error"] > 0
    model = load_package(ran["model"])
    assert (model.task, model.classes) == ("regression", ())


def test_mapped_rows_are_learned_from_like_others(
    go: Go, houses: pd.DataFrame, tmp_path: Path
) -> None:
    """Arrow's columns stay in the file, which must not be written to."""
    file = tmp_path / "houses.arrow"
    feather.write_feather(houses, file, compression="uncompressed")
    before = file.read_bytes()
    for estimator in (RIDGE, "sklearn.ensemble.HistGradientBoostingRegressor"):
        mapped, read = (
            go("mlq:train", data=data, target="price", estimator=estimator)
            for data in (file, houses)
        )
        assert mapped.final() == read.final()
    assert file.read_bytes() == before


@pytest.mark.parametrize("labels", [["a", "b", "c"], [0, 1], [True, False], [1.0, 2.0]])
def test_labels_of_any_type(go: Go, houses: pd.DataFrame, labels: list[object]) -> None:
    column = [labels[n % len(labels)] for n in range(len(houses))]
    ran = go("mlq:train", data=houses.assign(y=column), target="y", estimator=LOGISTIC, cv=3)
    model = load_package(ran["model"])
    assert sorted(model.classes) == sorted(labels)
    assert set(model.predict(houses).tolist()) <= set(labels)


@pytest.mark.parametrize(
    "cv",
    [
        {"kind": "grouped", "column": "plan", "n_splits": 3},
        {"kind": "time", "column": "since", "n_splits": 3},
        '{"kind": "kfold", "n_splits": 3}',
        "3",
    ],
)
def test_fold_kinds(go: Go, prepared: dict[str, Path], cv: object) -> None:
    ran = go("mlq:train", **prepared, estimator=LOGISTIC, cv=cv)
    assert len([metric for metric in ran.metrics if metric.key == "accuracy_fold"]) == 3


def test_no_folds(go: Go, prepared: dict[str, Path]) -> None:
    ran = go("mlq:train", **prepared, estimator=LOGISTIC, cv=0)
    assert ran.metrics == []
    assert load_package(ran["model"]).task == "classification"


def test_step_per_iteration_shows_the_way_of_its_first_metric(
    go: Go, prepared: dict[str, Path]
) -> None:
    forest = {"estimator": "sklearn.ensemble.RandomForestClassifier", "n_estimators": 15}
    ran = go("mlq:train", **prepared, **forest, report_per="iteration", scoring=["f1", "accuracy"])
    assert [metric.step for metric in ran.metrics if metric.key == "f1"] == [10, 15, 0]
    assert ran.final() == go("mlq:train", **prepared, **forest, scoring=["f1", "accuracy"]).final()


def test_open_inputs_are_parameters() -> None:
    inputs = {
        "data": "d",
        "seed": 1,
        "params": {"C": 1.0, "tol": 0.1},
        "C": "0.5",
        "params.cv": 3,
        "solver": "saga",
    }
    assert read_params(inputs) == {"C": 0.5, "tol": 0.1, "cv": 3, "solver": "saga"}


def test_undefined_folds_are_left_out_of_the_mean(go: Go, houses: pd.DataFrame) -> None:
    frame = houses.assign(y=[*["a", "b"] * 30, *["b"] * 20], t=range(80))
    cv = {"kind": "time", "column": "t", "n_splits": 3}
    ran = go("mlq:train", data=frame, target="y", estimator=LOGISTIC, cv=cv, scoring="roc_auc")
    assert any("roc_auc is undefined in fold 3" in line for line in ran.lines)
    assert np.isfinite(ran.final()["roc_auc"])


def test_warnings_become_one_line(
    go: Go, prepared: dict[str, Path], recwarn: pytest.WarningsRecorder
) -> None:
    ran = go("mlq:train", **prepared, estimator="sklearn.neural_network.MLPClassifier", max_iter=2)
    assert len([line for line in ran.lines if "max_iter" in line]) == 1
    assert not [warning for warning in recwarn if "sklearn" in str(warning.filename)]


@pytest.mark.parametrize(
    ("change", "inputs", "code", "words"),
    [
        ({}, {"target": "prize"}, "missing_column", "price"),
        ({}, {}, "missing_input", "recipe or a target"),
        ({"y": "a"}, {"target": "y"}, "one_class_target", "one class only, 'a'"),
        ({"y": None}, {"target": "y"}, "invalid_target", "empty"),
        ({"y": ["a", "b"] * 40}, {"target": "y", "estimator": RIDGE}, "invalid_target", "numbers"),
        ({}, {"target": "price"}, "invalid_target", "fractions"),
        ({"y": [*["a"] * 78, "b", "b"]}, {"target": "y"}, "too_few_rows", "2 rows of class 'b'"),
        ({}, {"target": "price", "estimator": RIDGE, "cv": 100}, "too_few_rows", "80 rows"),
        ({}, {"target": "price", "estimator": RIDGE, "alhpa": 1}, "unknown_parameter", "alpha"),
        ({}, {"target": "price", "estimator": RIDGE, "alpha": -1}, "fit_failed", "alpha"),
        ({}, {"target": "price", "estimator": RIDGE, "scoring": "f1"}, "invalid_metric", "r2"),
        ({"c": "x"}, {"target": "price", "estimator": RIDGE}, "invalid_data", "mlq:preprocess"),
        ({"g": [1, None] * 40}, {"target": "price", "estimator": RIDGE}, "fit_failed", "missing"),
        ({}, {"target": "price", "estimator": RIDGE, "params": "x"}, "invalid_input", "params"),
    ],
)
def test_bad_input(
    go: Go,
    started: list[Ran],
    houses: pd.DataFrame,
    change: dict[str, object],
    inputs: dict[str, object],
    code: str,
    words: str,
) -> None:
    error = _refused(go, data=houses.assign(**change), **inputs)
    assert error.code == code
    assert words in f"{error.message} {error.hint}"
    assert not (started[-1].scratch / "model").exists()


def test_recipe_and_data_that_do_not_go_together(
    go: Go, prepared: dict[str, Path], people: pd.DataFrame
) -> None:
    assert _refused(go, **prepared, target="plan").code == "invalid_input"
    error = _refused(go, recipe=prepared["recipe"], data=people.drop(columns="active"))
    assert "'active'" in error.message
    error = _refused(go, recipe=prepared["data"], data=people)
    assert error.code == "invalid_recipe"


def test_package_is_found_whole_elsewhere(
    go: Go, prepared: dict[str, Path], people: pd.DataFrame, tmp_path: Path
) -> None:
    ran = go("mlq:train", **prepared, estimator=LOGISTIC)
    here = load_package(ran["model"]).predict(people)
    shutil.move(ran["model"], tmp_path / "moved")
    np.testing.assert_array_equal(load_package(tmp_path / "moved").predict(people), here)
