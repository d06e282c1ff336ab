import io
import json
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC, SVR

from mlq.errors import StepError
from mlq.models.package import load_package, read_mlmodel
from tests.unit.mlq.models.conftest import COLUMNS, Write, build

CLASSIFIERS = [
    LogisticRegression(max_iter=5000),
    HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5),
    RandomForestClassifier(5, random_state=0),
    ExtraTreesClassifier(5, random_state=0),
    GradientBoostingClassifier(n_estimators=5, random_state=0),
    SVC(),
    SGDClassifier(random_state=0),
    GaussianNB(),
    KNeighborsClassifier(),
    MLPClassifier((4,), max_iter=5, random_state=0),
    LinearDiscriminantAnalysis(),
    CalibratedClassifierCV(SVC(), cv=2),
    StackingClassifier([("t", RandomForestClassifier(3, random_state=0))], cv=2),
]
REGRESSORS = [
    Ridge(),
    LinearRegression(),
    ElasticNet(),
    HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=5),
    RandomForestRegressor(5, random_state=0),
    GradientBoostingRegressor(n_estimators=5, random_state=0),
    SVR(),
    GaussianProcessRegressor(),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda item: type(item).__name__)
def test_classifiers_come_back_identical(
    write: Write, rows: pd.DataFrame, labels: np.ndarray, estimator: object
) -> None:
    fitted = build(estimator).fit(rows, labels)
    model = write(fitted)
    assert model.classes == ("few", "many")
    np.testing.assert_array_equal(model.predict(rows), fitted.predict(rows))
    assert model.has_probabilities == hasattr(fitted, "predict_proba")
    if model.has_probabilities:
        np.testing.assert_array_equal(model.predict_proba(rows), fitted.predict_proba(rows))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", REGRESSORS, ids=lambda item: type(item).__name__)
def test_regressors_come_back_identical(
    write: Write, rows: pd.DataFrame, estimator: object
) -> None:
    fitted = build(estimator).fit(rows, rows["m"] * 2.5)
    model = write(fitted, task="regression")
    assert (model.task, model.classes, model.has_probabilities) == ("regression", (), False)
    np.testing.assert_array_equal(model.predict(rows), fitted.predict(rows))


@pytest.mark.parametrize("values", [["a", "b", "c"], [0, 1], [True, False], [10, 20, 30]])
def test_labels_keep_their_type(write: Write, rows: pd.DataFrame, values: list[object]) -> None:
    target = np.asarray([values[n % len(values)] for n in range(60)])
    model = write(build(GaussianNB()).fit(rows, target))
    assert list(model.classes) == sorted(values)
    assert {type(label) for label in model.predict(rows).tolist()} == {type(values[0])}


@pytest.fixture
def package(write: Write, rows: pd.DataFrame, labels: np.ndarray, tmp_path: Path) -> Path:
    """A stored classifier."""
    fitted = build(HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5))
    write(fitted.fit(rows, labels), seed=3)
    return tmp_path / "model"


def _change(package: Path, **sklearn_flavor: object) -> Path:
    document = read_mlmodel(package)
    document["flavors"]["sklearn"] |= sklearn_flavor
    (package / "MLmodel").write_text(yaml.safe_dump(document))
    return package


def _refused(package: Path) -> StepError:
    with pytest.raises(StepError) as caught:
        load_package(package)
    return caught.value


def test_what_a_package_says(package: Path, rows: pd.DataFrame) -> None:
    model = load_package(package)
    assert model.metadata["seed"] == 3
    assert model.target == "y"
    assert [field.name for field in model.signature.inputs] == [item["name"] for item in COLUMNS]
    example = json.loads((package / "input_example.json").read_text())
    frame = pd.DataFrame(example["data"], columns=example["columns"])
    assert model.predict(frame).tolist() == model.predict(rows.head(3)).tolist()
    assert example["data"][2][0] is None
    requirements = (package / "requirements.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in requirements if "==" in line} == {
        "numpy",
        "pandas",
        "scikit-learn",
        "skops",
    }


def test_rows_that_do_not_fit(package: Path, rows: pd.DataFrame) -> None:
    model = load_package(package)
    for bad in (rows.drop(columns="m"), rows.assign(m="many"), rows[[]]):
        for predict in (model.predict, model.predict_proba):
            with pytest.raises(StepError) as caught:
                predict(bad)
            assert caught.value.code == "invalid_rows"


def test_no_rows_give_no_predictions(package: Path, rows: pd.DataFrame) -> None:
    model = load_package(package)
    assert model.predict(rows.head(0)).tolist() == []
    assert model.predict_proba(rows.head(0)).shape == (0, 2)


