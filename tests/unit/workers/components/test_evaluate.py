import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from mlq.errors import RejectedError, StepError
from mlq.models.package import load_package
from tests.unit.workers.components.conftest import Go, Ran

LOGISTIC = "sklearn.linear_model.LogisticRegression"
DUMMY = "sklearn.dummy.DummyClassifier"


def _train(go: Go, frame: pd.DataFrame, estimator: str, target: str = "y") -> Path:
    ran = go("mlq:train", data=frame, target=target, estimator=estimator, cv=0)
    path: Path = ran["model"]
    return path


@pytest.fixture
def two(houses: pd.DataFrame) -> pd.DataFrame:
    """Numeric columns and the text target `y`."""
    frame = houses.drop(columns="price")
    return frame.assign(y=np.where(houses["price"] > houses["price"].median(), "dear", "cheap"))


@pytest.fixture
def good(go: Go, two: pd.DataFrame) -> Path:
    return _train(go, two, LOGISTIC)


@pytest.fixture
def poor(go: Go, two: pd.DataFrame) -> Path:
    return _train(go, two, DUMMY)


def _report(ran: Ran) -> dict[str, object]:
    report: dict[str, object] = json.loads(ran["report"].read_text())
    return report


def test_metrics_plots_and_curves(go: Go, good: Path, two: pd.DataFrame) -> None:
    ran = go("mlq:evaluate", model=good, data=two, sources={"model": "models:/houses/1"})
    model = load_package(good)
    report = _report(ran)
    metrics = report["metrics"]
    assert isinstance(metrics, dict)
    assert metrics["accuracy"] == accuracy_score(two["y"], model.predict(two))
    assert metrics["roc_auc"] == roc_auc_score(two["y"], model.predict_proba(two)[:, 1])
    assert ran.final() == metrics
    assert report["passed"] is True
    assert report["comparison"] is None
    assert report["model"] == "models:/houses/1"
    assert report["directions"]["log_loss"] == "minimize"  # type: ignore[index]
    assert np.sum(report["confusion_matrix"]["counts"]) == 80  # type: ignore[index]
    assert sorted(path.name for path in ran["plots"].iterdir()) == sorted(report["plots"])  # type: ignore[call-overload]
    assert set(report["plots"]) == {"calibration.png", "confusion_matrix.png", "ranking.png"}  # type: ignore[call-overload]


def test_three_classes_and_numbers(go: Go, houses: pd.DataFrame) -> None:
    three = houses.assign(y=pd.qcut(houses["price"], 3, labels=["a", "b", "c"]).astype(str))
    three = three.drop(columns="price")
    report = _report(go("mlq:evaluate", model=_train(go, three, LOGISTIC), data=three))
    assert report["plots"] == ["confusion_matrix.png"]
    line = _train(go, houses, "sklearn.linear_model.Ridge", "price")
    report = _report(go("mlq:evaluate", model=line, data=houses, threshold="r2 > 0.9"))
    assert report["plots"] == ["residuals.png"]


def test_thresholds(go: Go, good: Path, two: pd.DataFrame, started: list[Ran]) -> None:
    met = ["roc_auc >= 0.8", "neg_log_loss >= -5", "recall > 0.1"]
    report = _report(go("mlq:evaluate", model=good, data=two, threshold=met))
    assert [judged["passed"] for judged in report["thresholds"]] == [True] * 3  # type: ignore[attr-defined]
    with pytest.raises(RejectedError) as caught:
        go("mlq:evaluate", model=good, data=two, threshold=["accuracy >= 1.5", met[0]])
    assert "wanted >= 1.5" in caught.value.message
    assert caught.value.numbers["passed"] is False
    assert caught.value.numbers["metrics"]["roc_auc"] > 0.8
    # What was measured is kept, for whoever wants to know why.
    scratch = started[-1].scratch
    assert json.loads((scratch / "report.json").read_text()) == caught.value.numbers
    assert (scratch / "plots" / "ranking.png").is_file()
    assert started[-1].final()["accuracy"] <= 1


def test_better_than_the_champion(go: Go, good: Path, poor: Path, two: pd.DataFrame) -> None:
    ran = go(
        "mlq:evaluate",
        model=good,
        champion=poor,
        data=two,
        min_improvement=0.1,
        sources={"champion": "models:/houses/1"},
    )
    compared = _report(ran)["comparison"]
    assert isinstance(compared, dict)
    assert compared["metric"] == "roc_auc"
    assert compared["champion"] == "models:/houses/1"
    assert compared["champion_value"] == 0.5
    assert compared["gain"] == pytest.approx(compared["value"] - 0.5)
    assert compared["interval"]["low"] <= compared["gain"] <= compared["interval"]["high"]
    assert compared["interval"]["draws"] == 1000


def test_worse_than_the_champion(go: Go, good: Path, poor: Path, two: pd.DataFrame) -> None:
    with pytest.raises(RejectedError) as caught:
        go(
            "mlq:evaluate",
            model=poor,
            champion=good,
            data=two,
            metric="neg_log_loss",
            min_improvement=0,
        )
    compared = caught.value.numbers["comparison"]
    assert compared["metric"] == "log_loss"
    assert compared["gain"] < 0
    assert compared["passed"] is False
    assert "the champion's" in caught.value.message
    assert "95 % interval" in caught.value.message


