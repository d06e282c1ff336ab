"""mlq:preprocess: clean a table without fitting anything, split it, write the recipe to fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mlq.errors import StepError
from mlq_workers.components import arguments
from mlq_workers.components.base import Result, Step
from mlq_workers.components.kinds import (
    as_target,
    check_types,
    convert,
    infer_kind,
    is_classes,
    is_identifier,
)
from mlq_workers.components.profile import profile_column
from mlq_workers.components.recipe import Recipe, write_recipe
from mlq_workers.components.splits import Split, rarest, split_rows
from mlq_workers.components.tables import read_table, require_column, take, write_table


@dataclass(slots=True)
class _Notes:
    """What was done to the data, said once in the log and once in the profile."""

    log: Callable[[str], None]
    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        self.lines.append(line)
        self.log(line)


def run(step: Step) -> Result:
    """Write train and test rows, the recipe and the profile.

    Raises StepError for unusable data: no rows, no target column, a target that is empty or has one
    value only, no usable column, too few rows to split.
    """
    inputs, notes = step.inputs, _Notes(step.log)
    target = inputs["target"]
    raw = read_table(inputs["data"])
    notes.log(f"Read {len(raw)} rows, {len(raw.columns)} columns.")
    frame, types = _clean(raw, step, notes)
    labels = as_target(frame[target])
    classes = is_classes(frame[target])
    columns = tuple(_feature_columns(frame, types, step, notes))
    split = _split(step, frame, labels if classes else None, notes)
    recipe = Recipe(
        target=target,
        columns=columns,
        clip=arguments.read_quantiles(inputs, "clip_quantiles"),
        impute=inputs["impute_numeric"],
        scale=inputs["scale"],
        encode=inputs["encode"],
        max_categories=int(inputs["max_categories"]),
    )
    profile = {
        "version": 1,
        "rows": len(frame),
        "rows_read": len(raw),
        "target": {"name": target, "task": "classification" if classes else "regression"},
        "split": {"kind": split.kind, "train": len(split.train), "test": len(split.test)},
        "columns": [profile_column(frame[name], types[name]) for name in frame.columns],
        "notes": notes.lines,
    }
    profile_file = step.scratch / "profile.json"
    profile_file.write_text(json.dumps(profile, ensure_ascii=False, allow_nan=False), "utf-8")
    return Result(
        {
            "train": _write(frame, split.train, step, "train"),
            "test": _write(frame, split.test, step, "test"),
            "recipe": write_recipe(recipe, step.scratch / "recipe.json"),
            "profile": profile_file,
        }
    )


def _write(frame: pd.DataFrame, rows: Any, step: Step, name: str) -> Any:
    return write_table(frame.iloc[rows].reset_index(drop=True), step.scratch / f"{name}.parquet")


def _clean(raw: pd.DataFrame, step: Step, notes: _Notes) -> tuple[pd.DataFrame, dict[str, str]]:
    """The usable rows, typed, and each column's kind."""
    inputs = step.inputs
    target = inputs["target"]
    require_column(target, raw.columns, what="target column")
    for name in ("group_column", "time_column"):
        if inputs.get(name) is not None:
            require_column(inputs[name], raw.columns, what=name.replace("_", " "))
    frame = raw.drop(columns=_dropped_columns(raw, step))
    if inputs["drop_duplicates"]:
        frame = _keep(frame, ~frame.duplicated(), "duplicate", notes)
    if frame[target].isna().all():
        raise StepError(
            f"The target column '{target}' is empty.",
            code="invalid_target",
            hint="Name another column in the input 'target', or see whether it was exported.",
        )
    given = check_types(arguments.read_mapping(inputs, "types"))
    for name in given:
        require_column(name, raw.columns, what="column of 'types'")
    kinds = {}
    for name in frame.columns:
        if name in given:
            values, lost = convert(frame[name], given[name], is_strict=name == target)
            frame[name] = values
            if lost:
                notes.add(f"{lost} values of '{name}' are no {given[name]}; they count as missing.")
        kinds[name] = given.get(name) or ("category" if frame[name].isna().all() else "")
        kinds[name] = kinds[name] or infer_kind(frame[name])
    frame = _keep(frame, ~frame[target].isna(), "target-less", notes)
    if frame[target].nunique() < 2:
        raise StepError(
            f"The target column '{target}' has one value only, {frame[target].iloc[0]!r}.",
            code="one_class_target",
            hint="There is nothing to learn; give data with at least two classes or values.",
        )
    return frame, kinds


