"""What is typed for a trial's parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click
import pytest

from mlq.cli.entry import main
from mlq.cli.job_trials import parse_point, require_metric, require_replaceable
from mlq.client.documents import Trial
from mlq.errors import ConflictError, MlqError


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
        (["job", "limits", "x", "--max-total-trials", "0"], "'--max-total-trials': 0 is out of"),
        (["job", "limits", "x", "--max-concurrent-trials", "1001"], "at most 1,000"),
        (["job", "limits", "x", "--timeout", "-1"], "'--timeout': -1 is out of range"),
        (["job", "limits", "x", "--timeout", "nan"], "'--timeout': nan is out of range"),
        (["job", "trials", "x", "--export", "study.txt"], "ends neither in .csv nor in .db"),
        (["job", "trials", "x", "--state", "ok"], "'ok' is not one of"),
    ],
)
def test_wrong_usage_is_said_before_a_server_is_asked(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "earlier", "foreign"),
    [
        ("t.csv", b"number,state,reason,value\n", b"name,value\n"),
        ("t.db", b"SQLite format 3\0...", b"my notes"),
    ],
)
def test_an_export_replaces_only_an_earlier_one(
    name: str, earlier: bytes, foreign: bytes, tmp_path: Path
) -> None:
    file = tmp_path / name
    require_replaceable(file)
    file.write_bytes(earlier)
    require_replaceable(file)
    file.write_bytes(foreign)
    with pytest.raises(ConflictError, match="is there already") as caught:
        require_replaceable(file)
    assert "--force" in caught.value.hint


def test_a_metric_to_sort_by_that_no_trial_has_is_refused() -> None:
    found = [cast(Trial, {"metrics": {"roc_auc": 0.9}}), cast(Trial, {"metrics": {}})]
    for sort in ("number", "-value", "metric:roc_auc", "-metric:roc_auc"):
        require_metric(sort, found)
    require_metric("metric:banana", [])  # nothing was measured yet
    for sort, hint in (("metric:banana", "There are roc_auc."), ("-metric:roc_acu", "roc_auc'?")):
        with pytest.raises(MlqError, match="No trial has a metric") as caught:
            require_metric(sort, found)
        assert caught.value.hint.endswith(hint)
