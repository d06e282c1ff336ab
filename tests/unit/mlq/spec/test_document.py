"""Lines of key paths, and changed copies."""

from __future__ import annotations

import pytest

from mlq.errors import SpecError
from mlq.spec import parse_value, read_document, replace

TEXT = """\
type: pipeline
jobs:
  prep:
    inputs:
      params.alpha: 1
      clip: [0.1,
             0.9]
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("type", 1),
        ("jobs.prep", 3),
        ("jobs.prep.inputs.params.alpha", 5),
        ("jobs.prep.inputs.clip[1]", 7),
        ("jobs.prep.inputs.missing", 4),
        ("nowhere", 1),
        (("jobs", "prep", "inputs", "clip", 0), 6),
    ],
)
def test_lines(path: str, line: int) -> None:
    assert read_document(TEXT).line_of(path) == line


def test_json_has_no_lines() -> None:
    document = read_document('{"a": 1}', media_type="application/json")
    assert document.line_of("a") is None


def test_aliased_values_have_the_line_of_their_anchor() -> None:
    document = read_document("a: &a\n  x: 1\nb: *a")
    assert document.line_of("b.x") == 2
    assert document.line_of("b") == 3


def test_locate_finds_keys_with_dots() -> None:
    document = read_document(TEXT)
    assert document.locate("jobs.prep.inputs.params.alpha") == (
        ("jobs", "prep", "inputs", "params.alpha"),
        True,
    )
    assert document.locate("jobs.x.y") == (("jobs", "x", "y"), False)


def test_replace_changes_a_copy_only() -> None:
    document = read_document(TEXT)
    changed = replace(document, "jobs.prep.inputs.clip[0]", 0.2)
    assert changed.data["jobs"]["prep"]["inputs"]["clip"] == [0.2, 0.9]
    assert document.data["jobs"]["prep"]["inputs"]["clip"] == [0.1, 0.9]
    assert changed.line_of("jobs.prep.inputs.clip") == 6
    assert replace(document, ("new",), 1).data["new"] == 1


@pytest.mark.parametrize("path", ["jobs.pre.inputs", "type.x", "jobs.prep.inputs.clip[7].x", ""])
def test_replace_refuses_a_path_through_nothing(path: str) -> None:
    with pytest.raises(SpecError):
        replace(read_document(TEXT), path, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        (" 0.5 ", 0.5),
        ("true", True),
        ("null", None),
        ("", None),
        ("a: b", "a: b"),
        ("mlq:churn:3", "mlq:churn:3"),
        ("[1, x]", [1, "x"]),
        ("{a: 1}", {"a": 1}),
        ('"5"', "5"),
    ],
)
def test_values_of_set(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_a_broken_value_is_refused() -> None:
    with pytest.raises(SpecError):
        parse_value("[1, 2")