def test_no_probabilities(write: Write, rows: pd.DataFrame, labels: np.ndarray) -> None:
    model = write(build(SVC()).fit(rows, labels))
    with pytest.raises(StepError) as caught:
        model.predict_proba(rows)
    assert caught.value.code == "no_probabilities"


class Explosive:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("format_", ["pickle", "cloudpickle", None])
def test_pickles_are_not_opened(package: Path, tmp_path: Path, format_: str | None) -> None:
    (package / "model.pkl").write_bytes(pickle.dumps(Explosive(tmp_path / "boom")))
    _change(package, serialization_format=format_, pickled_model="model.pkl")
    assert _refused(package).code == "untrusted_model"
    _change(package, serialization_format="skops")
    assert _refused(package).code == "invalid_model"
    assert not (tmp_path / "boom").exists()


def test_a_package_cannot_vouch_for_itself(package: Path) -> None:
    trusted = read_mlmodel(package)["flavors"]["sklearn"]["skops_trusted_types"]
    assert _refused(_change(package, skops_trusted_types=[*trusted, "os.system"])).code == (
        "untrusted_model"
    )
    assert "does not name" in _refused(_change(package, skops_trusted_types=[])).message
    assert _refused(_change(package, skops_trusted_types="all")).code == "invalid_model"


def test_functions_of_ones_own_are_not_stored(
    write: Write, rows: pd.DataFrame, labels: np.ndarray
) -> None:
    pipeline = build(LogisticRegression())
    pipeline.steps.insert(2, ("own", FunctionTransformer(np.nan_to_num)))
    pipeline.fit(rows, labels)
    with pytest.raises(StepError) as caught:
        write(pipeline)
    assert caught.value.code in ("untrusted_model", "model_not_storable")


def test_crafted_trees_are_refused(package: Path, tmp_path: Path) -> None:
    """One index in a node array is changed, all else is as mlq wrote it."""
    source, crafted = package / "model.skops", tmp_path / "crafted"
    changed = 0
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(crafted, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if b"'feature_idx'" in content[:600]:
                nodes = np.load(io.BytesIO(content))
                nodes["left"][0] = 1_000_000
                changed += 1
                buffer = io.BytesIO()
                np.save(buffer, nodes)
                content = buffer.getvalue()
            new.writestr(name, content)
    assert changed
    shutil.copy(crafted, source)
    error = _refused(package)
    assert error.code == "untrusted_model"
    assert "point outside" in error.message


def test_damaged_packages(package: Path, tmp_path: Path) -> None:
    assert _refused(tmp_path / "nowhere").code == "invalid_model"
    (package / "model.skops").write_bytes((package / "model.skops").read_bytes()[:500])
    assert _refused(package).code == "invalid_model"
    for text in ("", "- a", "flavors: 3", "{", "flavors: {}", "!!python/object/apply:os.getcwd []"):
        (package / "MLmodel").write_text(text)
        assert _refused(package).code == "invalid_model"


def test_paths_stay_inside(package: Path, tmp_path: Path) -> None:
    shutil.copy(package / "model.skops", tmp_path / "outside.skops")
    assert _refused(_change(package, pickled_model="../outside.skops")).code == "invalid_model"
    (package / "link.skops").symlink_to(tmp_path / "outside.skops")
    assert _refused(_change(package, pickled_model="link.skops")).code == "invalid_model"


def test_mlflow_loads_it(package: Path, rows: pd.DataFrame) -> None:
    pyfunc = pytest.importorskip("mlflow.pyfunc")
    loaded = pyfunc.load_model(str(package))
    ours = load_package(package)
    np.testing.assert_array_equal(loaded.predict(rows), ours.predict(rows))
    assert loaded.metadata.signature.inputs.input_names() == [item["name"] for item in COLUMNS]


def test_what_mlflow_wrote_loads(
    tmp_path: Path, rows: pd.DataFrame, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    flavor = pytest.importorskip("mlflow.sklearn")
    numbers = rows[["m"]].astype(float)
    fitted = LogisticRegression().fit(numbers, labels)
    flavor.save_model(
        fitted,
        tmp_path / "theirs",
        input_example=numbers.head(2),
        serialization_format="skops",
        pip_requirements=["scikit-learn"],
        skops_trusted_types=["numpy.dtype"],
    )
    model = load_package(tmp_path / "theirs")
    assert (model.task, model.classes, model.target) == ("classification", ("few", "many"), None)
    np.testing.assert_array_equal(model.predict(numbers), fitted.predict(numbers))
    assert "mlflow" in sys.modules
