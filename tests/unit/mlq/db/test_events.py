from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlq.db.events import Cursor

NUMBERS = st.integers(0, 2**62)


@given(NUMBERS, NUMBERS)
def test_a_cursor_survives_the_way_through_a_client(txid: int, number: int) -> None:
    cursor = Cursor(txid, number)
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text", ["", ".", "1", "1.", ".1", "-1.2", "1.2.3", "a.b", "1.²", "1" * 60]
)
def test_anything_else_is_refused(text: str) -> None:
    assert Cursor.parse(text) is None


def test_cursors_are_ordered_by_transaction_first() -> None:
    assert Cursor(1, 9) < Cursor(2, 1) < Cursor(2, 2)
