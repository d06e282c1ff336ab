"""Literal inputs of a step: mappings and lists may also arrive as JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlq.errors import StepError


def read_mapping(inputs: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The input `name` as a mapping; empty when it was not given. Raises StepError otherwise."""
    value = _parse(inputs.get(name))
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong(name, "a mapping", value)
    return {str(key): item for key, item in value.items()}


def read_names(inputs: Mapping[str, Any], name: str) -> list[str]:
    """The input `name` as a list of texts: a list, a JSON list, or one text by itself."""
    value = _parse(inputs.get(name))
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise _wrong(name, "a name or a list of names", value)
    return list(value)


def read_quantiles(inputs: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """The input `name` as a pair [low, high] with 0 <= low < high <= 1; None when not given."""
    value = _parse(inputs.get(name))
    if value is None:
        return None
    if (
        not isinstance(value, Sequence)
        or len(value) != 2
        or not all(isinstance(item, (int, float)) for item in value)
        or not 0 <= value[0] < value[1] <= 1
    ):
        raise _wrong(name, "two quantiles such as [0.01, 0.99]", value)
    return float(value[0]), float(value[1])


def read_literal(value: Any) -> Any:
    """A text that reads as JSON becomes its value (`"0.1"` the number 0.1); all else stays."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _parse(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        return read_literal(value)
    return value


def _wrong(name: str, wanted: str, value: Any) -> StepError:
    return StepError(f"The input '{name}' should be {wanted}, not {value!r}.", code="invalid_input")
