from pathlib import Path

import pandas as pd
import pytest

from mlq.errors import StepError
from tests.unit.workers.components.conftest import Go


@pytest.fixture
def model(go: Go, people: pd.DataFrame) -> Path:
    prep = go("mlq:preprocess", data=people, target="left")
    path: Path = go(
        "mlq:train",
        data=prep["train"],
        recipe=prep["recipe"],
        estimator="sklearn.linear_model.LogisticRegression",
        cv=0,
    )["model"]
    return path


def test_predictions_stand_beside_the_rows(go: Go, model: Path, people: pd.DataFrame) -> None:
    rows = people.drop(columns="left")
    table = pd.read_parquet(
        go("mlq:score", model=model, data=rows, probabilities=True)["predictions"]
    )
    assert [*rows.columns, "prediction", "probability_no", "probability_yes"] == list(table.columns)
    assert table[["probability_no", "probability_yes"]].sum(axis=1).to_list() == pytest.approx(
        [1.0] * 100
    )
    likely = table["probability_yes"] > 0.5
    assert (table["prediction"] == likely.map({True: "yes", False: "no"})).all()


def test_predictions_alone(go: Go, model: Path, people: pd.DataFrame) -> None:
    ran = go("mlq:score", model=model, data=people, keep_columns=False)
    assert list(pd.read_parquet(ran["predictions"]).columns) == ["prediction"]


def test_scoring_again_replaces(go: Go, model: Path, people: pd.DataFrame) -> None:
    ran = go("mlq:score", model=model, data=people.assign(prediction="old"))
    assert "old" not in set(pd.read_parquet(ran["predictions"])["prediction"])
    assert any("Replaced" in line for line in ran.lines)


def test_rows_that_lack_a_column(go: Go, model: Path, people: pd.DataFrame) -> None:
    with pytest.raises(StepError, match="'active'"):
        go("mlq:score", model=model, data=people.drop(columns="active"))
    with pytest.raises(StepError, match="'old' is not a number"):
        go("mlq:score", model=model, data=people.assign(age="old"))
