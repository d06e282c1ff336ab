"""Traffic as people write and read it."""

from __future__ import annotations

import click
import pytest

from mlq.cli.endpoint import parse_traffic, say_traffic


@pytest.mark.parametrize("text", ["blue=90 green=10", "blue=90,green=10", " blue=90,  green=10 "])
def test_parse_traffic(text: str) -> None:
    assert parse_traffic(text) == {"blue": 90, "green": 10}


@pytest.mark.parametrize("text", ["blue", "blue=", "=10", "blue=ten", "blue=-1", "blue:10"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not DEPLOYMENT=PERCENT"):
        parse_traffic(text)


def test_say_traffic() -> None:
    assert say_traffic({"blue": 90, "green": 10, "gray": 0}) == "blue 90 %, green 10 %"
    assert say_traffic(None) == ""
