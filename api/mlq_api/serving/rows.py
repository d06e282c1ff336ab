"""JSON rows to the table that a model takes, checked against its signature.

Types are those of the training table: numbers for numeric columns, whole or not, text for text,
ISO 8601 for times. null and NaN are missing values. Columns that the model does not know are left
out with a warning. pandas is imported at the first request, not at the start of the process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from mlq.errors import SpecError, SpecProblem, TooLargeError, nearest
from mlq.models.signature import Field, Signature

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MAX_ROWS = 50_000
_NUMERIC = frozenset({"double", "float", "long", "integer"})
_PLAIN_NUMBERS = frozenset({float, int})
_MAX_INTEGER = 2**63 - 1


class RowsError(SpecError):
    """Rows do not fit the model. `problems` names each column and what is wrong with it."""

    code = "invalid_rows"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of which names are checked and values are not yet. values: by row, in fields' order."""

    fields: tuple[Field, ...]
    values: Sequence[Sequence[Any]]

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.values)

    def columns(self, kept: slice = slice(None)) -> dict[str, Sequence[Any]]:
        """Values by column, of some rows."""
        values = zip(*self.values[kept], strict=True)
        return {field.name: column for field, column in zip(self.fields, values, strict=True)}

    def frame(self) -> pd.DataFrame:
        """The data frame. Raises RowsError naming each column with a value that does not fit."""
        return _frame(self.fields, self.columns())

    def numbers(self) -> np.ndarray:
        """Values of numeric columns, shape (rows, columns), float64; missing ones are NaN.

        Raises RowsError as `frame`.
        """
        import numpy as np

        flat = list(chain.from_iterable(self.values))
        if _PLAIN_NUMBERS.issuperset(map(type, flat)):
            try:
                values = np.array(flat, dtype=np.float64)
            except OverflowError:
                pass  # `frame` says where
            else:
                if np.isfinite(values).all():
                    return values.reshape(len(self.values), len(self.fields))
        return np.asarray(self.frame().to_numpy(dtype=np.float64))


def merge(tables: Sequence[Table]) -> Table:
    """The rows of several tables of the same columns, one after the other."""
    return Table(tables[0].fields, [row for table in tables for row in table.values])


def refuse(path: str, message: str) -> RowsError:
    """The error for one place in a request's body."""
    return RowsError([SpecProblem(path, message)])


def from_rows(signature: Signature, rows: Any) -> tuple[Table, list[str]]:
    """A table from `[{column: value}]`, and warnings about columns that were left out.

    Raises RowsError naming each column that is missing; TooLargeError.
    """
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise refuse("rows", 'expected a list of objects: {"rows": [{"column": value}]}')
    _check_count(len(rows), "rows")
    values = _pick_all(signature, rows)
    if values is not None:
        return Table(signature.inputs, values), []
    present = list(dict.fromkeys(name for row in rows for name in row))
    fields = _fields(signature, present, path="rows")
    for field in fields:
        if field.required and field.name in present:
            for number, row in enumerate(rows):
                if field.name not in row:
                    raise refuse(
                        f"rows[{number}].{field.name}",
                        "is not there; write null where the value is missing",
                    )
    names = [field.name for field in fields]
    values = [tuple(row.get(name) for name in names) for row in rows]
    return Table(fields, values), _warnings(signature, present)


def _pick_all(signature: Signature, rows: list[Any]) -> list[tuple[Any, ...]] | None:
    """The values of rows that have the signature's columns and no others, as nearly all have."""
    width = len(signature.inputs)
    if not width or [*map(len, rows)].count(width) != len(rows):
        return None
    try:
        return [*map(signature.pick, rows)]
    except KeyError:
        return None


