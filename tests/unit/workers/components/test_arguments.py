import pytest

from mlq.errors import StepError
from mlq_workers.components.arguments import (
    read_literal,
    read_mapping,
    read_names,
    read_quantiles,
)


def test_mappings_may_be_json() -> None:
    assert read_mapping({"p": '{"C": 1}'}, "p") == read_mapping({"p": {"C": 1}}, "p") == {"C": 1}
    assert read_mapping({}, "p") == {}
    with pytest.raises(StepError, match="'p' should be a mapping"):
        read_mapping({"p": [1]}, "p")


def test_names() -> None:
    assert read_names({"s": "f1"}, "s") == ["f1"]
    assert read_names({"s": '["f1", "r2"]'}, "s") == ["f1", "r2"]
    assert read_names({}, "s") == []
    with pytest.raises(StepError):
        read_names({"s": [1]}, "s")


def test_quantiles() -> None:
    assert read_quantiles({"q": "[0.01, 0.99]"}, "q") == (0.01, 0.99)
    assert read_quantiles({}, "q") is None
    for wrong in ([0.9, 0.1], [0.1], [0, 2], "half", 0.1):
        with pytest.raises(StepError):
            read_quantiles({"q": wrong}, "q")


def test_literals() -> None:
    assert [read_literal(text) for text in ("0.1", "null", "sqrt", "[1, 2]", 3)] == [
        0.1,
        None,
        "sqrt",
        [1, 2],
        3,
    ]
