"""Whether a sweep finds what GridSearchCV finds: best parameters and every score of the grid."""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.sweeps.report import Check, print_table
from benchmarks.sweeps.system import System, running_system

TOLERANCE = 1e-9
_FOLDS = 4
_SEED = 3


@dataclass(frozen=True)
class Case:
    """A grid to search. metric: as mlq names it; has_recipe: gaps and categories are prepared."""

    name: str
    rows: pd.DataFrame
    estimator: type[Any]
    fixed: Mapping[str, Any]
    grid: Mapping[str, list[Any]]
    metric: str
    goal: str
    has_recipe: bool

    @property
    def scorer(self) -> str:
        """The metric as scikit-learn's scorers name it."""
        return self.metric if self.goal == "maximize" else f"neg_{self.metric}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Largest difference of a mean or a standard deviation over all points of the grid."""

    case: Case
    points: int
    difference: float
    same_best: bool


def make_cases() -> list[Case]:
    """A classifier and a regressor, on plain numbers and on a table that needs a recipe."""
    cancer, diabetes = _plain(load_breast_cancer()), _plain(load_diabetes())
    linear = {"solver": "liblinear", "random_state": _SEED}
    forest = {"n_estimators": 6, "random_state": _SEED}
    shrink: dict[str, list[Any]] = {"C": [1e-3, 1e-2, 0.1, 1.0], "fit_intercept": [True, False]}
    trees: dict[str, list[Any]] = {"max_depth": [2, 4, None], "max_features": [0.3, 1.0]}
    cases = []
    for has_recipe, suffix in ((False, "plain"), (True, "with a recipe")):
        prepare = _roughen if has_recipe else _as_it_is
        cases += [
            Case(
                f"classifier, {suffix}",
                prepare(cancer),
                LogisticRegression,
                linear,
                shrink,
                "roc_auc",
                "maximize",
                has_recipe,
            ),
            Case(
                f"regressor, {suffix}",
                prepare(diabetes),
                RandomForestRegressor,
                forest,
                trees,
                "mean_squared_error",
                "minimize",
                has_recipe,
            ),
        ]
    return cases


def compare(case: Case, system: System) -> Comparison:
    """Run a case both ways."""
    run = system.run(_document(case, system))
    path = "tune" if case.has_recipe else ""
    trials = run.trials(path)
    metrics = system.metrics([row["id"] for row in trials])
    search = _search(case)
    results = search.cv_results_
    by_params = {_key(row["params"]): metrics[row["id"]] for row in trials}
    sign = 1.0 if case.goal == "maximize" else -1.0
    difference = 0.0
    for at, params in enumerate(results["params"]):
        found = by_params.get(_key(params), {})
        for name, value in (
            (case.metric, sign * results["mean_test_score"][at]),
            (f"{case.metric}_std", results["std_test_score"][at]),
        ):
            gap = float(abs(found.get(name, math.nan) - value))
            difference = gap if math.isnan(gap) else max(difference, gap)
    best = run.tree[path]["outputs"]["best_params"]["value"]
    return Comparison(case, len(results["params"]), difference, best == search.best_params_)


def run(*, is_quick: bool = False) -> dict[str, Any]:
    """Compare all cases; prints a table and returns all figures."""
    del is_quick  # it takes seconds as it is
    with (
        tempfile.TemporaryDirectory(prefix="mlq-bench-") as folder,
        running_system(Path(folder)) as system,
    ):
        found = [compare(case, system) for case in make_cases()]
    print("\nThe same grids by mlq and by GridSearchCV, on the same folds.")
    print_table(
        ["", "points", "largest difference", "same best"],
        [
            [
                one.case.name,
                str(one.points),
                f"{one.difference:.1e}",
                "yes" if one.same_best else "NO",
            ]
            for one in found
        ],
    )
    return {
        "figures": {
            one.case.name: {"difference": one.difference, "same_best": one.same_best}
            for one in found
        },
        "checks": [
            *(Check(f"{one.case.name}: scores", one.difference, "<=", TOLERANCE) for one in found),
            *(Check(f"{one.case.name}: best", float(one.same_best), ">=", 1) for one in found),
        ],
    }


def _plain(bunch: Any) -> pd.DataFrame:
    frame = pd.DataFrame(bunch.data, columns=[f"f{at}" for at in range(bunch.data.shape[1])])
    target = bunch.target
    return frame.assign(target=target if target.dtype.kind == "f" else target.astype(np.int64))


def _as_it_is(rows: pd.DataFrame) -> pd.DataFrame:
    return rows


def _roughen(rows: pd.DataFrame) -> pd.DataFrame:
    """Gaps in a tenth of the numbers, and a column in classes."""
    rough = rows.copy()
    rough["f0"] = pd.cut(rows["f0"], 4, labels=["low", "some", "much", "most"]).astype(str)
    generator = np.random.default_rng(_SEED)
    for name in ("f1", "f2", "f3"):
        rough.loc[generator.random(len(rough)) < 0.1, name] = np.nan
    return rough


def _document(case: Case, system: System) -> dict[str, Any]:
    buffer = io.BytesIO()
    case.rows.to_parquet(buffer)
    data = system.upload("bench-equal", buffer.getvalue(), file_name="data.parquet")
    given = {"data": data, "target": "target"}
    if case.has_recipe:
        given = {name: f"${{{{parent.jobs.prep.outputs.{name}}}}}" for name in ("train", "recipe")}
        given["data"] = given.pop("train")
    sweep = {
        "type": "sweep",
        "trial": "mlq:train",
        "inputs": {
            **given,
            "estimator": f"{case.estimator.__module__}.{case.estimator.__name__}",
            "params": dict(case.fixed),
            "cv": _FOLDS,
            "seed": _SEED,
        },
        "search_space": {
            name: {"type": "choice", "values": values} for name, values in case.grid.items()
        },
        "sampling_algorithm": "grid",
        "objective": {"primary_metric": case.metric, "goal": case.goal},
        "limits": {"max_concurrent_trials": 2},
    }
    if not case.has_recipe:
        return sweep
    prepare = {
        "component": "mlq:preprocess",
        "inputs": {"data": data, "target": "target", "test_size": 0, "drop_duplicates": False},
    }
    return {"type": "pipeline", "jobs": {"prep": prepare, "tune": sweep}}


def _search(case: Case) -> GridSearchCV:
    """The same in scikit-learn's own words."""
    features, target = case.rows.drop(columns="target"), case.rows["target"].to_numpy()
    shuffle = {"shuffle": True, "random_state": _SEED}
    model, grid = case.estimator(**case.fixed), dict(case.grid)
    folds = (StratifiedKFold if is_classifier(model) else KFold)(_FOLDS, **shuffle)
    if case.has_recipe:
        names = [name for name in features.columns if name != "f0"]
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        columns = ColumnTransformer([("number", numbers, names), ("category", encoder, ["f0"])])
        model = make_pipeline(columns, model)
        step = case.estimator.__name__.lower()
        grid = {f"{step}__{name}": values for name, values in grid.items()}
    else:
        features = features.to_numpy()
    search = GridSearchCV(model, grid, scoring=case.scorer, cv=folds, refit=False)
    search.fit(features, target)
    search.best_params_ = _plain_names(search.best_params_)
    search.cv_results_["params"] = [_plain_names(one) for one in search.cv_results_["params"]]
    return search


def _plain_names(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name.rpartition("__")[2]: value for name, value in params.items()}


def _key(params: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    return frozenset(params.items())
