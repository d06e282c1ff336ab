"""The built-in components: names, ports and rules, as the API and the compiler know them.

The code behind them is `mlq_workers.components`; here is only what can be checked at submit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlq.models.metrics import parse_threshold

#: Types of an input or output whose value is bytes in the artifact store.
ARTIFACT_TYPES = frozenset({"uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model"})
#: Types of an input whose value is written in the job itself. `object` takes mappings and lists.
LITERAL_TYPES = frozenset({"string", "number", "integer", "boolean", "object"})


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a component.

    type: one of ARTIFACT_TYPES or LITERAL_TYPES. A `string` output is a literal a step computes.
    check: raises MlqError for a literal that the component would refuse.
    """

    type: str
    optional: bool = False
    default: Any = None
    enum: tuple[Any, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""
    check: Callable[[Any], None] | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """A reusable step definition.

    open_inputs: True when further inputs are accepted (`mlq:train` takes estimator parameters);
    open_artifacts: True when those may be files and folders too (`mlq:pass` joins anything).
    is_deterministic: False when a step of it must run every time (it has effects).
    """

    name: str
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    open_inputs: bool = False
    open_artifacts: bool = False
    is_deterministic: bool = True
    version: str = "1"
    description: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


def _check_thresholds(value: Any) -> None:
    for text in value if isinstance(value, list) else [value]:
        parse_threshold(str(text))


def _file(description: str, *, optional: bool = False) -> Port:
    return Port("uri_file", optional=optional, description=description)


def _text(description: str, *, default: str | None = None, optional: bool = True) -> Port:
    return Port("string", optional=optional, default=default, description=description)


_SEED = Port("integer", optional=True, default=0, minimum=0, description="Seed of all randomness.")

PREPROCESS = Component(
    "mlq:preprocess",
    description="Clean a table without fitting anything, split it, and write the recipe to fit.",
    inputs={
        "data": _file("CSV, Parquet or Arrow/Feather table."),
        "target": _text("Name of the target column.", optional=False),
        "test_size": Port(
            "number",
            optional=True,
            default=0.2,
            minimum=0.0,
            maximum=0.9,
            description="Share of rows (below 1) that go to the test set.",
        ),
        "split": Port(
            "string",
            optional=True,
            default="auto",
            enum=("auto", "random", "stratified", "grouped", "time"),
            description="How rows are split; auto is stratified for classes, else random.",
        ),
        "group_column": _text("Column whose equal values stay on one side (grouped split)."),
        "time_column": _text("Column that orders rows; the latest become the test set."),
        "drop_columns": Port("object", optional=True, description="Columns to leave out (list)."),
        "types": Port(
            "object",
            optional=True,
            description="Column -> number, category, boolean, datetime or text, if guessing errs.",
        ),
        "drop_duplicates": Port("boolean", optional=True, default=True),
        "clip_quantiles": Port(
            "object",
            optional=True,
            description="[low, high] quantiles that the recipe clips numeric columns to.",
        ),
        "impute_numeric": Port(
            "string", optional=True, default="median", enum=("median", "mean", "zero")
        ),
        "scale": Port(
            "string",
            optional=True,
            default="standard",
            enum=("standard", "minmax", "robust", "none"),
        ),
        "encode": Port("string", optional=True, default="onehot", enum=("onehot", "ordinal")),
        "max_categories": Port("integer", optional=True, default=50, minimum=2),
        "seed": _SEED,
    },
    outputs={
        "train": _file("Training rows, Parquet."),
        "test": _file("Test rows, Parquet."),
        "recipe": _file("What must be fitted with the model (clip, impute, scale, encode), JSON."),
        "profile": _file("Profile of the data: columns, types, missing, quantiles, counts; JSON."),
    },
)

TRAIN = Component(
    "mlq:train",
    description="Fit recipe and estimator together, cross-validated; write an MLflow-format model.",
    open_inputs=True,
    inputs={
        "data": _file("Training rows (Parquet, CSV or Arrow)."),
        "recipe": _file("Recipe written by mlq:preprocess.", optional=True),
        "target": _text("Target column, for data that needs no recipe."),
        "estimator": _text("Import path of a scikit-learn-compatible estimator.", optional=False),
        "params": Port("object", optional=True, description="Estimator parameters (mapping)."),
        "cv": Port(
            "object",
            optional=True,
            default=5,
            description="Number of folds, or {kind, n_splits, column, shuffle}; 0 skips it.",
        ),
        "scoring": Port(
            "object",
            optional=True,
            description="scikit-learn scorer name or list of names; a default per task.",
        ),
        "report_per": Port(
            "string",
            optional=True,
            default="fold",
            enum=("fold", "iteration"),
            description="How often a trial reports the metric on its way.",
        ),
        "seed": _SEED,
    },
    outputs={"model": Port("mlflow_model", description="MLflow-format model, skops-serialized.")},
)

EVALUATE = Component(
    "mlq:evaluate",
    description="Metrics and plots on given rows, comparison with a champion, and the gate.",
    inputs={
        "model": Port("mlflow_model"),
        "data": _file("Rows to evaluate on, with the target column."),
        "target": _text("Target column; the model's own when left out."),
        "champion": Port(
            "mlflow_model",
            optional=True,
            description="Model to beat, e.g. models:/churn@production.",
        ),
        "threshold": Port(
            "object",
            optional=True,
            description='"roc_auc >= 0.9", or a list of such.',
            check=_check_thresholds,
        ),
        "metric": _text("Metric of the comparison; the first threshold's when left out."),
        "min_improvement": Port(
            "number",
            optional=True,
            description="Least gain over the champion on `metric`; left out, nothing is compared.",
        ),
        "scoring": Port("object", optional=True, description="Further scorer names."),
        "bootstrap_samples": Port(
            "integer", optional=True, default=1000, minimum=0, maximum=100000
        ),
        "seed": _SEED,
    },
    outputs={
        "report": _file("Everything that was measured and decided, JSON."),
        "plots": Port("uri_folder", description="PNG plots."),
    },
)

REGISTER = Component(
    "mlq:register",
    description="Register a model as a new version; the version commits with the job's outcome.",
    is_deterministic=False,
    inputs={
        "model": Port("mlflow_model"),
        "name": _text("Name of the registered model.", optional=False),
        "report": _file("Report of mlq:evaluate; its metrics become the version's.", optional=True),
        "description": _text("Shown on the version."),
    },
    outputs={"version": Port("string", description="models:/NAME/VERSION")},
)

DEPLOY = Component(
    "mlq:deploy",
    description="Move an alias to a version; see to it that the endpoint has a deployment on it.",
    is_deterministic=False,
    inputs={
        "model": _text("models:/NAME/VERSION", optional=False),
        "endpoint": _text("Name of the endpoint; made when it does not exist.", optional=False),
        "alias": _text(
            "Alias that moves to the version; also the deployment's name.", default="staging"
        ),
    },
    outputs={"endpoint": Port("string", description="Name of the endpoint.")},
)

SCORE = Component(
    "mlq:score",
    description="Batch predictions.",
    inputs={
        "model": Port("mlflow_model"),
        "data": _file("Rows to score (CSV, Parquet, Arrow)."),
        "probabilities": Port("boolean", optional=True, default=False),
        "keep_columns": Port("boolean", optional=True, default=True),
    },
    outputs={"predictions": _file("The rows with a `prediction` column, Parquet.")},
)

PASS = Component(
    "mlq:pass",
    description="Hand `value` on: joins branches, marks a point; also what `make bench` runs.",
    is_deterministic=False,
    open_inputs=True,
    open_artifacts=True,
    inputs={"value": Port("object", optional=True)},
    outputs={"value": Port("object")},
)

CALL = Component(
    "mlq:call",
    description="Call a Python function; the numbers that it returns are the metrics.",
    is_deterministic=False,  # nobody knows what a function reads
    open_inputs=True,
    open_artifacts=True,
    inputs={
        "function": _text("Import path, package.module:function.", optional=False),
        "metric": _text("Name of a number that is returned by itself."),
    },
    outputs={"result": Port("object", description="The metrics: name -> number.")},
)

BUILTIN: Mapping[str, Component] = {
    component.name: component
    for component in (PREPROCESS, TRAIN, EVALUATE, REGISTER, DEPLOY, SCORE, PASS, CALL)
}
