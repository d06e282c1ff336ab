"""What is said of a trial's values of another kind."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.service.steering import say_how_to_write


@pytest.mark.parametrize(
    ("value", "kinds", "hint"),
    [
        (3, ["text"], 'As JSON it is text: {"x": "3"}.'),
        (True, ["a number", "text"], 'As JSON it is text: {"x": "true"}.'),
        ("3", ["a number"], 'Without quotes it is a number: {"x": 3}.'),
        ("false", ["true or false"], 'Without quotes it is true or false: {"x": false}.'),
        ("abc", ["a number"], "Give 'x' a number."),
        (None, ["a number"], "Give 'x' a number."),
        ([1], ["a number", "text"], "Give 'x' a number or text."),
    ],
)
def test_quotes_are_spoken_of_where_they_help(value: Any, kinds: list[str], hint: str) -> None:
    assert say_how_to_write("x", value, kinds) == hint
