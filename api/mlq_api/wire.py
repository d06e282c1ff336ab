"""Reading and writing JSON bodies."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import Response


def iso(moment: datetime | None) -> str | None:
    """A UTC time as ISO 8601 with `Z`."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def dump(value: Any) -> bytes:
    """`value` as JSON; numbers that JSON does not know (a metric that is NaN) become null."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_default)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, default=_default)
    return text.encode(errors="backslashreplace")


def json_response(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with `value` as JSON."""
    return Response(dump(value), status_code=status, media_type="application/json", headers=headers)


def _default(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
