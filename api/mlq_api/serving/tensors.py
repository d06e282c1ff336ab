"""Tensors of the Open Inference Protocol: to columns of rows, and from predictions.

A request has one tensor for each column (shape [n] or [n, 1]), or a single two-dimensional one
whose columns are in the signature's order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlq.models.signature import Signature
from mlq_api.serving.rows import refuse

if TYPE_CHECKING:
    import numpy as np

    from mlq.models.package import LoadedModel

PREDICT = "predict"
PREDICT_PROBA = "predict_proba"

_INTEGERS = frozenset(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
_FLOATS = frozenset({"FP16", "FP32", "FP64"})
_DATATYPES = _INTEGERS | _FLOATS | {"BOOL", "BYTES"}
#: Column types of a signature -> the tensor type that carries them. Times travel as text.
_DATATYPE_OF = {
    "double": "FP64",
    "float": "FP32",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
}


def read_inputs(inputs: Any, signature: Signature) -> dict[str, list[Any]]:
    """Columns from the `inputs` of a request. Raises RowsError naming the tensor."""
    if not isinstance(inputs, list) or not inputs:
        raise refuse("inputs", "expected a list of tensors, one for each column")
    names = [field.name for field in signature.inputs]
    if len(inputs) == 1 and _is_table(inputs[0], names):
        return _read_table(inputs[0], names)
    columns: dict[str, list[Any]] = {}
    count: int | None = None
    for place, tensor in enumerate(inputs):
        name, shape, values = _read_tensor(tensor, f"inputs[{place}]")
        if name in columns:
            raise refuse(f"inputs[{place}].name", f"'{name}' is there twice")
        if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
            raise refuse(f"inputs[{place}].shape", f"'{name}' is a column: use [n] or [n, 1]")
        if count is not None and len(values) != count:
            raise refuse(
                f"inputs[{place}].shape", f"'{name}' has {len(values)} rows, others have {count}"
            )
        count = len(values)
        columns[name] = values
    return columns


def _is_table(tensor: Any, names: Sequence[str]) -> bool:
    if not isinstance(tensor, Mapping) or tensor.get("name") in names:
        return False
    shape = tensor.get("shape")
    return isinstance(shape, list) and len(shape) == 2


def _read_table(tensor: Any, names: Sequence[str]) -> dict[str, list[Any]]:
    _, (_, width), values = _read_tensor(tensor, "inputs[0]")
    names = names or [str(number) for number in range(width)]
    if width != len(names):
        raise refuse(
            "inputs[0].shape",
            f"the model has {len(names)} columns, not {width}: {', '.join(names):.400}",
        )
    return {name: values[place::width] for place, name in enumerate(names)}


def _read_tensor(tensor: Any, path: str) -> tuple[str, list[int], list[Any]]:
    if not isinstance(tensor, Mapping):
        raise refuse(path, "expected a tensor: an object with name, shape, datatype and data")
    for key in ("name", "shape", "datatype", "data"):
        if key not in tensor:
            raise refuse(f"{path}.{key}", "is missing")
    name, shape, datatype = tensor["name"], tensor["shape"], tensor["datatype"]
    if not isinstance(name, str):
        raise refuse(f"{path}.name", "expected text")
    if (
        not isinstance(shape, list)
        or not shape
        or not all(type(size) is int and size >= 0 for size in shape)
    ):
        raise refuse(f"{path}.shape", "expected a list of whole numbers")
    if datatype not in _DATATYPES:
        known = ", ".join(sorted(_DATATYPES))
        raise refuse(f"{path}.datatype", f"expected one of {known}, got {datatype!r:.40}")
    if not isinstance(tensor["data"], list):
        raise refuse(f"{path}.data", "expected a list")
    values = list(_flatten(tensor["data"]))
    if len(values) != math.prod(shape):
        raise refuse(f"{path}.data", f"{len(values)} values do not fill the shape {shape}")
    if datatype == "BOOL":
        values = [bool(value) if value in (0, 1) else value for value in values]
    return name, shape, values


def _flatten(data: list[Any]) -> Iterator[Any]:
    # Depth on the heap: a body of nested brackets must not use up the stack.
    pending = [iter(data)]
    while pending:
        for value in pending[-1]:
            if isinstance(value, list):
                pending.append(iter(value))
                break
            yield value
        else:
            pending.pop()


def describe_inputs(signature: Signature) -> list[dict[str, Any]]:
    """The tensors that a model takes, one for each column."""
    return [
        {"name": field.name, "datatype": _DATATYPE_OF.get(field.type, "BYTES"), "shape": [-1]}
        for field in signature.inputs
    ]


def describe_outputs(model: LoadedModel) -> list[dict[str, Any]]:
    """The tensors that a model gives."""
    outputs = [{"name": PREDICT, "datatype": _label_datatype(model), "shape": [-1]}]
    if model.has_probabilities:
        shape = [-1, len(model.classes)]
        outputs.append({"name": PREDICT_PROBA, "datatype": "FP64", "shape": shape})
    return outputs


def write_predictions(model: LoadedModel, predictions: np.ndarray) -> dict[str, Any]:
    """The tensor of predictions, shape [n]: labels as in the training data, or numbers."""
    datatype = _label_datatype(model)
    values = predictions.tolist()
    if datatype == "BYTES":
        values = [value if isinstance(value, str) else str(value) for value in values]
    return {"name": PREDICT, "shape": [len(values)], "datatype": datatype, "data": values}


def write_probabilities(model: LoadedModel, probabilities: np.ndarray) -> dict[str, Any]:
    """The tensor of probabilities, shape [n, classes], row-major.

    Its parameter `classes` holds the labels of the columns as a JSON list, since a parameter's
    value is text, a number or a boolean.
    """
    return {
        "name": PREDICT_PROBA,
        "shape": list(probabilities.shape),
        "datatype": "FP64",
        "parameters": {"classes": json.dumps(list(model.classes))},
        "data": probabilities.ravel().tolist(),
    }


def _label_datatype(model: LoadedModel) -> str:
    kinds = {type(label) for label in model.classes}
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    if kinds <= {int, float}:  # numbers, or no classes: a regression
        return "FP64"
    return "BYTES"
