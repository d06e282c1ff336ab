"""What an invocation makes of a deployment's pipeline."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.spec.batch import fill_inputs, missing_inputs

PORTS = {
    "data": {"type": "uri_file"},
    "model": {"type": "mlflow_model", "path": "models:/churn@production"},
    "threshold": {"type": "number", "default": 0.5},
    "note": {"type": "string", "optional": True},
    "seed": 0,
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"data": "mlq:rows:1"},
            {
                "data": {"type": "uri_file", "path": "mlq:rows:1"},
                "model": {"type": "mlflow_model", "path": "models:/churn@production"},
                "threshold": {"type": "number", "value": 0.5},
                "seed": 0,
            },
        ),
        (
            {"data": {"type": "uri_folder", "path": "mlq:rows:2"}, "threshold": 1, "seed": 7},
            {
                "data": {"type": "uri_folder", "path": "mlq:rows:2"},
                "model": {"type": "mlflow_model", "path": "models:/churn@production"},
                "threshold": {"type": "number", "value": 1},
                "seed": 7,
            },
        ),
    ],
)
def test_inputs_take_the_place_of_ports(given: dict[str, Any], expected: dict[str, Any]) -> None:
    job, unknown = fill_inputs({"inputs": PORTS}, given)
    assert job["inputs"] == expected
    assert unknown == []


def test_what_is_missing_and_unknown_is_named() -> None:
    assert missing_inputs({"inputs": PORTS}, {}) == ["data"]
    assert fill_inputs({"inputs": PORTS}, {"dat": 1})[1] == ["dat"]
