import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlq.errors import StepError
from mlq_workers.components.splits import Folds, make_folds, read_folds, split_rows

FRAME = pd.DataFrame({"g": np.repeat(list("abcde"), 4), "t": np.repeat(np.arange(10), 2)})
LABELS = np.asarray(["x", "y"] * 10)


def _split(kind: str, frame: pd.DataFrame = FRAME, **changes: object):  # type: ignore[no-untyped-def]
    options = {
        "test_size": 0.25,
        "labels": LABELS if kind == "stratified" else None,
        "group_column": "g",
        "time_column": "t",
        "seed": 1,
    }
    return split_rows(kind, frame, **(options | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["random", "stratified", "grouped", "time"])
def test_sides_cover_all_rows_once_and_repeat(kind: str) -> None:
    one, two = _split(kind), _split(kind)
    assert sorted([*one.train, *one.test]) == list(range(len(FRAME)))
    assert len(one.train)
    assert len(one.test)
    assert one.test.tolist() == two.test.tolist()


def test_stratified_keeps_proportions() -> None:
    assert (LABELS[_split("stratified", test_size=0.2).test] == "x").sum() == 2


def test_groups_stay_on_one_side() -> None:
    split = _split("grouped")
    assert not set(FRAME["g"].iloc[split.train]) & set(FRAME["g"].iloc[split.test])


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(st.integers(0, 5), min_size=2, max_size=30).filter(lambda t: len(set(t)) > 1),
    test_size=st.floats(0.05, 0.9),
)
def test_time_split_never_learns_from_the_future(times: list[int], test_size: float) -> None:
    frame = pd.DataFrame({"t": times})
    split = _split("time", frame, test_size=test_size)
    assert frame["t"].iloc[split.train].max() < frame["t"].iloc[split.test].min()


def test_no_test_rows_wanted() -> None:
    assert len(_split("random", test_size=0).test) == 0


@pytest.mark.parametrize(
    ("kind", "frame", "changes", "text"),
    [
        ("random", FRAME.head(1), {}, "1 rows cannot be split"),
        ("stratified", FRAME, {"labels": np.asarray(["x"] * 19 + ["y"])}, "class 'y' has one row"),
        ("grouped", FRAME.assign(g=1), {}, "only one value"),
        ("time", FRAME.assign(t=1), {}, "too few different values"),
        ("time", FRAME, {"time_column": None}, "needs the input 'time_column'"),
        ("grouped", FRAME, {"group_column": None}, "needs the input 'group_column'"),
    ],
)
def test_splits_that_cannot_be(
    kind: str, frame: pd.DataFrame, changes: dict[str, object], text: str
) -> None:
    with pytest.raises(StepError, match=text):
        _split(kind, frame, **changes)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, Folds("stratified", 5)),
        (3.0, Folds("stratified", 3)),
        (0, None),
        (1, None),
        ({"n_splits": 4}, Folds("stratified", 4)),
        ({"kind": "grouped", "column": "g"}, Folds("grouped", 5, "g")),
        ({"kind": "kfold", "n_splits": 2, "shuffle": False}, Folds("kfold", 2, None, False)),
    ],
)
def test_reading_cv(value: object, expected: Folds | None) -> None:
    assert read_folds(value, is_classifier=True) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("five", "neither"),
        (True, "neither"),
        (2.5, "not a number of folds"),
        (-1, "not a number of folds"),
        ({"kind": "strattified"}, "stratified"),
        ({"n_split": 3}, "n_splits"),
        ({"kind": "time"}, "'column'"),
    ],
)
def test_wrong_cv(value: object, text: str) -> None:
    with pytest.raises(StepError, match=text):
        read_folds(value, is_classifier=True)


def test_regression_folds() -> None:
    assert read_folds(5, is_classifier=False) == Folds("kfold", 5)
    with pytest.raises(StepError, match="need a classifier"):
        read_folds({"kind": "stratified"}, is_classifier=False)


@pytest.mark.parametrize(
    "folds",
    [Folds("stratified", 4), Folds("kfold", 4), Folds("grouped", 4, "g"), Folds("time", 4, "t")],
)
def test_folds_repeat_and_do_not_overlap(folds: Folds) -> None:
    one, two = (make_folds(folds, FRAME, LABELS, seed=3) for _ in range(2))
    assert len(one) == 4
    for (train, test), (_, again) in zip(one, two, strict=True):
        assert not set(train) & set(test)
        assert test.tolist() == again.tolist()


def test_grouped_and_time_folds_keep_their_word() -> None:
    for train, test in make_folds(Folds("grouped", 5, "g"), FRAME, LABELS, seed=0):
        assert not set(FRAME["g"].iloc[train]) & set(FRAME["g"].iloc[test])
    for train, test in make_folds(Folds("time", 3, "t"), FRAME, LABELS, seed=0):
        assert FRAME["t"].iloc[train].max() <= FRAME["t"].iloc[test].min()


@pytest.mark.parametrize(
    ("folds", "text"),
    [
        (Folds("kfold", 30), "20 rows"),
        (Folds("stratified", 11), "10 rows of class 'x'"),
        (Folds("grouped", 6, "g"), "5 groups in 'g'"),
        (Folds("grouped", 2, "gg"), "'gg' is not in"),
    ],
)
def test_too_little_for_folds(folds: Folds, text: str) -> None:
    with pytest.raises(StepError, match=text):
        make_folds(folds, FRAME, LABELS, seed=0)
