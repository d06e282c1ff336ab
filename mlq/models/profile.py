"""What a model was trained on, column by column, and how far later rows have moved from it.

`training_profile.json` in a package:

    rows         rows of the training table
    columns      records {name, kind, rows, missing}: how many values are known, the share of those
                 that are missing; of a number also low, high and points, order statistics at even
                 distances; of a category or boolean also counts of the most frequent labels and
                 others, how many values have none of these
    prediction   such a record of what the model says to (some of) the training rows
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlq.datasets import drift
from mlq.models.transformers import as_labels, as_numbers

PROFILE_FILE = "training_profile.json"
_POINTS = 400
_LABELS = 200
#: Labels that are told apart where distributions are compared; each needs values to say anything.
_COMPARED = 20
#: Training rows that are predicted for the profile: more would take a large forest seconds.
_PREDICTED = 2000


def make_profile(
    pipeline: Any, rows: pd.DataFrame, *, columns: Sequence[Mapping[str, Any]], task: str
) -> dict[str, Any]:
    """The profile of a fitted pipeline. columns: the recipe's, records {name, kind}."""
    names = [column["name"] for column in columns]
    places = np.unique(np.linspace(0, len(rows) - 1, min(_PREDICTED, len(rows))).astype(int))
    said = pd.Series(pipeline.predict(rows[names].iloc[places]), name="prediction")
    return {
        "rows": len(rows),
        "columns": [_describe(rows[column["name"]], column["kind"]) for column in columns],
        "prediction": _describe(said, "number" if task == "regression" else "category"),
    }


def read_profile(package: Path) -> dict[str, Any] | None:
    """The profile in a package; None where it has none: one of MLflow's, or an older one."""
    try:
        found = json.loads((package / PROFILE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def compare(
    profile: Mapping[str, Any], columns: Mapping[str, Sequence[Any]], predictions: Sequence[Any]
) -> dict[str, Any]:
    """How values that were sent, and what was said to them, differ from the profile.

    columns: name -> values as JSON has them, None where missing. Returns {features, prediction} of
    records {name, kind, rows, missing, missing_before} and where the kind allows psi and p_value;
    of numbers ks and out_of_range, the share beyond the training values; of labels chi_square and
    unknown, the share of labels that were not among them. drift: none, moderate, large, or None.
    """
    return {
        "features": [
            _compare(known, columns[known["name"]])
            for known in profile["columns"]
            if known["name"] in columns
        ],
        "prediction": _compare(profile["prediction"], predictions),
    }


def _describe(values: pd.Series, kind: str) -> dict[str, Any]:
    gaps = values.isna()
    record: dict[str, Any] = {
        "name": str(values.name),
        "kind": kind,
        "rows": int((~gaps).sum()),
        "missing": _share(gaps.to_numpy()),
    }
    known = values[~gaps]
    if kind == "number":
        numbers = _numbers(known)
        if numbers.size:
            points = np.quantile(
                numbers, np.linspace(0, 1, min(_POINTS, len(numbers))), method="inverted_cdf"
            )
            record |= {
                "low": float(numbers.min()),
                "high": float(numbers.max()),
                "points": [float(f"{point:.9g}") for point in points],
            }
    elif kind in ("category", "boolean") and len(known):
        counts = Counter(as_labels(known, missing=None).tolist())
        # by number, then by name: the same rows give the same file
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_LABELS]
        record |= {"counts": dict(top), "others": len(known) - sum(count for _, count in top)}
    return record


def _compare(known: Mapping[str, Any], values: Sequence[Any]) -> dict[str, Any]:
    series = pd.Series(list(values), dtype=object)
    gaps = series.isna()
    present = series[~gaps].infer_objects()
    record: dict[str, Any] = {
        "name": known["name"],
        "kind": known["kind"],
        "rows": len(series),
        "missing": _share(gaps.to_numpy()),
        "missing_before": known["missing"],
    }
    if "points" in known:
        record |= _compare_numbers(known, _numbers(present))
    elif "counts" in known and len(present):
        record |= _compare_labels(known, Counter(as_labels(present, missing=None).tolist()))
    return record | {"drift": drift.word_of(record["psi"]) if "psi" in record else None}


def _compare_numbers(known: Mapping[str, Any], after: np.ndarray) -> dict[str, Any]:
    if not after.size:
        return {}
    before = np.asarray(known["points"], dtype=np.float64)
    gap = drift.kolmogorov(before, after)
    return {
        "psi": round(drift.stability_of_numbers(before, after), 6),
        "ks": round(gap, 6),
        "p_value": drift.chance_of_gap(gap, before=known["rows"], after=len(after)),
        "out_of_range": _share((after < known["low"]) | (after > known["high"])),
    }


def _compare_labels(known: Mapping[str, Any], after: Counter[str]) -> dict[str, Any]:
    before, others = known["counts"], known["others"]
    names = list(before)[:_COMPARED]
    total = after.total()
    old = np.array([*(before[name] for name in names), known["rows"]], dtype=np.float64)
    new = np.array([*(after[name] for name in names), total], dtype=np.float64)
    for counts in (old, new):
        counts[-1] -= counts[:-1].sum()  # all other labels together
    used = (old + new) > 0
    statistic, chance = drift.chi_square(old, new)
    strange = 0 if others else sum(count for name, count in after.items() if name not in before)
    return {
        "psi": round(drift.stability(old[used], new[used]), 6),
        "chi_square": round(statistic, 6),
        "p_value": chance,
        "unknown": round(strange / total, 6),
    }


def _numbers(values: pd.Series) -> np.ndarray:
    try:
        numbers = as_numbers(values)
    except ValueError:  # not what the column was once
        return np.empty(0)
    return np.asarray(numbers[np.isfinite(numbers)])


def _share(flags: np.ndarray) -> float:
    return round(float(flags.mean()), 6) if flags.size else 0.0
