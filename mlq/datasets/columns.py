"""What is learned of one column while its values pass, in memory that does not grow with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

#: Values that quantiles, histogram and drift are read from; all of them up to so many.
SAMPLE_SIZE = 50_000
#: Hashes that distinct values are counted by; the count is exact below.
HASHES = 4_096
#: Values that are counted one by one; a column with more has no list of the most frequent.
COUNTED = 2_000
TOP = 20
BINS = 20
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(slots=True)
class ColumnProfile:
    """A column's counts and distribution. kind: number, boolean, datetime, text or other.

    sample: of numbers, float64, drawn evenly. values: counts of texts and booleans, None where
    there are too many different ones.
    """

    name: str
    rng: np.random.Generator
    kind: str = ""
    missing: int = 0
    known: int = 0
    low: Any = None
    high: Any = None
    mean: float = 0.0
    squares: float = 0.0
    finite: int = 0
    values: Counter[str] | None = field(default_factory=Counter)
    sample: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty(0))
    _keys: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty(0))
    _hashes: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty(0, np.uint64))

    def add(self, array: pa.Array) -> np.ndarray[Any, Any]:
        """Take in the next values; their hashes, uint64 of the array's length."""
        kind = _kind_of(array.type)
        if kind is None:  # a column of nothing
            self.missing += len(array)
            return np.zeros(len(array), np.uint64)
        self.kind = kind if self.kind in ("", kind) else "text"
        plain = _plain(array, kind)
        missing = plain.null_count
        self.missing += missing
        self.known += len(plain) - missing
        hashes = _hash(plain, kind)
        self._count_distinct(hashes if not missing else hashes[~pc.is_null(plain).to_numpy(False)])
        known = plain.drop_null()
        if kind == "number":
            self._add_numbers(known.to_numpy(zero_copy_only=False))
        elif kind == "datetime" and len(known):
            self._widen(pc.min(known).as_py().isoformat(), pc.max(known).as_py().isoformat())
        elif kind in ("text", "boolean"):
            self._add_labels(known.cast(pa.string()))
        return hashes

    def add_missing(self, rows: int) -> None:
        """Take in rows of a file that has not this column."""
        self.missing += rows

    @property
    def distinct(self) -> tuple[int, bool]:
        """How many different values there are, and whether that is exact.

        Beyond HASHES an estimate from the smallest of the hashes (k minimum values), within a few
        per cent.
        """
        if len(self._hashes) < HASHES:
            return len(self._hashes), True
        share = float(self._hashes[-1]) / 2.0**64
        return min(self.known, round((HASHES - 1) / share)), False

    def view(self) -> dict[str, Any]:
        """As JSON; what does not apply to the column's type is left out."""
        rows = self.known + self.missing
        distinct, is_exact = self.distinct
        record: dict[str, Any] = {
            "name": self.name,
            "type": self.kind or "empty",
            "missing": self.missing,
            "missing_share": round(self.missing / rows, 6) if rows else 0.0,
            "distinct": distinct,
            "distinct_is_exact": is_exact,
        }
        if self.kind == "datetime" and self.low is not None:
            record |= {"min": self.low, "max": self.high}
        if self.kind == "number" and self.finite:
            record |= self._view_numbers()
        if self.kind in ("text", "boolean") and self.values:
            top = sorted(self.values.items(), key=lambda item: (-item[1], item[0]))[:TOP]
            record["top"] = [{"value": value, "count": count} for value, count in top]
        return record

    def _view_numbers(self) -> dict[str, Any]:
        sample = self.sample
        bins = BINS if sample.min() < sample.max() else 1
        try:
            counts, edges = np.histogram(sample, bins=bins)
            histogram = {"edges": edges.tolist(), "counts": counts.tolist()}
        except ValueError:  # a range too wide or too narrow for float64 to divide
            histogram = None
        found = np.quantile(sample, QUANTILES)
        return {
            "min": float(self.low),
            "max": float(self.high),
            "mean": _finite(self.mean),
            "std": _finite((self.squares / self.finite) ** 0.5),
            "quantiles": {str(q): _finite(v) for q, v in zip(QUANTILES, found, strict=True)},
            "histogram": histogram,
            "sampled": len(sample),
        }

    def _add_numbers(self, numbers: np.ndarray[Any, Any]) -> None:
        finite = numbers[np.isfinite(numbers)]
        if not finite.size:
            return
        self._widen(float(finite.min()), float(finite.max()))
        # Chan, Golub and LeVeque's update of mean and sum of squares by a batch
        with np.errstate(over="ignore", invalid="ignore"):
            count, mean = finite.size, float(finite.mean())
            delta, total = mean - self.mean, self.finite + finite.size
            self.squares += float(((finite - mean) ** 2).sum())
            self.squares += delta**2 * self.finite * count / total
            self.mean += delta * count / total
        self.finite = total
        # the values with the smallest of random keys are an even sample, batch by batch
        keys = np.concatenate([self._keys, self.rng.random(count)])
        sample = np.concatenate([self.sample, finite])
        if len(keys) > SAMPLE_SIZE:
            kept = np.argpartition(keys, SAMPLE_SIZE)[:SAMPLE_SIZE]
            keys, sample = keys[kept], sample[kept]
        self._keys, self.sample = keys, sample

    def _add_labels(self, labels: pa.Array) -> None:
        if self.values is None:
            return
        for item in pc.value_counts(labels):
            self.values[str(item["values"].as_py())[:200]] += item["counts"].as_py()
            if len(self.values) > COUNTED:
                self.values = None
                return

    def _count_distinct(self, hashes: np.ndarray[Any, Any]) -> None:
        self._hashes = np.unique(np.concatenate([self._hashes, np.unique(hashes)]))[:HASHES]

    def _widen(self, low: Any, high: Any) -> None:
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)


def _kind_of(kind: pa.DataType) -> str | None:
    if pa.types.is_null(kind):
        return None
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "datetime"
    if pa.types.is_dictionary(kind):
        return _kind_of(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    return "other"


def _plain(array: pa.Array, kind: str) -> pa.Array:
    """The array in one of few types: float64, timestamp in microseconds, text or boolean."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if kind == "number":
        plain = array.cast(pa.float64(), safe=False)
        return pc.if_else(pc.is_nan(plain), pa.scalar(None, pa.float64()), plain)
    if kind == "datetime":
        return array.cast(pa.timestamp("us", getattr(array.type, "tz", None)), safe=False)
    if kind == "other":
        texts = [None if item is None else str(item) for item in array.to_pylist()]
        return pa.array(texts, pa.string())
    return array.cast(pa.string()) if kind == "text" else array


def _hash(plain: pa.Array, kind: str) -> np.ndarray[Any, Any]:
    if kind == "number":
        values = plain.fill_null(np.nan).to_numpy(zero_copy_only=False) + 0.0  # -0.0 is 0.0
    elif kind == "datetime":
        values = plain.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    else:
        values = plain.cast(pa.string()).fill_null("\0").to_numpy(zero_copy_only=False)
    hashes: np.ndarray[Any, Any] = pd.util.hash_array(values)
    return hashes


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