def test_as_good_as_the_champion_passes_at_zero(go: Go, good: Path, two: pd.DataFrame) -> None:
    assert go("mlq:evaluate", model=good, champion=good, data=two, min_improvement=0)
    with pytest.raises(RejectedError):
        go("mlq:evaluate", model=good, champion=good, data=two, min_improvement=0.01)


def test_no_champion_yet(go: Go, good: Path, two: pd.DataFrame) -> None:
    ran = go("mlq:evaluate", model=good, data=two, min_improvement=0.5)
    assert _report(ran)["comparison"] == {
        "champion": None,
        "metric": "roc_auc",
        "min_improvement": 0.5,
        "passed": True,
    }
    assert "There is no champion yet: the comparison passes." in ran.lines


def test_champion_is_not_looked_at_without_min_improvement(
    go: Go, good: Path, tmp_path: Path, two: pd.DataFrame
) -> None:
    ran = go("mlq:evaluate", model=good, champion=tmp_path, data=two)
    assert _report(ran)["comparison"] is None


def test_same_seed_same_report(go: Go, good: Path, poor: Path, two: pd.DataFrame) -> None:
    inputs = {"model": good, "champion": poor, "data": two, "min_improvement": 0, "seed": 3}
    one, two_ = (go("mlq:evaluate", **inputs)["report"].read_bytes() for _ in range(2))
    assert one == two_


def test_rows_of_one_class_leave_undefined_metrics_out(
    go: Go, good: Path, two: pd.DataFrame
) -> None:
    dear = two[two["y"] == "dear"]
    ran = go("mlq:evaluate", model=good, data=dear)
    assert "roc_auc" not in ran.final()
    assert "accuracy" in ran.final()
    with pytest.raises(RejectedError, match="roc_auc is undefined"):
        go("mlq:evaluate", model=good, data=dear, threshold="roc_auc >= 0.5")


def test_target_gaps_and_unseen_classes(go: Go, good: Path, two: pd.DataFrame) -> None:
    frame = two.copy()
    frame.loc[0, "y"] = None
    frame.loc[1, "y"] = "priceless"
    ran = go("mlq:evaluate", model=good, data=frame)
    assert _report(ran)["rows"] == 79
    assert any("priceless" in line for line in ran.lines)
    assert ran.final()["accuracy"] < 1


def test_labels_that_csv_reads_as_another_type(go: Go, two: pd.DataFrame, tmp_path: Path) -> None:
    frame = two.assign(y=np.where(two["y"] == "dear", "1", "0"))
    model = _train(go, frame, LOGISTIC)
    file = tmp_path / "rows.csv"
    frame.to_csv(file, index=False)
    assert go("mlq:evaluate", model=model, data=file).final()["accuracy"] > 0.9


def test_text_among_numbers_is_refused(go: Go, two: pd.DataFrame) -> None:
    codes = two.assign(y=np.where(two["y"] == "dear", 1, 0))
    model = _train(go, codes, LOGISTIC)
    with pytest.raises(StepError, match="no class of the model: castle"):
        go("mlq:evaluate", model=model, data=codes.assign(y=["castle", *["1"] * 79]))
    assert go("mlq:evaluate", model=model, data=codes.assign(y=[7, *codes["y"][1:]])).metrics


@pytest.mark.parametrize(
    ("change", "inputs", "code"),
    [
        ({}, {"target": "yy"}, "missing_column"),
        ({"y": None}, {}, "empty_data"),
        ({"y": "castle"}, {}, "invalid_target"),
        ({"area": "wide"}, {}, "invalid_rows"),
        ({}, {"threshold": "roc_auc about 1"}, "invalid_threshold"),
        ({}, {"threshold": "rok_auc >= 1"}, "unknown_metric"),
        ({}, {"threshold": "r2 >= 1"}, "invalid_metric"),
        ({}, {"metric": "nonsense", "min_improvement": 0}, "unknown_metric"),
    ],
)
def test_bad_input(
    go: Go,
    good: Path,
    two: pd.DataFrame,
    change: dict[str, object],
    inputs: dict[str, object],
    code: str,
) -> None:
    with pytest.raises(StepError) as caught:
        go("mlq:evaluate", model=good, data=two.assign(**change), **inputs)
    assert caught.value.code == code


def test_rows_that_lack_a_column(go: Go, good: Path, two: pd.DataFrame) -> None:
    with pytest.raises(StepError, match="'rooms'"):
        go("mlq:evaluate", model=good, data=two.drop(columns="rooms"))


def test_champion_of_another_kind(
    go: Go, good: Path, houses: pd.DataFrame, two: pd.DataFrame
) -> None:
    line = _train(go, houses, "sklearn.linear_model.Ridge", "price")
    with pytest.raises(StepError) as caught:
        go("mlq:evaluate", model=good, champion=line, data=two, min_improvement=0)
    assert caught.value.code == "invalid_champion"
