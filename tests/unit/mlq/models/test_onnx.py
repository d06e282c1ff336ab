from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlq.models import onnx
from mlq.models.package import load_package, read_mlmodel, write_package
from mlq_workers.components.recipe import Recipe, build_pipeline

COLUMNS = [{"name": name, "kind": "number", "required": False} for name in "abc"]


def make_rows(count: int = 200) -> pd.DataFrame:
    values = np.random.default_rng(3).normal(size=(count, 3)) * [1, 100, 1e-3]
    values[::7, 1] = np.nan
    return pd.DataFrame(values, columns=list("abc"))


ROWS = make_rows()
SIGN = np.where(ROWS["a"] + ROWS["c"] * 300 > 0, "up", "down")


def write(path: Path, estimator: Any, target: Any, *, task: str = "classification") -> None:
    recipe = Recipe("t", tuple(COLUMNS), clip=(0.05, 0.95))
    write_package(
        path,
        build_pipeline(recipe, estimator).fit(ROWS, target),
        columns=COLUMNS,
        rows=ROWS,
        task=task,
        target="t",
        metadata={},
    )


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), RandomForestClassifier(5, random_state=0)]
)
def test_a_recipe_and_its_estimator_answer_the_same_as_onnx(tmp_path: Path, estimator: Any) -> None:
    write(tmp_path / "model", estimator, SIGN)
    assert read_mlmodel(tmp_path / "model")["flavors"]["onnx"]["data"] == onnx.ONNX_FILE
    model = load_package(tmp_path / "model", with_onnx=True)
    assert model.onnx is not None
    others = make_rows(150)
    others.iloc[0] = [1e9, np.nan, -1e9]
    predictions, probabilities = model.onnx.run(others.to_numpy(), with_probabilities=True)
    assert predictions.tolist() == model.predict(others).tolist()
    assert probabilities == pytest.approx(model.predict_proba(others), abs=onnx.TOLERANCE)
    assert load_package(tmp_path / "model").onnx is None  # only who asks for it reads it


def test_a_regression_answers_the_same_as_onnx(tmp_path: Path) -> None:
    write(tmp_path / "model", LinearRegression(), ROWS["a"] * 2, task="regression")
    model = load_package(tmp_path / "model", with_onnx=True)
    assert model.onnx is not None
    assert model.onnx.run(ROWS.to_numpy(), with_probabilities=False)[0] == pytest.approx(
        model.predict(ROWS), rel=1e-6
    )


def test_what_onnx_cannot_say_is_served_by_the_original(tmp_path: Path) -> None:
    # labels true and false would come back as 1 and 0
    write(tmp_path / "model", LogisticRegression(), SIGN == "up")
    assert not (tmp_path / "model" / onnx.ONNX_FILE).exists()
    assert load_package(tmp_path / "model", with_onnx=True).onnx is None


def test_an_onnx_file_of_another_model_is_not_used(tmp_path: Path) -> None:
    write(tmp_path / "model", LogisticRegression(), SIGN)
    write(tmp_path / "other", LogisticRegression(), np.where(SIGN == "up", "down", "up"))
    for content in ((tmp_path / "other" / onnx.ONNX_FILE).read_bytes(), b"damaged"):
        (tmp_path / "model" / onnx.ONNX_FILE).write_bytes(content)
        assert load_package(tmp_path / "model", with_onnx=True).onnx is None


def test_a_plain_pipeline_is_exported_and_texts_are_not() -> None:
    rows = ROWS.fillna(0.0)
    plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, SIGN)
    kinds = ["number"] * 3
    assert onnx.export_model(plain, rows, kinds=kinds, has_probabilities=True)
    kinds[0] = "category"
    assert onnx.export_model(plain, rows, kinds=kinds, has_probabilities=True) is None


@pytest.mark.parametrize("place", ["../secret", "/{folder}/secret", "inner/../../secret", "link"])
def test_an_onnx_file_reads_no_file_outside_its_package(tmp_path: Path, place: str) -> None:
    """Tensors may lie in other files, by ONNX's rules; a package's lie in none."""
    from onnx import TensorProto, helper, save

    write(tmp_path / "model", LogisticRegression(), SIGN)
    (tmp_path / "secret").write_bytes(np.arange(3, dtype=np.float64).tobytes())
    (tmp_path / "model" / "link").symlink_to(tmp_path / "secret")
    stolen = TensorProto(name="stolen", dims=[3], data_type=TensorProto.DOUBLE)
    stolen.data_location = TensorProto.EXTERNAL
    where = stolen.external_data.add()
    where.key, where.value = "location", place.format(folder=str(tmp_path).lstrip("/"))
    rows, shown = (
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, 3])
        for name in (onnx.INPUT, "shown")
    )
    add = helper.make_node("Add", [onnx.INPUT, "stolen"], ["shown"])
    graph = helper.make_graph([add], "g", [rows], [shown], [stolen])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    save(model, tmp_path / "model" / onnx.ONNX_FILE)
    with pytest.raises(Exception, match=r"(?i)external|path|link"):
        onnx.open_model(tmp_path / "model" / onnx.ONNX_FILE)
    assert load_package(tmp_path / "model", with_onnx=True).onnx is None
