"""Why an attempt was lost, in words."""

from __future__ import annotations

from typing import Any

_WORDS = {
    "lost": "The process that ran this step died.",
    "abandoned": "The worker that ran this step was killed.",
    "fenced": "The worker could not renew its lease in time and stopped the step.",
    "stale": "The worker had lost the lease of this step and stopped it.",
    "expired": "The worker that ran this step fell silent.",
}


def describe_trial(why: str) -> dict[str, Any]:
    """The error of a trial that was in progress when its runner was lost."""
    return {**describe(why), "message": _WORDS[why].replace("this step", "this trial")}


def describe(why: str) -> dict[str, Any]:
    """The error of a lost attempt."""
    return {"code": "lost", "message": _WORDS[why], "cause": why}
