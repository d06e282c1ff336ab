"""Trials as CSV: one form for what the API exports and what the command line prints."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

_COLUMNS = ("number", "state", "reason", "value")
_TIMES = ("started_at", "finished_at", "duration_s")


def write_trials(trials: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    """Write a table of trials, a row each, in the order given.

    trials: as the API shows them. Columns: number, state (`pruned` for those that early termination
    stopped), reason, value, `params.NAME` and `metrics.NAME` for all that a trial has, started_at
    and finished_at (ISO 8601), duration_s, error (its whole message). Lists and mappings are JSON;
    figures that are not finite are empty.
    """
    rows = list(trials)
    params = sorted({name for trial in rows for name in trial["params"] or {}})
    metrics = sorted({name for trial in rows for name in trial["metrics"] or {}})
    writer = csv.writer(file, lineterminator="\n")
    heads = [*(f"params.{name}" for name in params), *(f"metrics.{name}" for name in metrics)]
    writer.writerow([*_COLUMNS, *heads, *_TIMES, "error"])
    for trial in rows:
        shown = {**trial, "state": "pruned" if trial["reason"] == "pruned" else trial["state"]}
        cells = [
            *(shown[name] for name in _COLUMNS),
            *((trial["params"] or {}).get(name) for name in params),
            *((trial["metrics"] or {}).get(name) for name in metrics),
            *(trial[name] for name in _TIMES),
            ((trial["error"] or {}).get("message") or "").strip(),
        ]
        writer.writerow([_cell(value) for value in cells])


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        # a spreadsheet would run it
        return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None  # as the API's JSON has it
    return json.dumps(value) if isinstance(value, (bool, list, dict)) else value
