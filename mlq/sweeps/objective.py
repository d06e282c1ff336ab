"""What a sweep is after: a metric, its direction, and the value that is good enough."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Goal = Literal["maximize", "minimize"]


@dataclass(frozen=True, slots=True)
class Objective:
    """The objective of a sweep.

    primary_metric: the name that trials report it under; target: a value that ends the sweep once a
    trial reaches it, in the metric's own unit.
    """

    primary_metric: str
    goal: Goal
    target: float | None = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Objective:
        """The objective of a compiled sweep: {primary_metric, goal, target}."""
        return cls(raw["primary_metric"], raw["goal"], raw.get("target"))

    def as_dict(self) -> dict[str, Any]:
        """Canonical JSON: Objective.from_dict(objective.as_dict()) == objective."""
        return {
            "primary_metric": self.primary_metric,
            "goal": self.goal,
            "target": self.target,
        }

    def is_better(self, value: float, other: float) -> bool:
        """Whether `value` beats `other`; an equal value does not, and NaN beats nothing."""
        if math.isnan(value):
            return False
        if math.isnan(other):
            return True
        return value > other if self.goal == "maximize" else value < other

    def reaches_target(self, value: float) -> bool:
        """Whether `value` is the target or better; never without a target, and NaN never."""
        if self.target is None:
            return False
        return value >= self.target if self.goal == "maximize" else value <= self.target
