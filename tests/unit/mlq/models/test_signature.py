import numpy as np
import pandas as pd
import pytest

from mlq.errors import StepError
from mlq.models.signature import (
    Field,
    Signature,
    find_breaks,
    infer_fields,
    infer_output,
    parse_signature,
)
from tests.unit.mlq.models.conftest import COLUMNS


def test_fields_are_typed_as_mlflow_names_them(rows: pd.DataFrame) -> None:
    assert infer_fields(rows, COLUMNS) == (
        Field("n", "double", required=False),
        Field("m", "long"),
        Field("c", "string"),
        Field("f", "boolean"),
        Field("d", "datetime"),
    )
    assert infer_output(np.asarray(["a"])) == (Field("prediction", "string"),)
    assert infer_output(np.asarray([1])) == (Field("prediction", "long"),)


def test_round_trip(rows: pd.DataFrame) -> None:
    signature = Signature(infer_fields(rows, COLUMNS), infer_output(np.asarray([0.5])))
    assert parse_signature(signature.as_mlmodel()) == signature
    assert parse_signature(None) == Signature()


def test_tensors_have_no_named_inputs() -> None:
    spec = '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]'
    assert parse_signature({"inputs": spec, "outputs": None}) == Signature()


def test_check_names_what_is_missing(rows: pd.DataFrame) -> None:
    signature = Signature(infer_fields(rows, COLUMNS))
    signature.check(rows.drop(columns="n"))
    with pytest.raises(StepError) as caught:
        signature.check(pd.DataFrame({"m": [1], "ff": [True]}))
    assert caught.value.code == "invalid_rows"
    assert "the columns 'c', 'f', 'd'" in caught.value.message
    with pytest.raises(StepError, match="the column 'c'"):
        signature.check(rows.drop(columns="c"))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ([Field("age", "long"), Field("plan", "string")], []),
        ([Field("age", "double"), Field("plan", "string")], []),
        ([Field("age", "long")], []),
        ([Field("age", "long"), Field("city", "string", required=False)], []),
        ([Field("age", "long"), Field("city", "string")], ["it needs the column 'city'"]),
        ([Field("age", "string")], ["the column 'age' is string, not long"]),
        ([Field("note", "string")], ["the column 'note' may not be left out"]),
    ],
)
def test_breaks_are_what_a_caller_would_notice(wanted: list[Field], said: list[str]) -> None:
    present = Signature(
        (Field("age", "long"), Field("plan", "string"), Field("note", "string", required=False))
    )
    assert find_breaks(present, Signature(tuple(wanted))) == said


def test_another_type_of_prediction_is_a_break() -> None:
    columns = (Field("age", "long"),)
    present = Signature(columns, (Field("prediction", "string"),))
    numbers = Signature(columns, (Field("prediction", "double"),))
    assert find_breaks(present, numbers) == ["it predicts double, not string"]
    assert find_breaks(Signature(), numbers) == []
