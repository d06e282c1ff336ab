"""Trials as CSV."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from mlq.sweeps.trial_table import write_trials


def trial(**more: Any) -> dict[str, Any]:
    names = ("reason", "value", "params", "started_at", "finished_at", "duration_s", "error")
    return {"number": 0, "state": "succeeded", "metrics": {}, **dict.fromkeys(names), **more}


def read(*trials: dict[str, Any]) -> list[dict[str, str]]:
    file = io.StringIO()
    write_trials(trials, file)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def test_a_table_has_a_row_for_each_trial() -> None:
    first, second = read(
        trial(
            value=0.25,
            params={"k": [1, 2], "x": 0.5, "b": True, "s": "=1+1", "neg": -1},
            metrics={"loss": 0.5, "lost": math.nan},
            started_at="2026-01-02T03:04:05Z",
            finished_at="2026-01-02T03:04:06.500000Z",
            duration_s=1.5,
        ),
        trial(number=1, state="failed", reason="error", error={"message": "Boom,\nline 2\n"}),
    )
    assert first == {
        "number": "0",
        "state": "succeeded",
        "reason": "",
        "value": "0.25",
        "params.b": "true",
        "params.k": "[1, 2]",
        "params.neg": "-1",
        "params.s": "'=1+1",
        "params.x": "0.5",
        "metrics.loss": "0.5",
        "metrics.lost": "",
        "started_at": "2026-01-02T03:04:05Z",
        "finished_at": "2026-01-02T03:04:06.500000Z",
        "duration_s": "1.5",
        "error": "",
    }
    assert (second["state"], second["params.k"], second["metrics.loss"]) == ("failed", "", "")
    assert second["error"] == "Boom,\nline 2"


def test_a_pruned_trial_is_called_so() -> None:
    (row,) = read(trial(state="canceled", reason="pruned"))
    assert (row["state"], row["reason"]) == ("pruned", "pruned")
