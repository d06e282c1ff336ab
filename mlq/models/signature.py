"""A model's signature: its input columns and its output, in MLflow's words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from mlq.errors import StepError, nearest

if TYPE_CHECKING:
    import pandas as pd

#: numpy dtype kinds -> MLflow's column types. Every integer column is `long`.
_TYPES = {"b": "boolean", "i": "long", "u": "long", "f": "double", "M": "datetime"}


@dataclass(frozen=True, slots=True)
class Field:
    """A column. type: boolean, long, double, string, datetime …, as MLflow names them."""

    name: str
    type: str
    required: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The field as MLflow writes it."""
        return {"type": self.type, "name": self.name, "required": self.required}


@dataclass(frozen=True, slots=True)
class Signature:
    """Input columns and outputs of a model. A model without named inputs has no `inputs`.

    pick: a row by column -> its values, in the order of `inputs`; KeyError where one is missing.
    """

    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]] = dataclasses.field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "pick", _picker([one.name for one in self.inputs]))

    def as_mlmodel(self) -> dict[str, Any]:
        """The value of `signature` in an MLmodel file: JSON texts inside YAML."""
        return {
            "inputs": json.dumps([field.as_dict() for field in self.inputs]),
            "outputs": json.dumps([field.as_dict() for field in self.outputs]),
            "params": None,
        }

    def check(self, rows: pd.DataFrame) -> None:
        """See that `rows` have every required column.

        Raises StepError (code `invalid_rows`) naming those that are missing.
        """
        missing = [
            field.name for field in self.inputs if field.required and field.name not in rows.columns
        ]
        if not missing:
            return
        known = {field.name for field in self.inputs}
        strange = [str(name) for name in rows.columns if name not in known]
        guesses = [f"'{near}' for '{name}'" for name in missing if (near := nearest(name, strange))]
        if guesses:
            hint = f"Did you mean to send these columns: {', '.join(missing)}? Got {guesses[0]}."
        else:
            hint = f"The model needs: {', '.join(f.name for f in self.inputs if f.required)}."
        raise StepError(
            f"The rows lack {_columns(missing)}.",
            code="invalid_rows",
            hint=hint,
        )


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)  # each request does it for each row
    return lambda row: tuple(row[name] for name in names)


def _columns(names: Sequence[str]) -> str:
    quoted = ", ".join(f"'{name}'" for name in names)
    return f"the column {quoted}" if len(names) == 1 else f"the columns {quoted}"


def infer_fields(rows: pd.DataFrame, columns: Sequence[Mapping[str, Any]]) -> tuple[Field, ...]:
    """Fields for a recipe's columns as they look in `rows`.

    Whole numbers are `long` and others `double`, as MLflow infers them; mlq itself takes either.
    """
    fields = []
    for column in columns:
        kind = rows[column["name"]].dtype.kind
        type_ = _TYPES.get(kind, "string")
        if column["kind"] == "datetime":
            type_ = "datetime"
        fields.append(Field(column["name"], type_, bool(column.get("required", True))))
    return tuple(fields)


def infer_output(values: Any) -> tuple[Field, ...]:
    """The one output, `prediction`, typed like `values`, an array of shape (n,)."""
    return (Field("prediction", _TYPES.get(values.dtype.kind, "string")),)


def parse_signature(record: Mapping[str, Any] | None) -> Signature:
    """Read `signature` of an MLmodel file; columns without a name (tensors) are left out."""
    if not record:
        return Signature()
    return Signature(_parse_fields(record.get("inputs")), _parse_fields(record.get("outputs")))


def _parse_fields(text: str | None) -> tuple[Field, ...]:
    return tuple(
        Field(str(entry["name"]), str(entry["type"]), bool(entry.get("required", True)))
        for entry in json.loads(text or "[]")
        if "name" in entry and isinstance(entry.get("type"), str) and entry["type"] != "tensor"
    )


#: Types between which a request need not change: a number is a number to a model of mlq.
_NUMBERS = frozenset({"long", "integer", "double", "float"})


def find_breaks(present: Signature, wanted: Signature) -> list[str]:
    """What a caller of `present` would notice if `wanted` answered instead, in words.

    A column that only `present` knows is left out with a warning, which breaks nothing.
    """
    breaks = []
    known = {field.name: field for field in present.inputs}
    for field in wanted.inputs if present.inputs else ():
        before = known.get(field.name)
        if before is None:
            if field.required:
                breaks.append(f"it needs the column '{field.name}'")
        elif not _is_like(before, field):
            breaks.append(f"the column '{field.name}' is {field.type}, not {before.type}")
        elif field.required and not before.required:
            breaks.append(f"the column '{field.name}' may not be left out")
    for before, after in zip(present.outputs, wanted.outputs, strict=False):
        if not _is_like(before, after):
            breaks.append(f"it predicts {after.type}, not {before.type}")
    return breaks


def _is_like(one: Field, other: Field) -> bool:
    return one.type == other.type or {one.type, other.type} <= _NUMBERS