def _dropped_columns(raw: pd.DataFrame, step: Step) -> list[str]:
    dropped = arguments.read_names(step.inputs, "drop_columns")
    needed = {step.inputs.get(name) for name in ("target", "group_column", "time_column")}
    for name in dropped:
        require_column(name, raw.columns, what="column to drop")
        if name in needed:
            raise StepError(
                f"The column '{name}' is needed and cannot be in 'drop_columns'.",
                code="invalid_input",
            )
    return dropped


def _keep(frame: pd.DataFrame, mask: Any, what: str, notes: _Notes) -> pd.DataFrame:
    lost = len(frame) - int(mask.sum())
    if not lost:
        return frame
    reason = "rows without a target" if what == "target-less" else "duplicate rows"
    notes.add(f"Left out {lost} {reason}.")
    return take(frame, mask)


def _split(step: Step, frame: pd.DataFrame, labels: Any, notes: _Notes) -> Split:
    inputs = step.inputs
    kind = inputs["split"]
    if kind == "auto":
        kind = "random"
        if inputs.get("time_column") is not None:
            kind = "time"
        elif inputs.get("group_column") is not None:
            kind = "grouped"
        elif labels is not None and _can_stratify(labels, float(inputs["test_size"])):
            kind = "stratified"
    if kind == "stratified" and labels is None:
        raise StepError(
            f"A stratified split needs classes, and '{inputs['target']}' holds numbers.",
            code="invalid_input",
            hint="Use split: random.",
        )
    split = split_rows(
        kind,
        frame,
        test_size=float(inputs["test_size"]),
        labels=labels if kind == "stratified" else None,
        group_column=inputs.get("group_column"),
        time_column=inputs.get("time_column"),
        seed=int(inputs["seed"]),
    )
    notes.log(f"{kind.capitalize()} split: {len(split.train)} train, {len(split.test)} test rows.")
    return split


def _can_stratify(labels: Any, test_size: float) -> bool:
    """Whether every class can be on both sides."""
    rows, classes = len(labels), len(set(labels.tolist()))
    smaller_side = min(int(rows * test_size), int(rows * (1 - test_size)))
    return rarest(labels)[1] >= 2 and smaller_side >= classes


def _feature_columns(
    frame: pd.DataFrame, kinds: dict[str, str], step: Step, notes: _Notes
) -> list[dict[str, Any]]:
    """The recipe's columns: everything that can tell something about the target."""
    given = arguments.read_mapping(step.inputs, "types")
    split_columns = {step.inputs.get("group_column"), step.inputs.get("time_column")}
    columns = []
    for name in frame.columns:
        values, kind = frame[name], kinds[name]
        if name == step.inputs["target"]:
            continue
        if name in split_columns:
            notes.add(f"'{name}' orders or groups rows and is not learned from.")
        elif values.isna().all():
            notes.add(f"'{name}' is empty and left out.")
        elif not values.isna().any() and values.nunique() == 1 and len(values) > 1:
            notes.add(f"'{name}' has the same value in every row and is left out.")
        elif kind == "category" and name not in given and is_identifier(values):
            notes.add(f"'{name}' differs in every row, like an identifier, and is left out.")
        else:
            columns.append({"name": name, "kind": kind, "required": not bool(values.isna().any())})
    if not columns:
        raise StepError(
            "No column is left to learn from.",
            code="invalid_data",
            hint="Every column besides the target is empty, constant, an identifier or left out.",
        )
    return columns
