from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from mlq.db.routing import Target
from mlq.errors import MlqError
from mlq.models.package import LoadedModel
from mlq_api.serving.answers import answer_alone
from mlq_api.serving.endpoints import label_key, read_score
from mlq_api.serving.rows import RowsError

TARGET = Target("churn", 3, "a" * 64)
FEW, MANY = {"months": 1, "plan": "basic"}, {"months": 60, "plan": "plus"}


def answer(model: LoadedModel, body: bytes) -> dict[str, Any]:
    read = partial(read_score, body, model=model, target=TARGET, deployment="blue")
    written: dict[str, Any] = json.loads(answer_alone(model, read).said.body)
    return written


def score(model: LoadedModel, **request: Any) -> dict[str, Any]:
    return answer(model, json.dumps(request).encode())


def test_rows_are_answered_in_their_order_with_the_labels_of_training(
    classifier: LoadedModel,
) -> None:
    assert score(classifier, rows=[FEW, MANY, FEW]) == {
        "predictions": ["yes", "no", "yes"],
        "model": "models:/churn/3",
        "deployment": "blue",
    }


def test_azures_table_is_answered_the_same(classifier: LoadedModel) -> None:
    table = {"columns": ["plan", "months"], "index": [0, 1], "data": [["basic", 1], ["plus", 60]]}
    assert score(classifier, input_data=table)["predictions"] == ["yes", "no"]


def test_probabilities_on_request(classifier: LoadedModel, regressor: LoadedModel) -> None:
    few, many = score(classifier, rows=[FEW, MANY], params={"probabilities": True})["probabilities"]
    assert set(few) == {"yes", "no"}
    assert few["yes"] > 0.5 > many["yes"]
    assert sum(few.values()) == pytest.approx(1)
    with pytest.raises(MlqError) as refused:
        score(regressor, rows=[FEW], params={"probabilities": True})
    assert refused.value.code == "no_probabilities"


def test_missing_values_are_the_models_affair(regressor: LoadedModel) -> None:
    body = b'{"rows": [{"months": NaN, "plan": null}, {"months": 5, "plan": "basic"}]}'
    assert answer(regressor, body)["predictions"] == pytest.approx([52, 10])


def test_a_column_too_many_is_said(classifier: LoadedModel) -> None:
    said = score(classifier, rows=[{**FEW, "colour": "red"}])
    assert said["predictions"] == ["yes"]
    assert "'colour'" in said["warnings"][0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"months=1",
        b"[1]",
        b"\xff",
        b"{}",
        b'{"rows": [], "input_data": {}}',
        b'{"rows": [{"months": 1}]}',
        b'{"input_data": [[1]]}',
        b'{"rows": [{"months": 1, "plan": "a"}], "params": {"probabilities": "yes"}}',
        b"[" * 100_000,
        b'{"rows":' + b"[" * 100_000,
    ],
)
def test_a_bad_body_is_refused(classifier: LoadedModel, body: bytes) -> None:
    with pytest.raises(RowsError):
        answer(classifier, body)


def test_labels_as_keys_of_json() -> None:
    assert [label_key(label) for label in ("a", 1, True, 0.5)] == ["a", "1", "true", "0.5"]