def from_table(
    signature: Signature, names: Any, data: Any, *, index: Any = None
) -> tuple[Table, list[str]]:
    """A table from column names and lists of values, as Azure's `input_data` has them.

    Raises as `from_rows`.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise refuse("input_data.columns", "expected a list of column names")
    if len(set(names)) < len(names):
        raise refuse("input_data.columns", "names a column twice")
    if not isinstance(data, list):
        raise refuse("input_data.data", "expected a list of rows, each a list of values")
    _check_count(len(data), "input_data.data")
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise refuse(f"input_data.data[{number}]", f"expected a list of {len(names)} values")
    if index is not None and (not isinstance(index, list) or len(index) != len(data)):
        raise refuse("input_data.index", f"expected a list of {len(data)} labels, one for each row")
    values = zip(*data, strict=True)
    columns = {name: list(column) for name, column in zip(names, values, strict=True)}
    return from_columns(signature, columns, path="input_data.columns")


def from_columns(
    signature: Signature, columns: Mapping[str, Sequence[Any]], *, path: str
) -> tuple[Table, list[str]]:
    """A table from columns of equal length. path: where the body names columns.

    Raises as `from_rows`.
    """
    names = list(columns)
    fields = _fields(signature, names, path=path)
    count = len(next(iter(columns.values()), ()))
    _check_count(count, path)
    kept = [columns.get(field.name, [None] * count) for field in fields]
    return Table(fields, [*zip(*kept, strict=True)]), _warnings(signature, names)


def _check_count(count: int, path: str) -> None:
    if not count:
        raise refuse(path, "there is no row")
    if count > MAX_ROWS:
        raise TooLargeError(
            f"{path}: {count} rows are more than the {MAX_ROWS} that one request may have.",
            hint="Send several requests, or score the file with an mlq:score job.",
        )


def _fields(signature: Signature, present: Sequence[str], *, path: str) -> tuple[Field, ...]:
    if not signature.inputs:
        return tuple(Field(name, "any", required=False) for name in present)
    known = {field.name for field in signature.inputs}
    strange = [name for name in present if name not in known]
    problems = []
    for field in signature.inputs:
        if field.required and field.name not in present:
            close = nearest(field.name, strange)
            got = f"; got '{close}'" if close else ""
            problems.append(SpecProblem(path, f"the column '{field.name}' is missing{got}"))
    if problems:
        raise RowsError(problems)
    return signature.inputs


def _warnings(signature: Signature, present: Iterable[str]) -> list[str]:
    known = {field.name for field in signature.inputs} or set(present)
    return [
        f"the model has no column '{name:.80}': it was left out"
        for name in present
        if name not in known
    ]


def _frame(fields: Sequence[Field], columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    import pandas as pd

    problems: list[SpecProblem] = []
    series = {}
    for field in fields:
        try:
            series[field.name] = _column(field.type, columns[field.name])
        except _BadValueError as error:
            problems.append(SpecProblem(f"{field.name}[{error.row}]", error.message))
    if problems:
        raise RowsError(problems)
    return pd.DataFrame(series)


class _BadValueError(Exception):
    def __init__(self, row: int, value: Any, wanted: str) -> None:
        self.row = row
        self.message = f"expected {wanted}, got {_describe(value)}"


def _describe(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {value!r:.60}"
    if isinstance(value, int | float):
        return f"the number {value!r:.60}"
    return "a list" if isinstance(value, list) else "an object"


def _column(type: str, values: Sequence[Any]) -> pd.Series:
    import pandas as pd

    if type in _NUMERIC:
        return _numbers(values)
    if type == "boolean":
        return _booleans(values)
    if type == "string":
        return _texts(values)
    if type == "datetime":
        return _times(values)
    return pd.Series(list(values))


def _is_missing(value: Any) -> bool:
    return value is None or (type(value) is float and math.isnan(value))


def _numbers(values: Sequence[Any]) -> pd.Series:
    import pandas as pd

    is_whole = True
    for row, value in enumerate(values):
        if type(value) is int:
            is_whole = is_whole and abs(value) <= _MAX_INTEGER
            if abs(value) > 1e300:
                raise _BadValueError(row, value, "a number of a sensible size")
        elif _is_missing(value) or (type(value) is float and math.isfinite(value)):
            is_whole = False
        else:
            raise _BadValueError(row, value, "a finite number")
    if is_whole:
        return pd.Series(values, dtype="int64")
    return pd.Series([math.nan if value is None else float(value) for value in values])


def _booleans(values: Sequence[Any]) -> pd.Series:
    import pandas as pd

    for row, value in enumerate(values):
        if type(value) is not bool and not _is_missing(value):
            raise _BadValueError(row, value, "true or false")
    if any(type(value) is not bool for value in values):
        return pd.Series([None if _is_missing(value) else value for value in values], dtype=object)
    return pd.Series(values, dtype=bool)


def _texts(values: Sequence[Any]) -> pd.Series:
    import pandas as pd

    is_text = True
    for row, value in enumerate(values):
        # a column of booleans with gaps has the type string, too
        if type(value) is bool:
            is_text = False
        elif type(value) is not str and not _is_missing(value):
            raise _BadValueError(row, value, "text")
    plain = [None if _is_missing(value) else value for value in values]
    return pd.Series(plain, dtype="str" if is_text else object)


def _times(values: Sequence[Any]) -> pd.Series:
    import pandas as pd

    for row, value in enumerate(values):
        if type(value) is not str and not _is_missing(value):
            raise _BadValueError(row, value, "an ISO 8601 time")
    plain = pd.Series([None if _is_missing(value) else value for value in values], dtype=object)
    times = pd.to_datetime(plain, format="ISO8601", errors="coerce", utc=True)
    bad = times.isna() & plain.notna()
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise _BadValueError(row, values[row], "an ISO 8601 time")
    return times.dt.tz_localize(None)
