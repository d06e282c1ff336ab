"""What the reader takes, and what it refuses with file, line and key path."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlq.errors import SpecError, SpecProblem
from mlq.spec import read_document
from mlq.spec.reader import MAX_BYTES, MAX_DEPTH


def refused(text: str | bytes, **options: Any) -> SpecProblem:
    with pytest.raises(SpecError) as caught:
        read_document(text, file="job.yml", **options)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].file == "job.yml"
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("1e-3", 0.001),
        ("0x10", 16),
        ("0o17", 15),
        ("-3", -3),
        (".5", 0.5),
        ("5.", 5.0),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("~", None),
        ("", None),
        ("True", True),
        ("1.2.3", "1.2.3"),
        ("+", "+"),
        ("models:/churn@production", "models:/churn@production"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    assert read_document(f"x: {text}").data == {"x": value}


def test_keys_are_text_as_written() -> None:
    assert read_document("1: a\nno: b\n1.50: c").data == {"1": "a", "no": "b", "1.50": "c"}


def test_anchors_and_merges_are_written_out() -> None:
    text = "base: &b {x: 1, y: 2}\nz:\n  <<: *b\n  y: 3\nw: {<<: [*b, {y: 9, v: 4}]}"
    assert read_document(text).data == {
        "base": {"x": 1, "y": 2},
        "z": {"y": 3, "x": 1},
        "w": {"x": 1, "y": 2, "v": 4},
    }


def test_a_merge_of_no_mapping_is_refused() -> None:
    assert "`<<` merges" in refused("x: {<<: 5}").message


@pytest.mark.parametrize(
    "tag", ["!!python/object:os.system", "!!python/object/apply:os.system", "!custom", "!!binary"]
)
@pytest.mark.parametrize("value", ["x", "[x]", "{x: 1}"])
def test_tags_are_refused(tag: str, value: str) -> None:
    problem = refused(f"a: 1\nb: {tag} {value}")
    assert "is not allowed" in problem.message
    assert problem.line == 2
    assert problem.path == "b"


def test_duplicate_keys_are_refused_with_both_lines() -> None:
    problem = refused("jobs:\n  a: 1\n  b: 2\n  a: 3")
    assert problem.path == "jobs.a"
    assert problem.line == 4
    assert "first on line 2" in problem.message


def test_duplicate_keys_in_json_are_refused_with_their_path() -> None:
    problem = refused('{"jobs": {"a": 1, "a": 2}}', media_type="application/json")
    assert problem.path == "jobs.a"
    assert "written twice" in problem.message


def test_an_alias_bomb_is_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "more than 200,000 values" in refused("\n".join(lines)).message


def test_an_alias_inside_its_own_anchor_is_refused() -> None:
    assert "inside, its anchor" in refused("a: &a [1, *a]").message


@pytest.mark.parametrize(
    ("text", "media_type"),
    [
        ("[" * 100_000, "application/yaml"),
        ("x: " + "[" * 100 + "]" * 100, "application/yaml"),
        ('{"x": ' * 100_000, "application/json"),
        ('{"x": ' * 70 + "1" + "}" * 70, "application/json; charset=utf-8"),
    ],
)
def test_deep_nesting_is_refused(text: str, media_type: str) -> None:
    assert f"more than {MAX_DEPTH} levels" in refused(text, media_type=media_type).message


def test_depth_through_aliases_counts() -> None:
    half = "[" * 40 + "]" * 40
    opened = "[" * 40 + "*a" + "]" * 40
    assert "levels deep" in refused(f"x: &a {half}\ny: {opened}").message


def test_too_many_bytes_have_a_code_of_their_own() -> None:
    with pytest.raises(SpecError) as caught:
        read_document(b"x: " + b"a" * MAX_BYTES)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        (b"a: 1\nb: \xff", "not UTF-8", 2),
        ("a: 1\n---\nb: 2", "one document", 2),
        ("a: [1, 2\nb: 3", "This is not YAML", 2),
        ("", "is empty", 1),
        ("# nothing", "is empty", 1),
        ("- a", "holds no mapping", 1),
        ("a: 1\nb: .inf", "not finite", 2),
        ("a: 1\nb: 1e999", "not finite", 2),
        ("a: 99999999999999999999", "64 bits", 1),
        ("a: " + "9" * 5000, "64 bits", 1),
        ('a: "\\0"', "NUL", 1),
        ("? [a]\n: 1", "A key must be text", 1),
        ("x: &a 1\n*a : 2", "A key must be text", 2),
        ("\ud800: 1", "half a character", None),
        ("a: \x01", "This is not YAML", None),
    ],
)
def test_bad_yaml_names_the_line(text: str | bytes, words: str, line: int | None) -> None:
    problem = refused(text)
    assert words in problem.message
    assert problem.line == line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("{", "This is not JSON"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": 1e999}', "not finite"),
        ('{"a": ' + "9" * 5000 + "}", "This is not JSON"),
        ('{"a": 99999999999999999999}', "64 bits"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"a\\u0000": 1}', "A key here"),
        ("[1]", "holds no mapping"),
        ("null", "is empty"),
    ],
)
def test_bad_json_says_why(text: str, words: str) -> None:
    assert words in refused(text, media_type="application/problem+json").message


def test_json_errors_have_a_line() -> None:
    assert refused('{"a": 1,\n "b" 2}', media_type="application/json").line == 2


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(), PLAIN, max_size=5))
def test_any_json_is_read_back_or_refused(data: dict[str, Any]) -> None:
    try:
        document = read_document(json.dumps(data), media_type="application/json")
    except SpecError:
        return
    assert document.data == data


@settings(deadline=None)  # the machine may be busy
@given(st.text() | st.binary())
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    with suppress(SpecError):
        assert isinstance(read_document(text).data, dict)
