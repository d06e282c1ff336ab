"""mlq:pass: hand a value on. It is what overhead is measured with, so it imports nothing."""

from __future__ import annotations

from mlq_workers.components.base import Result, Step


def run(step: Step) -> Result:
    """Return the input `value`, None when there is none."""
    return Result({"value": step.inputs.get("value")})
