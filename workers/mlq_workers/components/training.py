"""mlq:train made ready: data, recipe and folds are there, and a trial is fit and score."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sklearn.base import is_classifier

from mlq.errors import StepError
from mlq.models import metrics as words
from mlq.models.package import write_package
from mlq_workers.components import arguments
from mlq_workers.components.cross_validation import CrossValidation, explain, summarize
from mlq_workers.components.estimators import Maker, distribution_of
from mlq_workers.components.growth import Growth, Passes, find_growth
from mlq_workers.components.recipe import build_pipeline
from mlq_workers.components.scoring import calm, choose_metrics
from mlq_workers.components.shelf import Shelf
from mlq_workers.components.splits import Folds, read_folds
from mlq_workers.components.training_data import (
    FoldSet,
    TrainingData,
    identify_data,
    read_training_data,
)
from mlq_workers.components.trials import Metrics, Report

#: Inputs that are no parameters of the estimator.
OWN = frozenset(
    {"data", "recipe", "target", "estimator", "params", "cv", "scoring", "seed", "report_per"}
)
#: Set-ups that a Training remembers, a few kilobytes each.
_SETUPS = 64
#: Different notes (warnings of estimators, undefined metrics) that are logged.
_NOTES = 50


@dataclass(slots=True)
class Setup:
    """What mlq:train's own inputs come to. folds: None when nothing is to be measured."""

    inputs: Mapping[str, Any]
    maker: Maker
    task: str
    folds: Folds | None
    wanted: Sequence[str]
    is_by_iteration: bool
    data_key: Hashable
    folds_key: Hashable
    names: dict[tuple[bool, bool], list[str]] = field(default_factory=dict)


