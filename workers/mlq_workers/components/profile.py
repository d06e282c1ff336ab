"""A profile of a table, as JSON: for reading, and as the reference that drift is judged by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mlq.models.transformers import as_labels, as_numbers

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
HISTOGRAM_BINS = 20
TOP_VALUES = 20


def profile_column(values: pd.Series, kind: str) -> dict[str, Any]:
    """Counts and distribution of one column.

    Always: name, type, missing, missing_share (0 to 1), distinct. A number: min, max, mean, std,
    quantiles {"0.5": …}, histogram {edges, counts}. A category or boolean: top, records {value,
    count}, most frequent first. A datetime: min, max (ISO 8601). A text: length quantiles.
    """
    known = values.dropna()
    record: dict[str, Any] = {
        "name": str(values.name),
        "type": kind,
        "missing": len(values) - len(known),
        "missing_share": round(1 - len(known) / len(values), 6) if len(values) else 0.0,
        "distinct": int(known.nunique()),
    }
    if known.empty:
        return record
    if kind == "number":
        return record | _profile_numbers(as_numbers(known))
    if kind == "datetime":
        return record | {"min": known.min().isoformat(), "max": known.max().isoformat()}
    if kind == "text":
        lengths = known.astype(str).str.len().to_numpy(dtype=np.float64)
        return record | {"length": _quantiles(lengths)}
    counts = pd.Series(as_labels(known, missing=None)).value_counts().head(TOP_VALUES)
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return record | {"top": [{"value": value, "count": int(count)} for value, count in top]}


def _profile_numbers(values: np.ndarray) -> dict[str, Any]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {}
    with np.errstate(over="ignore", invalid="ignore"):
        record: dict[str, Any] = {
            "min": float(finite.min()),
            "max": float(finite.max()),
            "mean": _finite(finite.mean()),
            "std": _finite(finite.std()),
            "quantiles": _quantiles(finite),
        }
        try:
            bins = HISTOGRAM_BINS if finite.min() < finite.max() else 1
            counts, edges = np.histogram(finite, bins=bins)
        except ValueError:  # a range too wide or too narrow for float64 to divide
            return record
    return record | {"histogram": {"edges": edges.tolist(), "counts": counts.tolist()}}


def _quantiles(values: np.ndarray) -> dict[str, float | None]:
    found = np.quantile(values, QUANTILES)
    return {str(q): _finite(value) for q, value in zip(QUANTILES, found, strict=True)}


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
