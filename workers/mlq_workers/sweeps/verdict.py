"""What a trial's numbers make of it: succeeded with a value, or failed and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mlq.errors import nearest


def find_value(
    metrics: Mapping[str, float], primary_metric: str
) -> tuple[float | None, dict[str, Any] | None]:
    """The trial's value, or the error that it has none: one of both is None."""
    value = metrics.get(primary_metric)
    if value is None:
        reported = ", ".join(sorted(metrics)[:10]) or "nothing"
        guess = nearest(primary_metric, metrics)
        return None, {
            "code": "metric_missing",
            "message": f"The trial did not report its primary metric '{primary_metric}'; "
            f"it reported {reported}.",
            "hint": f"Did you mean '{guess}'?"
            if guess
            else "Log it with mlq.log_metric, or name another metric in objective.primary_metric.",
        }
    if not math.isfinite(value):
        return None, {
            "code": "metric_nan",
            "message": f"The primary metric '{primary_metric}' of the trial is {value}, "
            "which cannot be compared.",
            "hint": "Look at the trial's parameters and log.",
        }
    return float(value), None
