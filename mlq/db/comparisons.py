"""Comparisons that a caller names, as SQL."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement

_OPERATORS: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "IN": lambda found, value: found.in_(list(value)),
    "NOT IN": lambda found, value: found.not_in(list(value)),
    "LIKE": lambda found, value: found.like(value),
    "ILIKE": lambda found, value: found.ilike(value),
    "IS NULL": lambda found, _: found.is_(None),
    "IS NOT NULL": lambda found, _: found.is_not(None),
}


def compare(column: ColumnElement[Any], op: str, value: Any) -> ColumnElement[bool]:
    """`column OP value`; op: as `mlq.service.run_filters` reads it. Raises KeyError for another."""
    return _OPERATORS[op](column, value)
