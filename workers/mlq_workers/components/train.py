"""mlq:train: fit recipe and estimator together, cross-validated, and write the model package."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from mlq_workers.components.base import Metric, Result, Step
from mlq_workers.components.shelf import Shelf
from mlq_workers.components.training import OWN, Training

#: What trials of this process share.
_shelf = Shelf()


def run(step: Step) -> Result:
    """Cross-validate, fit on all rows, write the package.

    Reports each metric's mean under its name, its spread over folds (population standard
    deviation) as NAME_std, and each fold's value as NAME_fold, step 1 … n; with
    `report_per: iteration` also the first metric's way there, step by iteration.
    """
    shelf = Shelf()  # of this step alone: nothing stays in memory
    training = Training(
        step.inputs,
        step.log,
        primary_metric=None,
        shelf=shelf,
        # fold by fold, each is needed only once
        keep_bytes=shelf.max_bytes if step.inputs.get("report_per") == "iteration" else 0,
    )
    setup = training.set_up({})
    folds = training.folds(setup)
    if folds is None:
        step.log("cv is 0: the model is fitted without being measured.")
    else:
        name = type(setup.maker.prototype).__name__
        rows = len(training.data(setup).rows)
        step.log(f"{name} on {rows} rows, {len(folds)} {folds.kind} folds.")

    def report(name: str, value: float, at: int) -> None:
        if setup.is_by_iteration or name.endswith("_fold"):
            step.log_metric(Metric(name, value, at))

    metrics = training.run({}, report)
    for name, value in metrics.items():
        if math.isfinite(value):
            step.log_metric(Metric(name, value))
            if not name.endswith("_std"):
                step.log(f"{name} {value:.4f} ± {metrics[f'{name}_std']:.4f}")
    return Result(training.refit({}, step.scratch, metrics=metrics))


def prepare(
    inputs: Mapping[str, Any],
    log: Callable[[str], None],
    *,
    primary_metric: str | None,
    swept: Collection[str],
    only_refit: bool,
) -> Training:
    """Load what trials share, unless that differs from trial to trial."""
    training = Training(
        inputs,
        log,
        primary_metric=primary_metric,
        shelf=_shelf,
        keep_bytes=_shelf.max_bytes,
    )
    if not only_refit and OWN.isdisjoint(swept):
        for _ in training.folds(training.set_up({})) or ():
            pass  # made and kept: the first trial takes no longer than the others
    return training
