"""What kind of column a column is: number, category, boolean, datetime or text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlq.errors import StepError, nearest
from mlq.models.transformers import as_booleans, as_datetimes, as_labels, as_numbers

KINDS = ("number", "category", "boolean", "datetime", "text")

#: A text column whose values have this many words on average is prose, not a category.
PROSE_WORDS = 4.0
#: From this many rows on, a text column that never repeats a value is taken for an identifier.
IDENTIFIER_ROWS = 50
#: Up to this many different whole numbers a target is taken for classes rather than a quantity.
MAX_INTEGER_CLASSES = 20


def infer_kind(values: pd.Series) -> str:
    """The kind of a column, by its type and, for text, by what it holds."""
    kind = values.dtype.kind
    if kind == "b":
        return "boolean"
    if kind in "iuf":
        return "number"
    if kind == "M":
        return "datetime"
    known = values.dropna()
    if values.dtype == object and known.map(lambda value: isinstance(value, bool)).all():
        return "boolean"
    words = known.astype(str).str.count(r"\s+") + 1
    return "text" if words.mean() >= PROSE_WORDS else "category"


def is_identifier(values: pd.Series) -> bool:
    """Whether a text column names its rows: never the same value twice, on enough rows."""
    known = values.dropna()
    return len(known) >= IDENTIFIER_ROWS and known.is_unique


def convert(values: pd.Series, kind: str, *, is_strict: bool) -> tuple[pd.Series, int]:
    """`values` as `kind`, and how many of them became missing because they do not fit.

    is_strict: raise StepError for a value that does not fit, instead of dropping it.
    """
    try:
        return _convert(values, kind), 0
    except ValueError as error:
        if is_strict:
            raise StepError(f"The data does not fit: {error}.", code="invalid_data") from error
    kept = values.astype(object).where(~values.isna(), None)
    fits = np.asarray([value is not None and _fits(value, kind) for value in kept], dtype=bool)
    dropped = int((~fits & ~values.isna().to_numpy()).sum())
    cleaned = pd.Series(kept.where(fits, None), index=values.index, name=values.name, dtype=object)
    return _convert(cleaned, kind), dropped


def _convert(values: pd.Series, kind: str) -> pd.Series:
    result: Any
    if kind == "number":
        result = as_numbers(values)
    elif kind == "boolean":
        flags = as_booleans(values)
        gaps = np.isnan(flags)
        result = flags.astype(bool)
        if gaps.any():
            result = result.astype(object)
            result[gaps] = None
    elif kind == "datetime":
        result = as_datetimes(values)
    else:
        return pd.Series(
            as_labels(values, missing=None), index=values.index, name=values.name, dtype="str"
        )
    return pd.Series(result, index=values.index, name=values.name)


def _fits(value: Any, kind: str) -> bool:
    try:
        _convert(pd.Series([value], dtype=object), kind)
    except ValueError:
        return False
    return True


def check_types(types: Mapping[str, Any]) -> dict[str, str]:
    """The input `types` with known kinds only; raises StepError naming the nearest kind."""
    for column, kind in types.items():
        if kind not in KINDS:
            guess = nearest(str(kind), KINDS)
            raise StepError(
                f"The input 'types' gives the column '{column}' the unknown type '{kind}'.",
                code="invalid_input",
                hint=f"Did you mean '{guess}'?" if guess else f"Types are: {', '.join(KINDS)}.",
            )
    return {column: str(kind) for column, kind in types.items()}


def is_classes(target: pd.Series) -> bool:
    """Whether a target holds classes: text, booleans, or few different whole numbers.

    The target has no missing values.
    """
    if infer_kind(target) != "number":
        return bool(target.dtype.kind != "M")
    values = target.to_numpy(dtype=np.float64)
    if not np.all(values == np.round(values)):
        return False
    distinct = len(np.unique(values))
    return distinct <= MAX_INTEGER_CLASSES and distinct <= max(2, len(values) // 2)


def as_target(values: pd.Series) -> np.ndarray:
    """A target column without gaps as scikit-learn wants it, shape (rows,).

    Text becomes a fixed-width str array, booleans bool, whole numbers int64 (a column with gaps was
    read as float), other numbers float64.
    """
    if values.dtype.kind in "iu":
        return np.asarray(values, dtype=np.int64)
    if values.dtype.kind == "f":
        numbers = np.asarray(values, dtype=np.float64)
        is_whole = np.isfinite(numbers).all() and np.all(numbers == np.round(numbers))
        fits = is_whole and (not numbers.size or np.abs(numbers).max() < 2**53)
        return numbers.astype(np.int64) if fits else numbers
    if values.dtype.kind == "M":
        raise StepError(
            f"The target column '{values.name}' holds times.",
            code="invalid_target",
            hint="Predict a number (such as days until then) or a class.",
        )
    if infer_kind(values) == "boolean":
        return np.asarray(values, dtype=bool)
    return np.asarray([str(value) for value in values.to_numpy(dtype=object)])
