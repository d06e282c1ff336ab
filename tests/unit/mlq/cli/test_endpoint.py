"""Traffic as people write and read it."""

from __future__ import annotations

import click
import pytest

from mlq.cli.endpoint import parse_traffic, read_truths, say_traffic


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


@pytest.mark.parametrize(
    ("truth", "read"), [("yes", "yes"), ("1", 1), ('["yes", null]', ["yes", None]), ("true", True)]
)
def test_a_truth_is_json_or_text(truth: str, read: object) -> None:
    assert read_truths("order-17", truth, None) == {"order-17": read}


@pytest.mark.parametrize(
    "written",
    [
        '{"a": ["yes"], "b": 1}',
        '{"items": [{"request_id": "a", "truth": ["yes"]}, {"request_id": "b", "truth": 1}]}',
        '[{"request_id": "a", "truth": ["yes"]}, {"request_id": "b", "truth": 1}]',
    ],
)
def test_truths_from_a_file(written: str) -> None:
    assert read_truths(None, None, written) == {"a": ["yes"], "b": 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a", None, None), "--request-id and --truth"),
        (("a", "1", "{}"), "leave out"),
        ((None, None, "{"), "no JSON"),
        ((None, None, "[]"), "no truths"),
        ((None, None, '[{"request_id": "a"}]'), "Entry 0"),
    ],
)
def test_feedback_that_says_too_little_is_refused(
    arguments: tuple[str | None, ...], said: str
) -> None:
    with pytest.raises(click.UsageError, match=said):
        read_truths(*arguments)
