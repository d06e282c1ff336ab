"""Splitting rows: into train and test, and into folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
)

from mlq.errors import StepError, nearest
from mlq_workers.components.tables import require_column

Rows = np.ndarray  # positions of rows, shape (n,), int
FOLD_KINDS = ("stratified", "kfold", "grouped", "time")
_FOLD_KEYS = ("kind", "n_splits", "column", "shuffle")


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of the rows of either side, and how they were chosen."""

    kind: str
    train: Rows
    test: Rows


def split_rows(
    kind: str,
    frame: pd.DataFrame,
    *,
    test_size: float,
    labels: np.ndarray | None,
    group_column: str | None,
    time_column: str | None,
    seed: int,
) -> Split:
    """Split rows into train and test.

    kind: random, stratified, grouped or time. labels: classes to keep in proportion, shape (rows,).
    Rows keep their order, in a time split that of time. Raises StepError where a side would stay
    empty or a class cannot be on both sides.
    """
    count = len(frame)
    if test_size == 0:
        return Split(kind, np.arange(count), np.arange(0))
    if kind == "time":
        return _split_time(frame, _needed(time_column, "time"), test_size)
    if kind == "grouped":
        return _split_groups(frame, _needed(group_column, "grouped"), test_size, seed)
    if round(count * test_size) < 1 or count < 2:
        raise _too_few(f"{count} rows cannot be split with test_size {test_size:g}")
    if kind == "stratified":
        assert labels is not None
        rare = rarest(labels)
        if rare[1] < 2:
            raise _too_few(f"the class '{rare[0]}' has one row, so it cannot be on both sides")
        splitter = StratifiedShuffleSplit(n_splits=1, test_size=test_size, random_state=seed)
    else:
        splitter = ShuffleSplit(n_splits=1, test_size=test_size, random_state=seed)
    try:
        train, test = next(splitter.split(np.zeros(count), labels))
    except ValueError as error:
        raise _too_few(str(error).rstrip(".")) from error
    return Split(kind, np.sort(train), np.sort(test))


def rarest(labels: np.ndarray) -> tuple[Any, int]:
    """The class with the fewest rows, and their number."""
    values, counts = np.unique(labels, return_counts=True)
    index = int(np.argmin(counts))
    return values[index], int(counts[index])


def _split_groups(frame: pd.DataFrame, column: str, test_size: float, seed: int) -> Split:
    groups = pd.factorize(frame[column], use_na_sentinel=False)[0]
    if len(np.unique(groups)) < 2:
        raise _too_few(f"the group column '{column}' has only one value")
    splitter = GroupShuffleSplit(n_splits=1, test_size=test_size, random_state=seed)
    try:
        train, test = next(splitter.split(np.zeros(len(frame)), groups=groups))
    except ValueError as error:
        raise _too_few(str(error).rstrip(".")) from error
    return Split("grouped", train, test)


def _split_time(frame: pd.DataFrame, column: str, test_size: float) -> Split:
    """The latest rows are the test set; rows of the same time stay together."""
    ranks = time_ranks(frame[column])
    order = np.argsort(ranks, kind="stable")
    in_order = ranks[order]
    wanted = len(order) - max(1, round(len(order) * test_size))
    at = in_order[min(wanted, len(order) - 1)]
    starts = [
        int(np.searchsorted(in_order, at, side="left")),
        int(np.searchsorted(in_order, at, side="right")),
    ]
    possible = [start for start in starts if 0 < start < len(order)]
    if not possible:
        raise _too_few(f"the time column '{column}' has too few different values")
    start = min(possible, key=lambda position: abs(position - wanted))
    return Split("time", order[:start], order[start:])


