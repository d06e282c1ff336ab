"""What mlq:train learns from: rows, target, and the folds' matrices after the recipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlq.errors import StepError
from mlq_workers.components.kinds import as_target
from mlq_workers.components.recipe import (
    Recipe,
    build_columns,
    build_transformer,
    plain_recipe,
    read_recipe,
)
from mlq_workers.components.scorecard import Truth
from mlq_workers.components.splits import Folds, make_folds
from mlq_workers.components.tables import read_table, require_column, take

_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class TrainingData:
    """Raw rows with their target, shape (rows,). classes: sorted labels, empty for regression."""

    rows: pd.DataFrame
    recipe: Recipe
    target: np.ndarray
    task: str
    classes: tuple[Any, ...]

    @cached_property
    def size_bytes(self) -> int:
        """Memory of the rows and the target."""
        return int(self.rows.memory_usage().sum()) + self.target.nbytes


def read_training_data(
    inputs: Mapping[str, Any], *, task: str, log: Callable[[str], None]
) -> TrainingData:
    """Read the inputs `data`, `recipe` and `target` of mlq:train.

    Rows without a target are left out. Raises StepError where they do not go together, or the
    target does not go with the task (classification or regression).
    """
    rows = read_table(_file(inputs, "data"))
    recipe = _find_recipe(inputs, rows)
    require_column(recipe.target, rows.columns, what="target column")
    for column in recipe.columns:
        if column["required"]:
            require_column(column["name"], rows.columns, what="recipe's column")
    gaps = rows[recipe.target].isna().to_numpy()
    if gaps.any():
        log(f"Left out {int(gaps.sum())} rows without a target.")
        rows = take(rows, ~gaps)
    target = _read_target(rows, recipe.target, task)
    classes = np.unique(target).tolist() if task == "classification" else []
    return TrainingData(rows, recipe, target, task, tuple(classes))


def identify_data(inputs: Mapping[str, Any]) -> Hashable:
    """A key of all that `read_training_data` reads; equal keys mean equal data."""
    recipe = _identify(_file(inputs, "recipe")) if "recipe" in inputs else None
    return _identify(_file(inputs, "data")), recipe, inputs.get("target")


def _file(inputs: Mapping[str, Any], name: str) -> Path:
    path = inputs.get(name)
    if isinstance(path, Path):
        return path
    if path is None:
        raise StepError(f"mlq:train needs the input '{name}'.", code="missing_input")
    raise StepError(f"The input '{name}' should be a file, not {path!r}.", code="invalid_input")


def _identify(path: Path) -> Hashable:
    """Paths of the artifact store name their content; of other files, the state is asked."""
    if any(_DIGEST.fullmatch(part) for part in path.parts):
        return str(path)
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    states = [(str(file), file.stat()) for file in files]
    return tuple((name, at.st_ino, at.st_size, at.st_mtime_ns) for name, at in states)


def _find_recipe(inputs: Mapping[str, Any], rows: pd.DataFrame) -> Recipe:
    target = inputs.get("target")
    if "recipe" in inputs:
        recipe = read_recipe(_file(inputs, "recipe"))
        if target is not None and target != recipe.target:
            raise StepError(
                f"The input 'target' says '{target}', the recipe '{recipe.target}'.",
                code="invalid_input",
                hint="Leave 'target' out: the recipe names it.",
            )
        return recipe
    if target is None:
        raise StepError(
            "mlq:train needs a recipe or a target.",
            code="missing_input",
            hint="Bind 'recipe' to the output of mlq:preprocess, or name the 'target' column.",
        )
    require_column(target, rows.columns, what="target column")
    return plain_recipe(rows, target)


def _read_target(rows: pd.DataFrame, name: str, task: str) -> np.ndarray:
    if rows.empty:
        raise StepError(f"The target column '{name}' is empty.", code="invalid_target")
    target = as_target(rows[name])
    if task == "regression":
        if target.dtype.kind not in "iuf":
            raise StepError(
                f"The target column '{name}' holds {_example(target)}, and a regressor predicts "
                "numbers.",
                code="invalid_target",
                hint="Use a classifier, such as sklearn.linear_model.LogisticRegression.",
            )
        if not np.isfinite(target).all():
            raise StepError(f"The target column '{name}' holds infinity.", code="invalid_target")
        return target.astype(np.float64)
    if target.dtype.kind == "f":
        raise StepError(
            f"The target column '{name}' holds fractions ({_example(target)}), and a classifier "
            "predicts classes.",
            code="invalid_target",
            hint="Use a regressor, such as sklearn.linear_model.Ridge.",
        )
    if len(np.unique(target)) < 2:
        raise StepError(
            f"The target column '{name}' has one class only, {target[0].item()!r}.",
            code="one_class_target",
            hint="There is nothing to learn; give data with at least two classes.",
        )
    return target


def _example(target: np.ndarray) -> str:
    return f"values such as {target[0].item()!r}"


@dataclass(frozen=True, slots=True)
class Fold:
    """One way to hold rows out, ready for an estimator.

    number: from 1. train, test: shape (rows, features), float64, row by row in memory, after a
    recipe that was fitted on the train rows alone. target: of the train rows; truth: of the others.
    """

    number: int
    train: np.ndarray
    target: np.ndarray
    test: np.ndarray
    truth: Truth

    @property
    def size_bytes(self) -> int:
        """Memory of the matrices and their targets."""
        arrays = (self.train, self.target, self.test, self.truth.values)
        return sum(array.nbytes for array in arrays)


class FoldSet:
    """The folds of a cross-validation.

    The recipe does not depend on the estimator, so it is fitted once per fold and the matrices are
    kept for the next estimator, as many as fit into `keep_bytes`; the others are made when needed.
    Raises StepError where the rows cannot be split, or do not fit the recipe.
    """

    def __init__(self, data: TrainingData, folds: Folds, *, seed: int, keep_bytes: int) -> None:
        self.kind = folds.kind
        self._data = data
        self._keep_bytes = keep_bytes
        self._parts = make_folds(folds, data.rows, data.target, seed=seed)
        self._kept: dict[int, Fold] = {}
        self._typed: pd.DataFrame | None = None
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Fold]:
        return (self[index] for index in range(len(self._parts)))

    def __getitem__(self, index: int) -> Fold:
        found = self._kept.get(index)
        if found is None:
            found = self._make(index)
            if self.size_bytes + found.size_bytes <= self._keep_bytes:
                self._kept[index] = found
                self.size_bytes += found.size_bytes
                if len(self._kept) == len(self._parts):
                    self._typed = None
        return found

    def _make(self, index: int) -> Fold:
        train, test = self._parts[index]
        target = self._data.target
        if self._typed is None:
            self._typed = self._give_types()
        transformer = build_transformer(self._data.recipe)
        try:
            fitted = transformer.fit_transform(self._typed.iloc[train], target[train])
            others = transformer.transform(self._typed.iloc[test])
        except (ValueError, TypeError) as error:
            raise StepError(
                f"The recipe could not be fitted in fold {index + 1}: {error}.".replace("..", "."),
                code="fit_failed",
            ) from error
        return Fold(
            index + 1,
            np.ascontiguousarray(fitted),
            target[train],
            np.ascontiguousarray(others),
            Truth(target[test], self._data.classes),
        )

    def _give_types(self) -> pd.DataFrame:
        try:
            typed: pd.DataFrame = build_columns(self._data.recipe).transform(self._data.rows)
        except (ValueError, TypeError) as error:
            raise StepError(
                f"The data does not fit the recipe: {error}.".replace("..", "."),
                code="invalid_data",
            ) from error
        return typed
