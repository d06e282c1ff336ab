from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from mlq.db.types import Id, Timestamp, dump_json, storable

ANY_TEXT = st.text(st.characters(exclude_categories=[]))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
)


@given(ANY_TEXT)
def test_storable_text_is_what_both_databases_take(text: str) -> None:
    stored = storable(text)
    assert "\x00" not in stored
    stored.encode()
    if "\x00" not in text and not any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
        assert stored == text


@given(ANY_JSON)
def test_any_value_becomes_strict_json(value: Any) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    read = json.loads(dump_json(value), parse_constant=refuse)
    assert "\x00" not in _texts(read)
    _texts(read).encode()


def _texts(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(_texts(key) + _texts(item) for key, item in value.items())
    if isinstance(value, list):
        return "".join(map(_texts, value))
    return value if isinstance(value, str) else ""


def test_ordinary_json_is_left_as_it_is() -> None:
    value = {"a": [1, 2.5, None, True, "ä😀", "\\u0000", "\\ud800"], "b": {"c": ()}}
    assert json.loads(dump_json(value)) == {**value, "b": {"c": []}}
    assert json.loads(dump_json([math.inf, -math.inf, math.nan])) == [None] * 3


def test_ids_are_hex_outside_and_native_inside() -> None:
    made = "0198" * 8
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        bound = Id().process_bind_param(made, dialect)
        assert Id().process_result_value(bound, dialect) == made
        assert Id().process_bind_param(None, dialect) is None


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_times_keep_their_microseconds(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    dialect = sqlite.dialect()
    bound = Timestamp().process_bind_param(moment, dialect)
    assert isinstance(bound, int)
    assert Timestamp().process_result_value(bound, dialect) == moment
    later = moment + timedelta(microseconds=1)
    assert Timestamp().process_bind_param(later, dialect) == bound + 1
