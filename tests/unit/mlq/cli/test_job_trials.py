"""What is typed for a trial's parameters."""

from __future__ import annotations

from typing import Any

import click
import pytest

from mlq.cli.entry import main
from mlq.cli.job_trials import parse_point


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("lr=0.1,depth=3", {"lr": 0.1, "depth": 3}),
        ("lr=1e-3", {"lr": 0.001}),
        (" kernel = rbf , shrink=true, w=null", {"kernel": "rbf", "shrink": True, "w": None}),
        ("solver=a=b", {"solver": "a=b"}),
        ('{"layers": [3, 4], "lr": 1}', {"layers": [3, 4], "lr": 1}),
    ],
)
def test_a_point_is_written_as_names_and_values_or_json(text: str, point: dict[str, Any]) -> None:
    assert parse_point(text) == point


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr", "'lr' is not NAME=VALUE"),
        ("lr=1,,", "'' is not NAME=VALUE"),
        ("=1", "'=1' is not NAME=VALUE"),
        ("lr=1,lr=2", "'lr' is given twice"),
        ("{lr: 1}", "is not JSON"),
    ],
)
def test_a_point_that_cannot_be_read_says_where(text: str, words: str) -> None:
    with pytest.raises(click.UsageError, match=words):
        parse_point(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["job", "limits", "x"], "Give at least one limit."),
        (["job", "limits", "x", "--max-total-trials", "many"], "neither a number nor 'none'"),
        (["job", "limits", "x", "--max-total-trials", "1.5"], "neither a number nor 'none'"),
        (["job", "trials", "x", "--export", "study.txt"], "ends neither in .csv nor in .db"),
        (["job", "trials", "x", "--state", "ok"], "'ok' is not one of"),
    ],
)
def test_wrong_usage_is_said_before_a_server_is_asked(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
