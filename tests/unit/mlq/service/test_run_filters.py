"""MLflow's search language."""

from __future__ import annotations

import pytest

from mlq.errors import MlqError
from mlq.service.run_filters import Comparison, Order, parse_filter, parse_orders


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("metrics.acc > 0.9", [("metric", "acc", ">", 0.9)]),
        ("metric.acc>=-1e-3", [("metric", "acc", ">=", -0.001)]),
        ("params.lr = '0.1'", [("param", "lr", "=", "0.1")]),
        ('params.lr != "0.1"', [("param", "lr", "!=", "0.1")]),
        ("tags.`mlflow.user` = 'ann'", [("tag", "mlflow.user", "=", "ann")]),
        (
            "tags.mlflow.parentRunId = 'a' and params.x LIKE 'a%'",
            [("tag", "mlflow.parentRunId", "=", "a"), ("param", "x", "LIKE", "a%")],
        ),
        ("status = 'FINISHED'", [("attribute", "status", "=", "FINISHED")]),
        (
            "attributes.start_time > 1664067852747",
            [("attribute", "started_at", ">", 1664067852747.0)],
        ),
        ("run_id IN ('a', 'b')", [("attribute", "id", "IN", ("a", "b"))]),
        ("tags.team NOT IN ('a')", [("tag", "team", "NOT IN", ("a",))]),
        (
            "tags.x IS NULL AND metrics.`val loss` < 2",
            [("tag", "x", "IS NULL", None), ("metric", "val loss", "<", 2.0)],
        ),
        (r"params.p = 'it\'s'", [("param", "p", "=", "it's")]),
    ],
)
def test_filters(text: str, found: list[tuple[object, ...]]) -> None:
    assert parse_filter(text) == [Comparison(*one) for one in found]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metrics.acc", "breaks off"),
        ("metrics.acc > 'high'", "where a number belongs"),
        ("metrics.acc LIKE '1%'", "does not compare a number"),
        ("params.lr > '1'", "does not compare a text"),
        ("params.lr = 0.1", "where a text belongs"),
        ("statu = 'x'", "no attribute 'statu'"),
        ("metrics.a > 1 OR metrics.b > 1", "where AND belongs"),
        ("metrics.a > 1; DROP TABLE runs", "does not read on"),
        ("tags.x IN 'a'", "in parentheses"),
        ("tags.x = 'a' " + "AND tags.x = 'a' " * 1000, "longer than"),
    ],
)
def test_what_is_no_filter(text: str, words: str) -> None:
    with pytest.raises(MlqError, match=words):
        parse_filter(text)


def test_a_misspelt_attribute_has_a_hint() -> None:
    with pytest.raises(MlqError) as caught:
        parse_filter("statu = 'x'")
    assert caught.value.hint == "Did you mean 'status'?"


def test_orders() -> None:
    assert parse_orders(["metrics.acc DESC", "start_time", "params.`a b` asc"]) == [
        Order("metric", "acc", True),
        Order("attribute", "started_at"),
        Order("param", "a b"),
    ]
    with pytest.raises(MlqError, match="where ASC or DESC belongs"):
        parse_orders(["metrics.acc downwards"])
