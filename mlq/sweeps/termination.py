"""Early termination: which running trials are not worth going on with.

The policies and formulas are Azure ML's, and hyperband is ASHA. An interval is one report of the
primary metric: at its n-th report a trial is compared with what all trials had come to at their
n-th. What is compared is kept up to date with each report, so that a decision among a thousand
trials takes microseconds.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from mlq.sweeps.objective import Objective
from mlq.sweeps.samplers import Past


class Termination(Protocol):
    """Decides about running trials."""

    def sync(self, past: Iterable[Past]) -> None:
        """Take note of trials that are new or have changed since the last call."""

    def should_stop(self, trial: Past) -> bool:
        """Whether to stop `trial`, given its intermediate values; asked after each of them."""


def make_termination(spec: Mapping[str, Any] | None, objective: Objective) -> Termination | None:
    """The policy of a sweep; None where trials run to their end.

    spec: {"type", "evaluation_interval", "delay_evaluation", …} with all defaults filled in.
    """
    if spec is None:
        return None
    kind = spec["type"]
    if kind == "hyperband":
        return Hyperband(
            objective,
            min_resource=spec["min_resource"],
            reduction_factor=spec["reduction_factor"],
            delay_evaluation=spec["delay_evaluation"],
        )
    when = {name: spec[name] for name in ("evaluation_interval", "delay_evaluation")}
    if kind == "bandit":
        return Bandit(
            objective,
            slack_factor=spec.get("slack_factor"),
            slack_amount=spec.get("slack_amount"),
            **when,
        )
    if kind == "median_stopping":
        return MedianStopping(objective, **when)
    if kind == "truncation_selection":
        percentage = spec["truncation_percentage"]
        return TruncationSelection(objective, truncation_percentage=percentage, **when)
    raise ValueError(f"There is no early termination policy '{kind}'.")


class _Policy(ABC):
    """What the policies share: at each interval the figures of all trials, smallest first.

    Figures carry the sign of the goal: larger is better. A trial that reports no number at an
    interval is worse there than every other.
    """

    def __init__(
        self, objective: Objective, *, evaluation_interval: int, delay_evaluation: int
    ) -> None:
        self.sign = 1.0 if objective.goal == "maximize" else -1.0
        self._every = max(1, evaluation_interval)
        self._delay = delay_evaluation
        #: trial -> its figures, at the intervals that count
        self._noted: dict[int, dict[int, float]] = {}
        self._figures: defaultdict[int, list[float]] = defaultdict(list)

    @abstractmethod
    def figures_of(self, values: list[float]) -> list[float]:
        """What a trial is compared by at each interval. values: its reports in order of steps."""

    @abstractmethod
    def is_hopeless(self, values: list[float], figures: list[float]) -> bool:
        """Whether to stop a trial that has come to these. figures: of all, at this interval."""

    def applies_at(self, interval: int) -> bool:
        """Whether trials are judged at their report number `interval`, counted from 1."""
        return interval % self._every == 0 and interval >= self._delay

    def sync(self, past: Iterable[Past]) -> None:
        """Take note of trials that are new or have changed. Failed ones count as far as they came.

        A trial that is back at its start, because its runner was lost, counts as it is now.
        """
        for trial in past:
            self._note(trial)

    def should_stop(self, trial: Past) -> bool:
        """Whether to stop `trial`, after its latest report."""
        interval = len(trial.steps)
        if interval == 0 or not self.applies_at(interval):
            return False
        values = self._note(trial)
        return self.is_hopeless(values, self._figures[interval])

    def _note(self, trial: Past) -> list[float]:
        values = [self.sign * trial.steps[step] for step in sorted(trial.steps)]
        values = [value if math.isfinite(value) else -math.inf for value in values]
        figures = {
            interval: figure
            for interval, figure in enumerate(self.figures_of(values), start=1)
            if self.applies_at(interval)
        }
        noted = self._noted.get(trial.number, {})
        for interval, figure in noted.items() - figures.items():
            at = self._figures[interval]
            del at[bisect_left(at, figure)]
        for interval, figure in figures.items() - noted.items():
            insort(self._figures[interval], figure)
        self._noted[trial.number] = figures
        return values


class Bandit(_Policy):
    """Stops a trial whose best value so far is out of reach of the best trial's.

    slack_factor: out of reach of 0.8 with 0.2 is, to maximize, what is below 0.8 / 1.2, and to
    minimize what is above 0.8 * 1.2. Below 0, where Azure's formula would stop the best trial too,
    the two change places. slack_amount: the distance allowed, in the metric's unit.
    """

    def __init__(
        self,
        objective: Objective,
        *,
        slack_factor: float | None = None,
        slack_amount: float | None = None,
        evaluation_interval: int = 1,
        delay_evaluation: int = 0,
    ) -> None:
        super().__init__(
            objective, evaluation_interval=evaluation_interval, delay_evaluation=delay_evaluation
        )
        self._factor = slack_factor
        self._amount = slack_amount or 0.0

    def figures_of(self, values: list[float]) -> list[float]:
        return _best_so_far(values)

    def is_hopeless(self, values: list[float], figures: list[float]) -> bool:
        best = figures[-1]
        if self._factor:
            # signed, so that a metric to minimize is usually below 0 here
            limit = best / (1 + self._factor) if best > 0 else best * (1 + self._factor)
        else:
            limit = best - self._amount
        return max(values) < limit


class MedianStopping(_Policy):
    """Stops a trial whose best value so far is worse than the median of the running averages.

    The averages are those of all trials over their reports up to this interval.
    """

    def figures_of(self, values: list[float]) -> list[float]:
        averages, total = [], 0.0
        for count, value in enumerate(values, start=1):
            total += value
            averages.append(total / count)
        return averages

    def is_hopeless(self, values: list[float], figures: list[float]) -> bool:
        middle = len(figures) // 2
        median = figures[middle]
        if len(figures) % 2 == 0:
            median = (figures[middle - 1] + median) / 2
        return max(values) < median


class TruncationSelection(_Policy):
    """Stops a trial whose best value so far is in the lowest per cent of all trials'.

    As many as the percentage makes, rounded down; of equals none is stopped before all have to be.
    """

    def __init__(
        self,
        objective: Objective,
        *,
        truncation_percentage: float,
        evaluation_interval: int = 1,
        delay_evaluation: int = 0,
    ) -> None:
        super().__init__(
            objective, evaluation_interval=evaluation_interval, delay_evaluation=delay_evaluation
        )
        self._percentage = truncation_percentage

    def figures_of(self, values: list[float]) -> list[float]:
        return _best_so_far(values)

    def is_hopeless(self, values: list[float], figures: list[float]) -> bool:
        lowest = math.floor(len(figures) * self._percentage / 100)
        return bisect_right(figures, max(values)) <= lowest


class Hyperband(_Policy):
    """Asynchronous successive halving (ASHA), the bracket of Hyperband that stops earliest.

    A trial is judged at reports min_resource * reduction_factor**k, and goes on when it is in the
    top 1 / reduction_factor of the trials that have come there, or the best of fewer.
    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020,
    in the variant that stops trials instead of pausing them.
    """

    def __init__(
        self,
        objective: Objective,
        *,
        min_resource: int = 1,
        reduction_factor: int = 3,
        delay_evaluation: int = 0,
    ) -> None:
        super().__init__(objective, evaluation_interval=1, delay_evaluation=delay_evaluation)
        self._first = min_resource
        self._factor = reduction_factor

    def applies_at(self, interval: int) -> bool:
        rung = self._first
        while rung < interval:
            rung *= self._factor
        return rung == interval and interval >= self._delay

    def figures_of(self, values: list[float]) -> list[float]:
        return values

    def is_hopeless(self, values: list[float], figures: list[float]) -> bool:
        going_on = max(1, len(figures) // self._factor)
        return values[-1] < figures[-going_on]


def _best_so_far(values: list[float]) -> list[float]:
    best, figures = -math.inf, []
    for value in values:
        best = max(best, value)
        figures.append(best)
    return figures
