import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from mlq.errors import StepError
from mlq_workers.components.recipe import (
    Recipe,
    build_pipeline,
    plain_recipe,
    read_recipe,
    write_recipe,
)


def _column(name: str, kind: str, *, required: bool = True) -> dict[str, object]:
    return {"name": name, "kind": kind, "required": required}


RECIPE = Recipe("y", (_column("n", "number"), _column("c", "category")), clip=(0.1, 0.9))


def _matrix(recipe: Recipe, rows: pd.DataFrame) -> np.ndarray:
    pipeline = build_pipeline(recipe, LinearRegression())
    pipeline.fit(rows, np.arange(len(rows)))
    matrix: np.ndarray = pipeline[:-1].transform(rows)
    return matrix


def test_round_trip(tmp_path: Path) -> None:
    file = write_recipe(RECIPE, tmp_path / "recipe.json")
    assert read_recipe(file) == RECIPE
    assert json.loads(file.read_text())["version"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"version": 9},
        {"columns": []},
        {"columns": [{"name": "n", "kind": "nonsense"}]},
        {"scale": "sideways"},
        {"clip": [0.1]},
        {"surprise": 1},
    ],
)
def test_damaged_recipes(tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(RECIPE.as_dict() | change))
    with pytest.raises(StepError) as caught:
        read_recipe(file)
    assert caught.value.code == "invalid_recipe"


def test_no_json(tmp_path: Path) -> None:
    file = tmp_path / "recipe.json"
    file.write_bytes(b"PAR1\x00")
    with pytest.raises(StepError):
        read_recipe(file)


def test_clip_impute_scale_encode() -> None:
    rows = pd.DataFrame({"n": [0.0, 10.0, 20.0, 1000.0, None], "c": ["a", "b", "a", None, "b"]})
    recipe = Recipe("y", RECIPE.columns, clip=(0.0, 0.5), impute="mean", scale="minmax")
    matrix = _matrix(recipe, rows)
    # Clipped at the median 15, then the mean of 0, 10, 15, 15 fills the gap, then 0 to 1.
    assert matrix[:, 0] == pytest.approx([0, 10 / 15, 1, 1, 10 / 15])
    assert matrix[:, 1:].sum(axis=1).tolist() == [1.0] * 5
    assert matrix.shape == (5, 4)  # a, b and missing


def test_ordinal_and_text_and_datetime() -> None:
    rows = pd.DataFrame(
        {
            "c": ["a", "b", "a"],
            "t": ["red dog", "blue dog", "red cat"],
            "d": pd.to_datetime(["2020-01-01 00:00", "2020-02-01 10:00", None]),
        }
    )
    columns = (_column("c", "category"), _column("t", "text"), _column("d", "datetime"))
    recipe = Recipe("y", columns, scale="none", encode="ordinal")
    matrix = _matrix(recipe, rows)
    assert matrix.shape == (3, 4 + 1 + 4)
    assert matrix[:2, 0].tolist() == pytest.approx([18262, 18293 + 10 / 24])


def test_category_unseen_in_training_is_no_error() -> None:
    rows = pd.DataFrame({"c": ["a", "b", "a"]})
    for encode in ("onehot", "ordinal"):
        recipe = Recipe("y", (_column("c", "category"),), encode=encode)
        pipeline = build_pipeline(recipe, LinearRegression()).fit(rows, [1, 2, 3])
        assert np.isfinite(pipeline.predict(pd.DataFrame({"c": ["new", None]}))).all()


def test_column_empty_in_one_fold_keeps_its_place() -> None:
    recipe = Recipe("y", (_column("n", "number"), _column("f", "boolean")), clip=(0.1, 0.9))
    rows = pd.DataFrame({"n": [None, None], "f": [None, None]}, dtype=object)
    assert _matrix(recipe, rows).shape == (2, 2)


def test_plain_recipe_takes_numbers_only() -> None:
    rows = pd.DataFrame({"n": [1.0, None], "f": [True, False], "y": [1, 2]})
    recipe = plain_recipe(rows, "y")
    assert [column["name"] for column in recipe.columns] == ["n", "f"]
    assert [column["required"] for column in recipe.columns] == [False, True]
    with pytest.raises(StepError, match="'c' holds a category"):
        plain_recipe(rows.assign(c=["a", "b"]), "y")
    with pytest.raises(StepError, match="no column besides"):
        plain_recipe(rows[["y"]], "y")
