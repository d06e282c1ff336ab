"""Values on their way between steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LinearRegression

from mlq.errors import MlqError
from mlq.sdk.values import Kind, kind_of, read, write


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (int, Kind.INTEGER),
        (bool, Kind.BOOLEAN),
        (float | None, Kind.NUMBER),
        (Literal["a", "b"], Kind.STRING),
        (dict[str, float], Kind.JSON),
        (list, Kind.JSON),
        (int | str, Kind.JSON),
        (Any, Kind.JSON),
        (pd.DataFrame, Kind.TABLE),
        (np.ndarray, Kind.ARRAY),
        (ClassifierMixin, Kind.ESTIMATOR),
        (LinearRegression, Kind.ESTIMATOR),
        (Path, Kind.PATH),
        (set, None),
        (pd.DataFrame | int, None),
        (object, None),
    ],
)
def test_kinds(annotation: Any, kind: Kind | None) -> None:
    assert kind_of(annotation) is kind


def test_values_come_back_as_they_were(tmp_path: Path) -> None:
    def through(value: Any, kind: Kind) -> Any:
        folder = tmp_path / kind.value
        folder.mkdir()
        write(value, kind, folder)
        return read(folder, kind)

    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[3, 5])
    pd.testing.assert_frame_equal(through(frame, Kind.TABLE), frame)
    array = np.array([[1.5, np.nan]], dtype="float32")
    np.testing.assert_array_equal(through(array, Kind.ARRAY), array)
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    assert through(model, Kind.ESTIMATOR).coef_ == model.coef_
    assert through({"a": [1, None], "n": np.float64(2)}, Kind.JSON) == {"a": [1, None], "n": 2.0}
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "file").write_text("x")
    assert (through(tmp_path / "tree", Kind.PATH) / "deep" / "file").read_text() == "x"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({1, 2}, Kind.JSON),
        ([1], Kind.TABLE),
        (np.array([object()]), Kind.ARRAY),
        ("model", Kind.ESTIMATOR),
        ("/nowhere/at/all", Kind.PATH),
    ],
)
def test_what_is_not_of_its_kind_is_refused(value: Any, kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(MlqError, match="is not"):
        write(value, kind, tmp_path)


def test_files_from_elsewhere_are_read(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    assert read(tmp_path / "rows.csv", Kind.TABLE).to_dict("list") == {"a": [1], "b": [2]}
    (tmp_path / "x.json").write_text(json.dumps([1]))
    assert read(tmp_path / "x.json", Kind.JSON) == [1]
    with pytest.raises(MlqError, match="cannot be read as JSON"):
        read(tmp_path / "rows.csv", Kind.JSON)
