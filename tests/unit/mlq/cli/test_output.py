"""Results in the form that is asked for."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from mlq.cli.output import Column, Output, make_table

COLUMNS = [
    Column("NAME", lambda item: str(item["name"]), flexible=True),
    Column("COUNT", lambda item: str(item["count"]), right=True),
]
ITEMS = [{"name": "a" * 30, "count": 5}, {"name": "b", "count": 1234567}]


def test_lists_away_from_a_terminal_are_plain_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    Output("table").list(ITEMS, COLUMNS, name=lambda item: str(item["name"]))
    assert capsys.readouterr().out.splitlines() == [
        "NAME                              COUNT",
        f"{'a' * 30}        5",
        "b                               1234567",
    ]


def test_json_and_names_are_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    Output("json").list(ITEMS, COLUMNS, name=lambda item: str(item["name"]))
    assert json.loads(capsys.readouterr().out) == ITEMS
    Output("name").list(ITEMS, COLUMNS, name=lambda item: str(item["name"]))
    assert capsys.readouterr().out == f"{'a' * 30}\nb\n"
    Output("json").list([], COLUMNS, name=str, empty="Nothing.")
    assert capsys.readouterr() == ("[]\n", "")


def test_that_there_is_nothing_is_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    Output("table").list([], COLUMNS, name=str, empty="Nothing yet.")
    assert capsys.readouterr() == ("", "Nothing yet.\n")


def test_one_thing_is_shown_by_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    item = {"name": "churn", "file_name": "a.csv", "description": "", "tags": {}, "size": 3}
    Output("table").one(item, name="churn")
    assert capsys.readouterr().out.splitlines() == [
        "name       churn",
        "file name  a.csv",
        "size       3",
    ]
    Output("name").one(item, name="mlq:churn:1")
    assert capsys.readouterr().out == "mlq:churn:1\n"


@pytest.mark.parametrize("width", [80, 30])
def test_in_a_narrow_terminal_only_flexible_columns_are_cut(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(make_table(ITEMS, COLUMNS, width=width))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert "1234567" in lines[2]
    assert ("…" in lines[1]) == (width == 30)
