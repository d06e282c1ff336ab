"""The recipe: what must be fitted with the model, as JSON, and the transformer built from it.

    {"version": 1, "target": "sex",
     "columns": [{"name": "island", "kind": "category", "required": true}, …],
     "clip": [0.01, 0.99] | null,  "impute": "median" | "mean" | "zero" | null,
     "scale": "standard" | "minmax" | "robust" | "none",
     "encode": "onehot" | "ordinal",  "max_categories": 50}

It holds no number that was computed from data, so it can be fitted inside every fold.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from mlq.errors import StepError
from mlq.models.transformers import Clip, Columns, output_names
from mlq_workers.components.kinds import KINDS, infer_kind

VERSION = 1
#: Words that a text column contributes at most.
MAX_WORDS = 1000

_IMPUTE = {"median": "median", "mean": "mean", "zero": "constant"}
_SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler, "robust": RobustScaler}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do with raw rows before the estimator. See the module for the fields."""

    target: str
    columns: tuple[dict[str, Any], ...]
    clip: tuple[float, float] | None = None
    impute: str | None = "median"
    scale: str = "standard"
    encode: str = "onehot"
    max_categories: int = 50
    version: int = VERSION

    def as_dict(self) -> dict[str, Any]:
        """The recipe as JSON."""
        record = asdict(self)
        return {"version": record.pop("version"), **record}


def write_recipe(recipe: Recipe, path: Path) -> Path:
    """Write the recipe as JSON and return `path`."""
    path.write_text(json.dumps(recipe.as_dict(), indent=2, ensure_ascii=False), encoding="utf-8")
    return path


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises StepError (code `invalid_recipe`) saying what is wrong with it."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise _invalid(f"it is not JSON ({error})") from error
    if not isinstance(record, dict) or record.get("version") != VERSION:
        raise _invalid(f"it is not of version {VERSION}")
    try:
        recipe = Recipe(**record)
        recipe = replace(
            recipe,
            columns=tuple(dict(column) for column in recipe.columns),
            clip=None if recipe.clip is None else (float(recipe.clip[0]), float(recipe.clip[1])),
        )
    except (TypeError, ValueError, IndexError) as error:
        raise _invalid(str(error)) from error
    if not recipe.columns:
        raise _invalid("it names no columns")
    for column in recipe.columns:
        if not isinstance(column.get("name"), str) or column.get("kind") not in KINDS:
            raise _invalid(f"it has a column without name or known kind: {column}")
    if (
        recipe.impute not in (*_IMPUTE, None)
        or recipe.scale not in (*_SCALERS, "none")
        or recipe.encode not in ("onehot", "ordinal")
    ):
        raise _invalid("it has an unknown way to impute, scale or encode")
    return recipe


def plain_recipe(rows: pd.DataFrame, target: str) -> Recipe:
    """The recipe for data that needs none: numbers and booleans, handed on as they are.

    Raises StepError naming the first column that is neither.
    """
    columns = []
    for name in rows.columns:
        if name == target:
            continue
        kind = infer_kind(rows[name])
        if kind not in ("number", "boolean") or rows[name].isna().all():
            reason = "is empty" if rows[name].isna().all() else f"holds a {kind}, not numbers"
            raise StepError(
                f"Without a recipe every column must be numeric, but '{name}' {reason}.",
                code="invalid_data",
                hint="Add an mlq:preprocess step and bind its output `recipe`.",
            )
        columns.append({"name": name, "kind": kind, "required": not bool(rows[name].isna().any())})
    if not columns:
        raise StepError(
            f"The data has no column besides the target '{target}'.", code="invalid_data"
        )
    return Recipe(target, tuple(columns), impute=None, scale="none")


def build_pipeline(recipe: Recipe, estimator: Any) -> Pipeline:
    """An unfitted pipeline that takes raw rows: typed columns, recipe, estimator."""
    return Pipeline(
        [
            ("columns", build_columns(recipe)),
            ("recipe", build_transformer(recipe)),
            ("estimator", estimator),
        ]
    )


def build_columns(recipe: Recipe) -> Columns:
    """What gives raw rows the recipe's types; there is nothing to fit."""
    return Columns(list(recipe.columns))


def build_transformer(recipe: Recipe) -> ColumnTransformer:
    """What is fitted on typed rows: they become float64, shape (rows, features)."""
    return ColumnTransformer(_branches(recipe), sparse_threshold=0)


def _branches(recipe: Recipe) -> list[tuple[str, Any, Any]]:
    branches: list[tuple[str, Any, Any]] = []
    numbers = _names(recipe, "number")
    if numbers:
        clip = [Clip(*recipe.clip)] if recipe.clip else []
        branches.append(("number", _chain([*clip, *_impute(recipe), *_scale(recipe)]), numbers))
    times = _names(recipe, "datetime")
    if times:
        branches.append(("datetime", _chain([*_impute(recipe), *_scale(recipe)]), times))
    flags = _names(recipe, "boolean")
    if flags:
        impute = [SimpleImputer(strategy="most_frequent", keep_empty_features=True)]
        branches.append(("boolean", _chain(impute if recipe.impute else []), flags))
    categories = _names(recipe, "category")
    if categories:
        branches.append(("category", _encoder(recipe), categories))
    for name in _names(recipe, "text"):
        branches.append((f"text_{name}", TfidfVectorizer(max_features=MAX_WORDS), name))
    return branches


def _names(recipe: Recipe, kind: str) -> list[str]:
    return [
        name for column in recipe.columns if column["kind"] == kind for name in output_names(column)
    ]


def _impute(recipe: Recipe) -> list[Any]:
    if recipe.impute is None:
        return []
    # A column that is empty within one fold keeps its place, so that folds agree on the columns.
    return [
        SimpleImputer(strategy=_IMPUTE[recipe.impute], fill_value=0.0, keep_empty_features=True)
    ]


def _scale(recipe: Recipe) -> list[Any]:
    return [] if recipe.scale == "none" else [_SCALERS[recipe.scale]()]


def _encoder(recipe: Recipe) -> Any:
    if recipe.encode == "onehot":
        return OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            max_categories=recipe.max_categories,
            sparse_output=False,
        )
    return OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        max_categories=recipe.max_categories,
    )


def _chain(steps: Sequence[Any]) -> Any:
    if not steps:
        return "passthrough"
    return steps[0] if len(steps) == 1 else make_pipeline(*steps)


def _invalid(reason: str) -> StepError:
    return StepError(
        f"The input 'recipe' cannot be used: {reason}.",
        code="invalid_recipe",
        hint="Bind it to the output `recipe` of an mlq:preprocess step.",
    )
