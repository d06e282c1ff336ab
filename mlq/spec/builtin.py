"""The built-in components: names, ports and rules, as the API and the compiler know them.

The code behind them is `mlq_workers.components`; here is only what can be checked at submit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlq.errors import MlqError
from mlq.models.metrics import metric_name, parse_threshold
from mlq.spec.rollout import read_policy

#: Types of an input or output whose value is bytes in the artifact store.
ARTIFACT_TYPES = frozenset(
    {"uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"}
)
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
    job_type: of a step of it: `command`, or `approval`, which no worker executes.
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
    job_type: str = "command"


def _check_thresholds(value: Any) -> None:
    for text in value if isinstance(value, list) else [value]:
        parse_threshold(str(text))


def _check_metrics(value: Any) -> None:
    for name in value if isinstance(value, list) else [value]:
        metric_name(str(name))


#: Names of models and endpoints; of aliases, which must not read like a version.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ALIAS = re.compile(r"(?!(?i:latest|v?\d+)$)[A-Za-z][A-Za-z0-9._-]{0,63}")


def _check_name(value: Any) -> None:
    if not NAME.fullmatch(str(value)):
        raise MlqError(
            f"{str(value)!r:.80} is no name.",
            code="invalid",
            hint="Use letters, digits, '.', '_' and '-', a letter or digit first.",
        )


def _check_alias(value: Any) -> None:
    if not _ALIAS.fullmatch(str(value)):
        raise MlqError(
            f"{str(value)!r:.80} is no alias.",
            code="invalid",
            hint="Use letters, digits, '.', '_' and '-', a letter first; 'latest' and version "
            "numbers are taken.",
        )


def _check_policy(value: Any) -> None:
    if isinstance(value, str):  # Azure's schema knows scalars only
        try:
            value = json.loads(value)
        except ValueError:
            raise MlqError(f"{value!r:.60} is no JSON.", code="invalid") from None
    read_policy(value)


def _file(description: str, *, optional: bool = False) -> Port:
    return Port("uri_file", optional=optional, description=description)


def _text(
    description: str,
    *,
    default: str | None = None,
    optional: bool = True,
    check: Callable[[Any], None] | None = None,
) -> Port:
    return Port("string", optional=optional, default=default, description=description, check=check)


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
            check=_check_metrics,
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
        "metric": Port(
            "string",
            optional=True,
            description="Metric of the comparison; the first threshold's when left out.",
            check=_check_metrics,
        ),
        "min_improvement": Port(
            "number",
            optional=True,
            description="Least gain over the champion on `metric`; left out, nothing is compared.",
        ),
        "scoring": Port(
            "object", optional=True, description="Further scorer names.", check=_check_metrics
        ),
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
        "name": _text("Name of the registered model.", optional=False, check=_check_name),
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
        "endpoint": _text(
            "Name of the endpoint; made when it does not exist.", optional=False, check=_check_name
        ),
        "alias": _text(
            "Alias that moves to the version; also the deployment's name.",
            default="staging",
            check=_check_alias,
        ),
        "policy": Port(
            "object",
            optional=True,
            description="Stages to go through before the alias moves: mirror, canary, abort.",
            check=_check_policy,
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

TEST = Component(
    "mlq:test",
    description="Ask a deployment about held-out rows: the model's own answers, fast enough.",
    is_deterministic=False,
    inputs={
        "endpoint": _text("Name of the endpoint; bind it to mlq:deploy's output.", optional=False),
        "deployment": _text("Which of its deployments is asked.", default="staging"),
        "version": _text("models:/NAME/VERSION, which has to answer.", optional=False),
        "model": Port("mlflow_model", description="That version's package: what it has to say."),
        "data": _file("Rows to ask about (CSV, Parquet, Arrow)."),
        "rows": Port(
            "integer",
            optional=True,
            default=200,
            minimum=1,
            maximum=1000,
            description="How many rows are asked about; the first hundred one by one.",
        ),
        "p95_ms": Port(
            "number",
            optional=True,
            minimum=0.0,
            description="Most milliseconds that 95 of 100 requests of one row may take.",
        ),
    },
    outputs={
        "report": _file("What was asked, and how it went, JSON."),
        "version": Port("string", description="The version, handed on when it passed."),
    },
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

APPROVE = Component(
    "mlq:approve",
    description="Wait for a person to decide, with the numbers at hand; holds no worker meanwhile.",
    is_deterministic=False,
    job_type="approval",
    open_inputs=True,
    open_artifacts=True,
    inputs={
        "message": _text("What is to be decided, in a sentence."),
        "model": Port("mlflow_model", optional=True, description="Handed on when approved."),
        "version": _text("models:/NAME/VERSION, handed on when approved."),
        "report": _file("Report of mlq:evaluate, handed on when approved.", optional=True),
        "role": Port(
            "string",
            optional=True,
            default="submitter",
            enum=("submitter", "admin"),
            description="The least role that may decide.",
        ),
        "approvers": Port(
            "object", optional=True, description="Names of tokens that may decide (list); else any."
        ),
        "four_eyes": Port(
            "boolean",
            optional=True,
            default=False,
            description="Whoever submitted the job may not approve it.",
        ),
    },
    outputs={
        "model": Port("mlflow_model"),
        "version": Port("string"),
        "report": _file("The report that was given."),
        "decision": Port("object", description="Who approved, when, and the comment."),
    },
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
    for component in (
        PREPROCESS,
        TRAIN,
        EVALUATE,
        REGISTER,
        DEPLOY,
        TEST,
        SCORE,
        PASS,
        CALL,
        APPROVE,
    )
}
