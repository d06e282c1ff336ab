"""Cross-validation of one estimator on folds whose matrices are ready."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlq.errors import StepError
from mlq_workers.components.growth import Growth, stages
from mlq_workers.components.scorecard import Scorecard
from mlq_workers.components.training_data import Fold, FoldSet
from mlq_workers.components.trials import Metrics, Pruned, Report

#: Values of a metric, one per fold; NaN where it is undefined.
Values = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """How the folds are gone through.

    make: gives an unfitted estimator. names: metrics, of which `primary` is reported on the way.
    report, should_stop: as in `Trials.run`. note: takes a line for the user.
    """

    make: Callable[[], Any]
    folds: FoldSet
    names: Sequence[str]
    primary: str
    report: Report | None
    should_stop: Callable[[], bool] | None
    note: Callable[[str], None]

    def by_fold(self) -> Values:
        """Fit and measure fold by fold. Reports the mean over the folds so far, step 1 … n.

        Raises Pruned when told to stop before the last fold.
        """
        values: Values = {name: [] for name in self.names}
        for fold in self.folds:
            model = self.make()
            with explain(fold):
                model.fit(fold.train, fold.target)
            self._measure(fold, model, values)
            self._say(mean(values[self.primary]), fold.number)
            self._look(is_last=fold.number == len(self.folds))
        return values

    def by_iteration(self, growth: Growth) -> Values:
        """Train the estimators of all folds side by side. Reports the mean over the folds after
        so many iterations, which is the step.

        Raises Pruned when told to stop before the last iteration.
        """
        models = [self.make() for _ in range(len(self.folds))]
        done = 0
        for count in stages(growth.total):
            values: Values = {self.primary: []}
            is_last = count == growth.total
            if is_last:
                values = {name: [] for name in self.names}
            for fold, model in zip(self.folds, models, strict=True):
                with explain(fold):
                    growth.grow(model, fold.train, fold.target, done=done, count=count)
                    if not is_last:
                        found = Scorecard([self.primary], fold.truth).measure(model, fold.test)
                        values[self.primary].append(found[self.primary])
                if is_last:
                    self._measure(fold, model, values)
            self._say(mean(values[self.primary]), count)
            self._look(is_last=is_last)
            done = count
        return values

    def _measure(self, fold: Fold, model: Any, values: Values) -> None:
        with explain(fold):
            measured = Scorecard(self.names, fold.truth).measure(model, fold.test)
        for name, value in measured.items():
            values[name].append(value)
            if math.isnan(value):
                self.note(f"{name} is undefined in fold {fold.number} and left out of its mean.")
            elif self.report is not None:
                self.report(f"{name}_fold", value, fold.number)

    def _say(self, value: float, step: int) -> None:
        if self.report is not None and not math.isnan(value):
            self.report(self.primary, value, step)

    def _look(self, *, is_last: bool) -> None:
        if self.should_stop is not None and not is_last and self.should_stop():
            raise Pruned


def mean(values: Sequence[float]) -> float:
    """The mean of the values that are defined; NaN where none is."""
    known = [value for value in values if value == value]
    return math.fsum(known) / len(known) if known else math.nan


def summarize(values: Values) -> Metrics:
    """Each metric's mean over the folds, and its population standard deviation as NAME_std."""
    metrics: Metrics = {}
    for name, found in values.items():
        center = mean(found)
        metrics[name] = center
        metrics[f"{name}_std"] = math.sqrt(mean([(value - center) ** 2 for value in found]))
    return metrics


@contextmanager
def explain(fold: Fold | None = None) -> Iterator[None]:
    """What an estimator raises while it is fitted or predicts, as StepError."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError) as error:
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        where = "" if fold is None else f" in fold {fold.number}"
        hint = ""
        if "NaN" in text:
            hint = "Add an mlq:preprocess step: its recipe fills in missing values."
        raise StepError(
            f"The estimator failed{where}: {text.rstrip('.')}.",
            code="fit_failed",
            hint=hint,
        ) from error
