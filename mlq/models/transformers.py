"""Transformers of mlq's own that stand inside trained pipelines.

Serialized models name these classes by module and class, so both are a promise: moving or renaming
one makes stored models unreadable. The module needs numpy, pandas and scikit-learn, nothing of mlq.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

#: Stands for a missing category, so that being missing can be learned from.
MISSING = "(missing)"

_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})
_NANOSECONDS_PER_DAY = 86_400_000_000_000


class Columns(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Raw rows in, typed columns out: what a recipe's `columns` say, in their order.

    columns: records {name, kind, required}; kind is number, boolean, category, datetime or text.
    Nothing is fitted. The same row gives the same result whether it comes from Parquet, from CSV or
    as JSON. A datetime becomes days since 1970 and the parts in DATETIME_PARTS. Columns that are
    not named are ignored; one that is not required may be absent and then counts as missing.
    """

    DATETIME_PARTS = ("month", "day_of_week", "hour")

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        self.columns = columns

    def fit(self, X: pd.DataFrame, y: Any = None) -> Columns:
        """Do nothing but note the names of what comes in."""
        self.feature_names_in_ = np.asarray([column["name"] for column in self.columns], object)
        self.n_features_in_ = len(self.columns)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return a frame of float64 columns (number, boolean, datetime) and str columns.

        Raises ValueError, naming the column and the first bad value, where a value does not fit.
        """
        frame: dict[str, Any] = {}
        for column in self.columns:
            name, kind = column["name"], column["kind"]
            if name not in X.columns:
                if column.get("required", True):
                    raise ValueError(f"column '{name}' is missing")
                values = pd.Series([None] * len(X), index=X.index, dtype=object)
            else:
                values = X[name]
            if kind == "number":
                frame[name] = as_numbers(values)
            elif kind == "boolean":
                frame[name] = as_booleans(values)
            elif kind == "datetime":
                frame.update(_datetime_parts(name, as_datetimes(values)))
            elif kind == "category":
                frame[name] = as_labels(values, missing=MISSING)
            else:
                frame[name] = as_labels(values, missing="")
        return pd.DataFrame(frame, index=X.index)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that `transform` returns."""
        names: list[str] = []
        for column in self.columns:
            names += output_names(column)
        return np.asarray(names, dtype=object)


def output_names(column: Mapping[str, Any]) -> list[str]:
    """The columns that Columns makes of one column."""
    name = column["name"]
    if column["kind"] != "datetime":
        return [name]
    return [name, *(f"{name}.{part}" for part in Columns.DATETIME_PARTS)]


