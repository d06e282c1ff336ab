import json
from pathlib import Path

import pandas as pd
import pytest

from mlq.errors import StepError
from mlq_workers.components.base import RegisterModel
from tests.unit.workers.components.conftest import Go


@pytest.fixture
def model(go: Go, houses: pd.DataFrame) -> Path:
    path: Path = go(
        "mlq:train", data=houses, target="price", estimator="sklearn.linear_model.Ridge"
    )["model"]
    return path


def test_metrics_are_the_reports_or_the_models_own(go: Go, model: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"metrics": {"r2": 0.5}, "passed": True}))
    ran = go("mlq:register", model=model, name="houses", report=report, description="first")
    assert ran.result is not None
    effect = ran.result.effect
    assert isinstance(effect, RegisterModel)
    assert (effect.name, effect.metrics, effect.description) == ("houses", {"r2": 0.5}, "first")
    assert effect.report["passed"] is True
    ran = go("mlq:register", model=model, name="houses")
    assert ran.result is not None
    assert isinstance(ran.result.effect, RegisterModel)
    assert set(ran.result.effect.metrics) == {
        "r2",
        "root_mean_squared_error",
        "mean_absolute_error",
    }


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-x", "a b", "x" * 200])
def test_names_that_cannot_be(go: Go, model: Path, name: str) -> None:
    with pytest.raises(StepError) as caught:
        go("mlq:register", model=model, name=name)
    assert caught.value.code == "invalid_name"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"metrics": 1}'])
def test_report_that_is_none(go: Go, model: Path, tmp_path: Path, content: str) -> None:
    report = tmp_path / "report.json"
    report.write_text(content)
    with pytest.raises(StepError) as caught:
        go("mlq:register", model=model, name="houses", report=report)
    assert caught.value.code == "invalid_report"


def test_folder_that_is_no_model(go: Go, tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        go("mlq:register", model=tmp_path, name="houses")
    assert caught.value.code == "invalid_model"
