from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mlq.ids import ID_LENGTH, SHORT_ID_LENGTH, new_id, parse_id, parse_prefix


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = new_id()
    assert len(made) == ID_LENGTH
    number = uuid.UUID(made)
    assert (number.version, number.variant) == (7, uuid.RFC_4122)


def test_its_head_is_the_time_in_milliseconds() -> None:
    far = 4_000_000_000_123_000_000  # beyond any clock, so that no earlier id gets in the way
    made = new_id(clock_ns=lambda: far, random=lambda size: b"\xff" * size)
    assert int(made[:12], 16) == 4_000_000_000_123
    assert made[16:] == "bfffffffffffffff"


def test_a_clock_that_stands_or_steps_back_keeps_the_order() -> None:
    start = 4_100_000_000_000_000_000
    clock = iter([start, start, start - 10**9, *[start] * 5000])
    made = [new_id(clock_ns=lambda: next(clock)) for _ in range(5000)]
    assert all(earlier < later for earlier, later in pairwise(made))
    # the short form, too, tells apart what was made at one moment
    assert len({one[:SHORT_ID_LENGTH] for one in made}) == 5000


def test_threads_share_one_order() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [future.result() for future in [pool.submit(_some, 500) for _ in range(8)]]
    for ids in made:
        assert ids == sorted(ids)
    assert len({one[:SHORT_ID_LENGTH] for ids in made for one in ids}) == 4000


def _some(count: int) -> list[str]:
    return [new_id() for _ in range(count)]


def test_ids_are_read_with_and_without_dashes() -> None:
    made = new_id()
    assert parse_id(made) == made
    assert parse_id(str(uuid.UUID(made)).upper()) == made
    assert parse_id(made[:-1]) is None
    assert parse_id("g" * 32) is None


@given(st.text(max_size=40))
def test_any_text_is_an_id_a_prefix_or_nothing(text: str) -> None:
    found, prefix = parse_id(text), parse_prefix(text)
    assert found is None or (len(found) == ID_LENGTH and prefix == found)
    assert prefix is None or 6 <= len(prefix) <= ID_LENGTH
    assert prefix is None or set(prefix) <= set("0123456789abcdef")


def test_prefixes() -> None:
    assert parse_prefix("0198ab") == "0198ab"
    assert parse_prefix("0198AB3C-12") == "0198ab3c12"
    assert parse_prefix("0198a") is None
    assert parse_prefix("٠١٢٣٤٥") is None
