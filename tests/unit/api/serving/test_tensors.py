from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mlq.models.package import LoadedModel
from mlq.models.signature import Field, Signature
from mlq_api.serving import tensors
from mlq_api.serving.rows import RowsError

SIGNATURE = Signature((Field("a", "double"), Field("b", "string")))


def tensor(name: Any, data: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": [2], "datatype": "FP64", "data": data, **more}


def test_one_tensor_for_each_column() -> None:
    inputs = [
        tensor("a", [[1], [2]], shape=[2, 1]),
        tensor("b", ["x", None], datatype="BYTES"),
    ]
    assert tensors.read_inputs(inputs, SIGNATURE) == {"a": [1, 2], "b": ["x", None]}


@pytest.mark.parametrize("data", [[1, 2, 3, 4, 5, 6], [[1, 2], [3, 4], [5, 6]]])
def test_one_table_in_signature_order_flat_or_nested(data: list[Any]) -> None:
    table = tensor("input-0", data, shape=[3, 2])
    assert tensors.read_inputs([table], SIGNATURE) == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_a_table_for_a_model_without_names() -> None:
    table = tensor("input-0", [1, 2, 3, 4], shape=[2, 2])
    assert tensors.read_inputs([table], Signature()) == {"0": [1, 3], "1": [2, 4]}


def test_bool_tensors_may_hold_0_and_1() -> None:
    found = tensors.read_inputs([tensor("a", [0, True], datatype="BOOL")], SIGNATURE)
    assert found == {"a": [False, True]}


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        (None, "inputs"),
        ([], "inputs"),
        ([1], "inputs[0]"),
        ([{"name": "a"}], "inputs[0].shape"),
        ([{"name": "a", "shape": [1], "datatype": "FP64"}], "inputs[0].data"),
        ([tensor(7, [1, 2])], "inputs[0].name"),
        ([tensor("a", [1, 2], shape=[-1])], "inputs[0].shape"),
        ([tensor("a", [1, 2], shape=[True, 2])], "inputs[0].shape"),
        ([tensor("a", [1, 2], datatype="FP8")], "inputs[0].datatype"),
        ([tensor("a", "12")], "inputs[0].data"),
        ([tensor("a", [1, 2, 3])], "inputs[0].data"),
        ([tensor("a", [1, 2], shape=[1, 2])], "inputs[0].shape"),
        ([tensor("a", [1, 2]), tensor("a", [1, 2])], "inputs[1].name"),
        ([tensor("a", [1, 2]), tensor("b", [1], shape=[1])], "inputs[1].shape"),
        ([tensor("t", [1, 2, 3], shape=[1, 3])], "inputs[0].shape"),
    ],
)
def test_a_wrong_tensor_is_named(inputs: Any, path: str) -> None:
    with pytest.raises(RowsError) as refused:
        tensors.read_inputs(inputs, SIGNATURE)
    assert refused.value.problems[0].path == path


def test_deep_nesting_uses_no_stack() -> None:
    data: list[Any] = [1, 2]
    for _ in range(50_000):
        data = [data]
    assert tensors.read_inputs([tensor("a", data)], SIGNATURE) == {"a": [1, 2]}


def test_what_a_model_takes_and_gives(classifier: LoadedModel, regressor: LoadedModel) -> None:
    assert tensors.describe_inputs(classifier.signature) == [
        {"name": "months", "datatype": "FP64", "shape": [-1]},
        {"name": "plan", "datatype": "BYTES", "shape": [-1]},
    ]
    assert tensors.describe_outputs(classifier) == [
        {"name": "predict", "datatype": "BYTES", "shape": [-1]},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]},
    ]
    assert tensors.describe_outputs(regressor) == [
        {"name": "predict", "datatype": "FP64", "shape": [-1]}
    ]


@pytest.mark.parametrize(
    ("classes", "datatype", "data"),
    [
        ((0, 1), "INT64", [0, 1]),
        ((False, True), "BOOL", [False, True]),
        ((0.5, 1), "FP64", [0.5, 1]),
        (("no", "yes"), "BYTES", ["no", "yes"]),
        (("no", 1), "BYTES", ["no", "1"]),
    ],
)
def test_predictions_keep_the_type_of_their_labels(
    classes: tuple[Any, ...], datatype: str, data: list[Any]
) -> None:
    model = LoadedModel(None, SIGNATURE, "classification", classes)
    dtype = object if datatype == "BYTES" else None
    written = tensors.write_predictions(model, np.array(classes, dtype=dtype))
    assert written == {"name": "predict", "shape": [2], "datatype": datatype, "data": data}


def test_probabilities_say_which_column_is_which_label(classifier: LoadedModel) -> None:
    written = tensors.write_probabilities(classifier, np.array([[0.25, 0.75]]))
    assert json.loads(written.pop("parameters")["classes"]) == ["no", "yes"]
    assert written == {
        "name": "predict_proba",
        "shape": [1, 2],
        "datatype": "FP64",
        "data": [0.25, 0.75],
    }
