"""Answers, field by field as the protocol's REST schema (open-inference-protocol) has them."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from mlq.db.routing import Target
from mlq.errors import MlqError
from mlq.models.package import LoadedModel
from mlq_api.serving.answers import answer_alone
from mlq_api.serving.oip import read_infer
from mlq_api.serving.rows import RowsError

TARGET = Target("churn", 3, "a" * 64)
INPUTS = [
    {"name": "months", "shape": [2], "datatype": "FP64", "data": [1, 60]},
    {"name": "plan", "shape": [2, 1], "datatype": "BYTES", "data": ["basic", "plus"]},
]


def infer(model: LoadedModel, **request: Any) -> dict[str, Any]:
    body = json.dumps({"inputs": INPUTS, **request}).encode()
    read = partial(read_infer, body, model=model, target=TARGET)
    answer: dict[str, Any] = json.loads(answer_alone(model, read).said.body)
    return answer


def test_an_answer_has_the_protocols_fields(classifier: LoadedModel) -> None:
    assert infer(classifier, id="42") == {
        "model_name": "churn",
        "model_version": "3",
        "id": "42",
        "outputs": [
            {"name": "predict", "shape": [2], "datatype": "BYTES", "data": ["yes", "no"]},
        ],
    }


def test_no_id_is_made_up(classifier: LoadedModel) -> None:
    assert "id" not in infer(classifier)


def test_outputs_on_request_in_the_order_asked_for(classifier: LoadedModel) -> None:
    asked = [{"name": "predict_proba"}, {"name": "predict"}]
    first, second = infer(classifier, outputs=asked)["outputs"]
    assert (first["name"], first["shape"], first["datatype"]) == ("predict_proba", [2, 2], "FP64")
    assert len(first["data"]) == 4
    assert second["name"] == "predict"
    by_parameter = infer(classifier, parameters={"probabilities": True})["outputs"]
    assert [output["name"] for output in by_parameter] == ["predict", "predict_proba"]


def test_a_regression_gives_numbers(regressor: LoadedModel) -> None:
    (output,) = infer(regressor)["outputs"]
    assert (output["datatype"], output["shape"]) == ("FP64", [2])
    assert output["data"] == pytest.approx([2, 120])


def test_a_tensor_too_many_is_a_parameter_that_says_so(classifier: LoadedModel) -> None:
    extra = {"name": "colour", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
    assert "'colour'" in infer(classifier, inputs=[*INPUTS, extra])["parameters"]["warnings"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 7},
        {"inputs": None},
        {"inputs": INPUTS[:1]},
        {"outputs": "predict"},
        {"outputs": [{"name": "logits"}]},
        {"outputs": [1]},
        {"inputs": [INPUTS[0] | {"data": ["a", "b"]}, INPUTS[1]]},
    ],
)
def test_a_bad_request_is_refused(classifier: LoadedModel, wrong: dict[str, Any]) -> None:
    with pytest.raises(RowsError):
        infer(classifier, **wrong)


def test_probabilities_of_a_regression_are_refused(regressor: LoadedModel) -> None:
    with pytest.raises(MlqError):
        infer(regressor, outputs=[{"name": "predict_proba"}])
