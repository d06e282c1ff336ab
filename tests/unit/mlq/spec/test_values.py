"""Literals against ports."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.spec.builtin import BUILTIN, Port
from mlq.spec.values import BadValueError, cast_literal, describe, fits, literal_type


@pytest.mark.parametrize(
    ("value", "type", "result"),
    [
        ("0.2", "number", 0.2),
        ("5", "number", 5),
        (5, "number", 5),
        ("5", "integer", 5),
        (5.0, "integer", 5),
        ("true", "boolean", True),
        (False, "boolean", False),
        (3, "string", "3"),
        (True, "string", "true"),
        ("x", "string", "x"),
        ({"a": 1}, "object", {"a": 1}),
        ('{"a": [1]}', "object", {"a": [1]}),
        ("[1, 2]", "object", [1, 2]),
        ("roc_auc >= 0.9", "object", "roc_auc >= 0.9"),
        (5, "object", 5),
    ],
)
def test_casting(value: Any, type: str, result: Any) -> None:
    cast = cast_literal(value, Port(type))
    assert cast == result
    assert literal_type(cast) == literal_type(result)


@pytest.mark.parametrize(
    ("value", "type", "words"),
    [
        ("abc", "number", "takes a number; got 'abc'"),
        ("1_0", "number", "takes a number"),
        ("inf", "number", "takes a number"),
        (True, "number", "got true"),
        ("1.5", "integer", "takes an integer"),
        (1.5, "integer", "takes an integer"),
        (True, "integer", "takes an integer"),
        (1, "boolean", "takes true or false"),
        ([1], "string", "takes text; got a list"),
        ({}, "number", "got a mapping"),
        ("{a: 1", "object", "looks like a JSON mapping"),
        ('{"a": 1}, "b": {}', "object", "text follows its end"),
        ("[" * 80 + "]" * 80, "object", "levels deep"),
    ],
)
def test_what_does_not_fit(value: Any, type: str, words: str) -> None:
    with pytest.raises(BadValueError, match=words):
        cast_literal(value, Port(type))


def test_enum_and_bounds() -> None:
    port = Port("string", enum=("random", "stratified"))
    with pytest.raises(BadValueError) as caught:
        cast_literal("stratifed", port)
    assert caught.value.suggestion == "stratified"
    assert "one of random, stratified" in str(caught.value)
    bounded = Port("integer", minimum=0, maximum=10)
    assert cast_literal("10", bounded) == 10
    with pytest.raises(BadValueError, match="at least 0; got -1"):
        cast_literal(-1, bounded)
    with pytest.raises(BadValueError, match="at most 10; got 11"):
        cast_literal(11, bounded)


@pytest.mark.parametrize(
    ("produced", "wanted", "result"),
    [
        ("uri_file", "uri_file", True),
        ("uri_file", "uri_folder", False),
        ("uri_folder", "uri_file", False),
        ("mlflow_model", "uri_folder", True),
        ("uri_folder", "mlflow_model", True),
        ("uri_file", "mlflow_model", False),
        ("uri_file", "string", False),
        ("string", "uri_file", False),
        ("integer", "number", True),
        ("number", "integer", False),
        ("object", "string", True),
        ("string", "object", True),
        ("object", "uri_file", False),
    ],
)
def test_what_can_be_bound(produced: str, wanted: str, result: bool) -> None:
    assert fits(produced, wanted) is result


def test_descriptions() -> None:
    assert describe(None) == "nothing"
    assert describe("x" * 100).endswith("...' (text)")
    assert describe(False) == "false (a boolean)"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("roc_auc => 0.9", "does not read as a bound"),
        (["f1 >= 0.5", "acuracy >= 0.9"], "Did you mean 'accuracy'"),
    ],
)
def test_a_threshold_that_no_metric_could_meet(value: Any, words: str) -> None:
    port = BUILTIN["mlq:evaluate"].inputs["threshold"]
    with pytest.raises(BadValueError, match=words):
        cast_literal(value, port)
    assert cast_literal('["roc_auc >= 0.9"]', port) == ["roc_auc >= 0.9"]


@pytest.mark.parametrize(
    ("component", "port", "value", "words"),
    [
        ("mlq:train", "scoring", ["roc_auc", "acuracy"], "Did you mean 'accuracy'"),
        ("mlq:evaluate", "scoring", "rocauc", "There is no metric 'rocauc'"),
        ("mlq:evaluate", "metric", "f2", "There is no metric 'f2'"),
    ],
)
def test_what_a_component_would_refuse(component: str, port: str, value: Any, words: str) -> None:
    with pytest.raises(BadValueError, match=words):
        cast_literal(value, BUILTIN[component].inputs[port])


def test_a_question_keeps_its_mark() -> None:
    assert BadValueError("takes 3").sentence("The default") == "The default takes 3."
    with pytest.raises(BadValueError) as caught:
        cast_literal("roc_acu", BUILTIN["mlq:evaluate"].inputs["metric"])
    assert caught.value.sentence("It").endswith("Did you mean 'roc_auc'?")