class Training:
    """mlq:train with its fixed inputs. See `Trials`.

    primary_metric: measured besides `scoring` and reported as a trial goes on; alone when `scoring`
    is not given. Without it the first of `scoring` is reported, or of the task's defaults.
    shelf: where data and folds are kept. keep_bytes: for the matrices of one FoldSet.
    """

    def __init__(
        self,
        inputs: Mapping[str, Any],
        log: Callable[[str], None],
        *,
        primary_metric: str | None,
        shelf: Shelf,
        keep_bytes: int,
    ) -> None:
        self._inputs = dict(inputs)
        self._log = log
        self._primary = primary_metric
        self._shelf = shelf
        self._keep_bytes = keep_bytes
        self._said: set[str] = set()
        self._setups: dict[str, Setup] = {}

    def set_up(self, own: Mapping[str, Any]) -> Setup:
        """Read mlq:train's own inputs; those in `own` stand over the fixed ones.

        Raises StepError for one that is missing or makes no sense.
        """
        key = json.dumps(own, sort_keys=True, default=str) if own else ""
        found = self._setups.get(key)
        if found is None:
            if len(self._setups) >= _SETUPS:
                self._setups.pop(next(iter(self._setups)))
            found = self._setups[key] = _set_up({**self._inputs, **own}, self._primary)
        return found

    def data(self, setup: Setup) -> TrainingData:
        """The rows that `setup` names."""
        return self._shelf.get(
            setup.data_key,
            lambda: read_training_data(setup.inputs, task=setup.task, log=self._log),
        )

    def folds(self, setup: Setup) -> FoldSet | None:
        """The folds that `setup` names; None when nothing is to be measured."""
        data, folds = self.data(setup), setup.folds
        if folds is None:
            return None
        seed = setup.maker.seed
        return self._shelf.get(
            setup.folds_key,
            lambda: FoldSet(data, folds, seed=seed, keep_bytes=self._keep_bytes),
        )

    def run(
        self,
        params: Mapping[str, Any],
        report: Report | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Metrics:
        """Cross-validate. See `Trials.run`.

        Returns each metric's mean over the folds in which it is defined (NaN where there is none),
        and their population standard deviation as NAME_std. Reports each fold's values as
        NAME_fold, step 1 … n, and the primary metric under its own name as CrossValidation says.
        """
        setup, params = self._sort_out(params)
        folds = self.folds(setup)
        if folds is None:
            return self._measure_nothing()
        make = setup.maker.bind(params)
        estimator = make()
        names = _choose(setup, estimator, self.data(setup).classes)
        validation = CrossValidation(
            make,
            folds,
            names,
            self._primary or names[0],
            report=report,
            should_stop=should_stop,
            note=self._note,
        )
        with calm(self._note):
            growth = None
            if setup.is_by_iteration:
                growth = self._find_growth(estimator, rows=len(folds[0].target))
            values = validation.by_iteration(growth) if growth else validation.by_fold()
        return summarize(values)

    def refit(
        self, params: Mapping[str, Any], scratch: Path, *, metrics: Mapping[str, float]
    ) -> dict[str, Any]:
        """Fit on all rows and write the model package, the metrics' means in its metadata."""
        setup, params = self._sort_out(params)
        data = self.data(setup)
        estimator = setup.maker.bind(params)()
        pipeline = build_pipeline(data.recipe, estimator)
        required = distribution_of(setup.maker.path)
        model = scratch / "model"
        with calm(self._note):
            growth = find_growth(estimator, rows=len(data.rows)) if setup.is_by_iteration else None
            with explain():
                if isinstance(growth, Passes):
                    rows = pipeline[:-1].fit_transform(data.rows, data.target)
                    growth.grow(estimator, rows, data.target, done=0, count=growth.total)
                else:
                    pipeline.fit(data.rows, data.target)
            write_package(
                model,
                pipeline,
                columns=data.recipe.columns,
                rows=data.rows,
                task=data.task,
                target=data.recipe.target,
                metadata={
                    "estimator": setup.maker.path,
                    "params": {**setup.maker.params, **params},
                    "seed": setup.maker.seed,
                    "rows": len(data.rows),
                    "metrics": {
                        name: value
                        for name, value in metrics.items()
                        if not name.endswith("_std") and math.isfinite(value)
                    },
                },
                requirements=[required] if required else [],
            )
        return {"model": model}

    def _sort_out(self, params: Mapping[str, Any]) -> tuple[Setup, dict[str, Any]]:
        """The set-up of a trial, and the parameters of its estimator."""
        if OWN.isdisjoint(params):
            return self.set_up({}), _as_parameters(params)
        own = {name: value for name, value in params.items() if name in OWN}
        return self.set_up(own), _as_parameters(params)

    def _measure_nothing(self) -> Metrics:
        if self._primary is None:
            return {}
        raise StepError(
            f"cv is 0, so '{self._primary}' is not measured.",
            code="invalid_input",
            hint="Give `cv` two folds or more, or leave it out.",
        )

    def _find_growth(self, estimator: Any, *, rows: int) -> Growth | None:
        growth = find_growth(estimator, rows=rows)
        if growth is None:
            name = type(estimator).__name__
            self._note(f"{name} cannot be measured per iteration as it is set; this is per fold.")
        return growth

    def _note(self, line: str) -> None:
        if line not in self._said and len(self._said) < _NOTES:
            self._said.add(line)
            self._log(line)


def _set_up(inputs: Mapping[str, Any], primary_metric: str | None) -> Setup:
    path = inputs.get("estimator")
    if not isinstance(path, str):
        raise StepError("mlq:train needs the input 'estimator'.", code="missing_input")
    seed = int(inputs.get("seed", 0))
    maker = Maker(path, read_params(inputs), seed=seed)
    is_class = is_classifier(maker.prototype)
    task = "classification" if is_class else "regression"
    folds = read_folds(arguments.read_literal(inputs.get("cv", 5)), is_classifier=is_class)
    wanted = arguments.read_names(inputs, "scoring")
    if primary_metric is not None:
        _check_primary(primary_metric)
        wanted = [*wanted, primary_metric]
    data_key = (identify_data(inputs), task)
    return Setup(
        inputs,
        maker,
        task,
        folds,
        words.unique(wanted),
        inputs.get("report_per") == "iteration",
        data_key,
        (data_key, folds, seed),
    )


def _check_primary(name: str) -> None:
    if (plain := words.metric_name(name)) != name:
        raise StepError(
            f"mlq:train reports '{plain}', which is positive, instead of '{name}'.",
            code="unknown_metric",
            hint=f"Write `primary_metric: {plain}` and `goal: minimize`.",
        )


def _choose(setup: Setup, estimator: Any, classes: Sequence[Any]) -> list[str]:
    """What to measure; it depends on the estimator, whose parameters may bring methods."""
    has = hasattr(estimator, "predict_proba"), hasattr(estimator, "decision_function")
    names = setup.names.get(has)
    if names is None:
        names = setup.names[has] = choose_metrics(
            setup.wanted, estimator, task=setup.task, classes=classes
        )
    return names


def read_params(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Estimator parameters: `params`, then every input that is not train's own.

    `params.NAME` names a parameter that collides with an input of train, or any other. Texts that
    read as JSON become their values, as job files for Azure write all literals as text.
    """
    params = arguments.read_mapping(inputs, "params")
    return {
        **{name: arguments.read_literal(value) for name, value in params.items()},
        **_as_parameters(inputs),
    }


def _as_parameters(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix("params."): arguments.read_literal(value)
        for name, value in inputs.items()
        if name not in OWN
    }