def time_ranks(times: pd.Series) -> np.ndarray:
    """Rank of each row's time, equal for equal times; missing times come first. Shape (rows,)."""
    try:
        ranks = times.rank(method="dense", na_option="top")
    except TypeError as error:
        raise StepError(
            f"The time column '{times.name}' cannot be ordered.", code="invalid_data"
        ) from error
    return np.asarray(ranks, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Folds:
    """How to cross-validate. kind: one of FOLD_KINDS; n_splits is at least 2."""

    kind: str
    n_splits: int
    column: str | None = None
    shuffle: bool = True


def read_folds(value: Any, *, is_classifier: bool) -> Folds | None:
    """The input `cv`: a number of folds or {kind, n_splits, column, shuffle}; None for 0 or 1.

    Raises StepError for anything else.
    """
    default = "stratified" if is_classifier else "kfold"
    if isinstance(value, bool) or not isinstance(value, (int, float, Mapping)):
        raise _invalid_folds(f"{value!r} is neither a number of folds nor a mapping")
    if not isinstance(value, Mapping):
        return _checked(Folds(default, _whole(value)))
    for key in value:
        if key not in _FOLD_KEYS:
            guess = nearest(str(key), _FOLD_KEYS)
            raise _invalid_folds(f"it has no key '{key}'" + (f"; '{guess}'?" if guess else ""))
    kind = value.get("kind", default)
    if kind not in FOLD_KINDS:
        guess = nearest(str(kind), FOLD_KINDS)
        raise _invalid_folds(f"there is no kind '{kind}'" + (f"; '{guess}'?" if guess else ""))
    if kind == "stratified" and not is_classifier:
        raise _invalid_folds("stratified folds need a classifier; 'kfold' fits a regressor")
    if kind in ("grouped", "time") and not value.get("column"):
        raise _invalid_folds(f"{kind} folds need the key 'column'")
    folds = Folds(
        kind,
        _whole(value.get("n_splits", 5)),
        value.get("column"),
        bool(value.get("shuffle", True)),
    )
    return _checked(folds)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise _invalid_folds(f"{value!r} is not a number of folds")
    return int(value)


def _checked(folds: Folds) -> Folds | None:
    if folds.n_splits < 0:
        raise _invalid_folds(f"{folds.n_splits} is not a number of folds")
    return folds if folds.n_splits >= 2 else None


def make_folds(
    folds: Folds, frame: pd.DataFrame, target: np.ndarray, *, seed: int
) -> list[tuple[Rows, Rows]]:
    """The (train, test) positions of each fold.

    Raises StepError where there are too few rows, groups or times, or too few of a class.
    """
    count = folds.n_splits
    shuffle = {"shuffle": folds.shuffle, "random_state": seed if folds.shuffle else None}
    if len(target) < count:
        raise _too_few_for(count, f"{len(target)} rows", "rows")
    if folds.column is not None:
        require_column(folds.column, frame.columns, what="cv column")
    if folds.kind == "grouped":
        groups = pd.factorize(frame[folds.column], use_na_sentinel=False)[0]
        distinct = len(np.unique(groups))
        if distinct < count:
            raise _too_few_for(count, f"{distinct} groups in '{folds.column}'", "groups")
        return list(GroupKFold(count, **shuffle).split(target, groups=groups))
    if folds.kind == "time":
        if len(target) <= count:
            raise _too_few_for(count, f"{len(target)} rows", "rows")
        order = np.argsort(time_ranks(frame[folds.column]), kind="stable")
        parts = TimeSeriesSplit(count).split(order)
        return [(order[train], order[test]) for train, test in parts]
    if folds.kind == "stratified":
        label, rows = rarest(target)
        if rows < count:
            raise _too_few_for(count, f"{rows} rows of class '{label}'", "rows of every class")
        return list(StratifiedKFold(count, **shuffle).split(target, target))
    return list(KFold(count, **shuffle).split(target))


def _needed(column: str | None, kind: str) -> str:
    if column is None:
        needed = "time_column" if kind == "time" else "group_column"
        raise StepError(
            f"A {kind} split needs the input '{needed}'.",
            code="missing_input",
            hint=f"Name the column in '{needed}', or choose another split.",
        )
    return column


def _too_few(reason: str) -> StepError:
    return StepError(
        f"The rows cannot be split: {reason}.",
        code="too_few_rows",
        hint="Give more rows, or change `split` or `test_size`.",
    )


def _too_few_for(count: int, have: str, need: str) -> StepError:
    return StepError(
        f"The data has {have}, and {count} folds need {count} {need} or more.",
        code="too_few_rows",
        hint="Lower `cv`, or give more data.",
    )


def _invalid_folds(reason: str) -> StepError:
    return StepError(
        f"The input 'cv' cannot be used: {reason}.",
        code="invalid_input",
        hint="Give a number of folds, or {kind, n_splits, column, shuffle}; 0 skips it.",
    )
