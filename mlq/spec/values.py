"""Literal values against the ports they are given to."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from mlq.errors import MlqError, SpecError, nearest
from mlq.spec.builtin import ARTIFACT_TYPES, LITERAL_TYPES, Port
from mlq.spec.document import read_document
from mlq.spec.references import shorten

#: What may stand in for what among artifacts: a file is no folder, a model is a folder.
_FOLDERS = frozenset({"uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"})
_FILES = frozenset({"uri_file", "custom_model"})
_INTEGER = re.compile(r"[-+]?\d{1,19}")
_NAMES = {
    "string": "text",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "object": "any value",
}


class BadValueError(ValueError):
    """A value that its port does not take; `suggestion` is the nearest allowed one."""

    def __init__(self, message: str, *, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.suggestion = suggestion

    def sentence(self, subject: str) -> str:
        """What is wrong with `subject`, with the mark at its end."""
        text = f"{subject} {self}"
        return text if text.endswith("?") else f"{text}."


def literal_type(value: Any) -> str:
    """The port type that a JSON value has by itself."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "string" if isinstance(value, str) else "object"


def cast_literal(value: Any, port: Port) -> Any:
    """`value` as `port` takes it: "0.2" is 0.2 for a number, 3 is "3" for text, never rounded.

    Mappings and lists may be written as JSON text. Raises BadValueError, also for a value outside
    the port's enum or bounds.
    """
    result = _CASTS[port.type](value)
    if port.enum is not None and result not in port.enum:
        allowed = ", ".join(str(word) for word in port.enum)
        raise BadValueError(
            f"takes one of {allowed}; got {describe(value)}",
            suggestion=nearest(str(value)[:100], [str(word) for word in port.enum]),
        )
    if isinstance(result, (int, float)) and not isinstance(result, bool):
        if port.minimum is not None and result < port.minimum:
            raise BadValueError(f"takes at least {port.minimum:g}; got {result}")
        if port.maximum is not None and result > port.maximum:
            raise BadValueError(f"takes at most {port.maximum:g}; got {result}")
    if port.check is not None:
        try:
            port.check(result)
        except MlqError as error:
            raise BadValueError(
                f"cannot be used. {error.message} {error.hint}".rstrip(". ")
            ) from None
    return result


def stand_in(port: Port) -> Any:
    """Some value that `port` takes, to check what is given to it before anything is."""
    if port.type in ARTIFACT_TYPES:
        return f"artifact:sha256:{'0' * 64}"
    if port.enum:
        return port.enum[0]
    if port.type in ("number", "integer"):
        bound = port.minimum if port.minimum is not None else port.maximum
        return 0 if bound is None else bound
    return {"boolean": True, "string": "text"}.get(port.type, 0)


def fits(produced: str, wanted: str) -> bool:
    """Whether an output or asset of type `produced` can be given to a port of type `wanted`."""
    if produced == wanted:
        return True
    if produced in ARTIFACT_TYPES or wanted in ARTIFACT_TYPES:
        pair = {produced, wanted}
        return pair <= _FOLDERS or pair <= _FILES
    return "object" in (produced, wanted) or (produced, wanted) == ("integer", "number")


def describe(value: Any) -> str:
    """A value for a message: `'abc' (text)`, `3 (an integer)`, `a list`."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        shown = shorten(value)
        return f"'{shown if shown.isprintable() else ascii(shown)[1:-1]}' (text)"
    written = "true" if value is True else "false" if value is False else str(value)
    return f"{written} ({'a boolean' if isinstance(value, bool) else _NAMES[literal_type(value)]})"


def _to_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return json.dumps(value)
    raise mismatch("string", value)


def _to_number(value: Any) -> int | float:
    if isinstance(value, str):
        text = value.strip()
        if _INTEGER.fullmatch(text):
            return int(text)
        try:
            number = float(text)
        except ValueError:
            raise mismatch("number", value) from None
        if math.isfinite(number) and "_" not in text:
            return number
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise mismatch("number", value)


def _to_integer(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise mismatch("integer", value)


def _to_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise mismatch("boolean", value)


def _to_object(value: Any) -> Any:
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        # The reader of job files, for its limits on depth and numbers.
        found = read_document(f'{{"value": {value}}}', media_type="application/json").data
    except SpecError as error:
        reason = error.problems[0].message
        raise BadValueError(f"looks like a JSON mapping or list, but is none: {reason}") from None
    if len(found) != 1:
        raise BadValueError("looks like a JSON mapping or list, but is none: text follows its end")
    return found["value"]


def mismatch(type: str, value: Any) -> BadValueError:
    """What to say about a value that a port of this literal type does not take."""
    return BadValueError(f"takes {_NAMES[type]}; got {describe(value)}")


_CASTS = {
    "string": _to_string,
    "number": _to_number,
    "integer": _to_integer,
    "boolean": _to_boolean,
    "object": _to_object,
}
assert _CASTS.keys() == LITERAL_TYPES
