"""mlq:train: fit recipe and estimator together, cross-validated, and write the model package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone, is_classifier

from mlq.errors import StepError
from mlq.models.package import write_package
from mlq_workers.components import arguments
from mlq_workers.components.base import Metric, Result, Step
from mlq_workers.components.estimators import distribution_of, make_estimator
from mlq_workers.components.kinds import as_target
from mlq_workers.components.recipe import Recipe, build_pipeline, plain_recipe, read_recipe
from mlq_workers.components.scoring import calm, choose_metrics, measure
from mlq_workers.components.splits import make_folds, read_folds
from mlq_workers.components.tables import read_table, require_column, take

_OWN = frozenset({"data", "recipe", "target", "estimator", "params", "cv", "scoring", "seed"})


def run(step: Step) -> Result:
    """Cross-validate, fit on all rows, write the package.

    Reports each metric's mean under its name, its spread over folds (population standard
    deviation) as NAME_std, and each fold's value as NAME_fold, step 1 … n.
    """
    inputs = step.inputs
    seed = int(inputs["seed"])
    params = read_params(inputs)
    estimator = make_estimator(inputs["estimator"], params, seed=seed)
    task = "classification" if is_classifier(estimator) else "regression"
    rows, recipe = _read_data(step)
    target = _read_target(rows, recipe.target, task)
    classes = np.unique(target).tolist() if task == "classification" else []
    names = choose_metrics(
        arguments.read_names(inputs, "scoring"), estimator, task=task, classes=classes
    )
    folds = read_folds(arguments.read_literal(inputs["cv"]), is_classifier=task == "classification")
    pipeline = build_pipeline(recipe, estimator)
    name = type(estimator).__name__
    metrics: dict[str, float] = {}
    model = step.scratch / "model"
    required = distribution_of(inputs["estimator"])
    with calm(step.log):
        if folds is None:
            step.log("cv is 0: the model is fitted without being measured.")
        else:
            step.log(f"{name} on {len(rows)} rows, {folds.n_splits} {folds.kind} folds.")
            parts = make_folds(folds, rows, target, seed=seed)
            metrics = _cross_validate(step, pipeline, rows, target, parts, names, classes)
        fitted = _fit(clone(pipeline), rows, target, where="")
        write_package(
            model,
            fitted,
            columns=recipe.columns,
            rows=rows,
            task=task,
            target=recipe.target,
            metadata={
                "estimator": inputs["estimator"],
                "params": params,
                "seed": seed,
                "rows": len(rows),
                "metrics": metrics,
            },
            requirements=[required] if required else [],
        )
    return Result({"model": model})


def read_params(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Estimator parameters: `params`, then every input that is not train's own.

    `params.NAME` names a parameter that collides with an input of train, or any other. Texts that
    read as JSON become their values, as job files for Azure write all literals as text.
    """
    params = arguments.read_mapping(inputs, "params")
    for name, value in inputs.items():
        if name not in _OWN:
            params[name.removeprefix("params.")] = value
    return {name: arguments.read_literal(value) for name, value in params.items()}


def _read_data(step: Step) -> tuple[pd.DataFrame, Recipe]:
    inputs = step.inputs
    rows = read_table(inputs["data"])
    if "recipe" in inputs:
        recipe = read_recipe(inputs["recipe"])
        named = inputs.get("target")
        if named is not None and named != recipe.target:
            raise StepError(
                f"The input 'target' says '{named}', the recipe '{recipe.target}'.",
                code="invalid_input",
                hint="Leave 'target' out: the recipe names it.",
            )
    elif inputs.get("target") is None:
        raise StepError(
            "mlq:train needs a recipe or a target.",
            code="missing_input",
            hint="Bind 'recipe' to the output of mlq:preprocess, or name the 'target' column.",
        )
    else:
        require_column(inputs["target"], rows.columns, what="target column")
        recipe = plain_recipe(rows, inputs["target"])
    require_column(recipe.target, rows.columns, what="target column")
    for column in recipe.columns:
        if column["required"]:
            require_column(column["name"], rows.columns, what="recipe's column")
    gaps = rows[recipe.target].isna().to_numpy()
    if gaps.any():
        step.log(f"Left out {int(gaps.sum())} rows without a target.")
        rows = take(rows, ~gaps)
    return rows, recipe


def _read_target(rows: pd.DataFrame, name: str, task: str) -> np.ndarray:
    """The target, shape (rows,). Raises StepError where it does not go with the task."""
    if rows.empty:
        raise StepError(f"The target column '{name}' is empty.", code="invalid_target")
    target = as_target(rows[name])
    if task == "regression":
        if target.dtype.kind not in "iuf":
            raise StepError(
                f"The target column '{name}' holds {_example(target)}, and a regressor predicts "
                "numbers.",
                code="invalid_target",
                hint="Use a classifier, such as sklearn.linear_model.LogisticRegression.",
            )
        if not np.isfinite(target).all():
            raise StepError(f"The target column '{name}' holds infinity.", code="invalid_target")
        return target.astype(np.float64)
    if target.dtype.kind == "f":
        raise StepError(
            f"The target column '{name}' holds fractions ({_example(target)}), and a classifier "
            "predicts classes.",
            code="invalid_target",
            hint="Use a regressor, such as sklearn.linear_model.Ridge.",
        )
    if len(np.unique(target)) < 2:
        raise StepError(
            f"The target column '{name}' has one class only, {target[0].item()!r}.",
            code="one_class_target",
            hint="There is nothing to learn; give data with at least two classes.",
        )
    return target


def _example(target: np.ndarray) -> str:
    return f"values such as {target[0].item()!r}"


def _cross_validate(
    step: Step,
    pipeline: Any,
    rows: pd.DataFrame,
    target: np.ndarray,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    names: Sequence[str],
    classes: Sequence[Any],
) -> dict[str, float]:
    """Report every fold as it ends, then mean and spread; return the means."""
    values: dict[str, list[float]] = {name: [] for name in names}
    for number, (train, test) in enumerate(parts, start=1):
        model = _fit(clone(pipeline), rows.iloc[train], target[train], where=f" in fold {number}")
        measured = measure(names, model, rows.iloc[test], target[test], classes=classes)
        for name, value in measured.items():
            if np.isnan(value):
                step.log(f"{name} is undefined in fold {number} and left out of its mean.")
            else:
                values[name].append(value)
                step.log_metric(Metric(f"{name}_fold", value, number))
    means = {name: float(np.mean(found)) for name, found in values.items() if found}
    for name, mean in means.items():
        spread = float(np.std(values[name]))
        step.log_metric(Metric(name, mean))
        step.log_metric(Metric(f"{name}_std", spread))
        step.log(f"{name} {mean:.4f} ± {spread:.4f}")
    return means


def _fit(pipeline: Any, rows: pd.DataFrame, target: np.ndarray, *, where: str) -> Any:
    try:
        return pipeline.fit(rows, target)
    except (ValueError, TypeError, KeyError) as error:
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        hint = ""
        if "NaN" in text:
            hint = "Add an mlq:preprocess step: its recipe fills in missing values."
        raise StepError(
            f"The estimator could not be fitted{where}: {text.rstrip('.')}.",
            code="fit_failed",
            hint=hint,
        ) from error
