"""JSON bodies of requests and answers, by orjson where it is installed and can."""

from __future__ import annotations

import json
from typing import Any

from mlq_api.serving.rows import refuse
from mlq_api.wire import dump

try:
    import orjson
except ImportError:  # it comes with the extra onnx
    orjson = None  # type: ignore[assignment]

#: Bodies up to this size are read on the event loop; larger ones would keep others waiting.
SMALL_BODY = 64 * 1024


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a request's body; NaN is read, too. Raises RowsError."""
    value = _parse(body)
    if not isinstance(value, dict):
        raise refuse("", "the body is no JSON object.")
    return value


def _parse(body: bytes) -> Any:
    if orjson is not None:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass  # json reads more, and says what is wrong
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise refuse("", f"the body is no JSON: {reason}.") from None


def dump_fast(value: Any) -> bytes:
    """As `mlq_api.wire.dump`."""
    if orjson is not None:
        try:
            return orjson.dumps(value)
        except orjson.JSONEncodeError:
            pass  # lone surrogates, times, numbers beyond 64 bits
    return dump(value)