class Clip(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clip each column to the quantiles `low` and `high` of the rows it was fitted on."""

    def __init__(self, low: float = 0.01, high: float = 0.99) -> None:
        self.low = low
        self.high = high

    def fit(self, X: Any, y: Any = None) -> Clip:
        """Take the quantiles of X, shape (rows, columns), missing values left out."""
        values = np.asarray(X, dtype=np.float64)
        self.n_features_in_ = values.shape[1]
        if hasattr(X, "columns"):
            self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.lower_ = np.full(values.shape[1], -np.inf)
        self.upper_ = np.full(values.shape[1], np.inf)
        for index in range(values.shape[1]):
            known = values[~np.isnan(values[:, index]), index]
            if known.size:
                self.lower_[index], self.upper_[index] = np.quantile(known, [self.low, self.high])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return X as float64, clipped; missing values stay missing."""
        clipped: np.ndarray = np.clip(np.asarray(X, dtype=np.float64), self.lower_, self.upper_)
        return clipped

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names that came in."""
        names = self.feature_names_in_ if input_features is None else input_features
        return np.asarray(names, dtype=object)


def as_numbers(values: pd.Series) -> np.ndarray:
    """Values as float64, shape (rows,); missing and infinite ones as NaN.

    Raises ValueError for a value that is no number.
    """
    if values.dtype.kind in "fiub":
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    elif values.dtype.kind == "M":
        raise ValueError(f"column '{values.name}' holds times, not numbers")
    else:
        numbers = _coerce_numbers(values).to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.isnan(numbers) & ~values.isna().to_numpy()
        if bad.any():
            _refuse(values, bad, "a number", literal="nan")
    return np.where(np.isinf(numbers), np.nan, numbers)


def _coerce_numbers(values: pd.Series) -> pd.Series:
    try:
        return pd.to_numeric(values, errors="coerce")
    except (TypeError, ValueError):  # lists, mappings
        return pd.Series(np.full(len(values), np.nan), index=values.index)


def as_booleans(values: pd.Series) -> np.ndarray:
    """Values as 1.0, 0.0 or NaN, shape (rows,), dtype float64.

    Raises ValueError for a value that is neither true nor false.
    """
    if values.dtype.kind == "b":
        return np.asarray(values, dtype=np.float64)
    missing = values.isna().to_numpy()
    found = np.full(len(values), np.nan)
    for index, value in enumerate(values.to_numpy(dtype=object)):
        if missing[index]:
            continue
        word = str(value).strip().lower()
        if word in _TRUE:
            found[index] = 1.0
        elif word in _FALSE:
            found[index] = 0.0
    bad = np.isnan(found) & ~missing
    if bad.any():
        _refuse(values, bad, "true or false")
    return found


def as_datetimes(values: pd.Series) -> pd.Series:
    """Values as UTC times without zone (datetime64[ns]); missing ones as NaT.

    Raises ValueError for a value that is no ISO 8601 time.
    """
    if values.dtype.kind != "M":
        text = values.astype(object).where(~values.isna(), None)
        texts = [None if value is None else str(value) for value in text]
        parsed = pd.to_datetime(
            pd.Series(texts, index=values.index, dtype=object),
            errors="coerce",
            format="ISO8601",
            utc=True,
        )
        bad = parsed.isna().to_numpy() & ~values.isna().to_numpy()
        if bad.any():
            _refuse(values, bad, "an ISO 8601 time")
    else:
        parsed = values
    if parsed.dt.tz is not None:
        parsed = parsed.dt.tz_convert("UTC").dt.tz_localize(None)
    return parsed.astype("datetime64[ns]")


def as_labels(values: pd.Series, *, missing: str | None) -> np.ndarray:
    """Values as text, shape (rows,), dtype object; missing ones as `missing`.

    Whole numbers lose their `.0`: a column of codes with gaps reads as float from CSV and as int
    from JSON, and must give the same labels.
    """
    gaps = values.isna().to_numpy()
    if values.dtype.kind in "iu" or isinstance(values.dtype, pd.StringDtype):
        labels = np.array(values.astype("str").to_numpy(dtype=object))
    else:
        labels = np.asarray(
            [_label(value) for value in values.to_numpy(dtype=object)] or [], dtype=object
        )
    labels[gaps] = missing
    return np.asarray(labels, dtype=object)


def _label(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _datetime_parts(name: str, times: pd.Series) -> dict[str, np.ndarray]:
    gaps = times.isna().to_numpy()
    days = times.astype("int64").to_numpy() / _NANOSECONDS_PER_DAY
    parts = {name: np.where(gaps, np.nan, days)}
    for part in Columns.DATETIME_PARTS:
        values = getattr(times.dt, part).to_numpy(dtype=np.float64, na_value=np.nan)
        parts[f"{name}.{part}"] = values
    return parts


def _refuse(values: pd.Series, bad: np.ndarray, wanted: str, *, literal: str = "") -> None:
    positions = np.flatnonzero(bad)
    for position in positions:
        value = values.iloc[position]
        # Text such as "nan" in JSON rows reads as missing, as it does in CSV.
        if literal and isinstance(value, str) and value.strip().lower() == literal:
            continue
        raise ValueError(f"column '{values.name}', row {position}: {value!r} is not {wanted}")
