import numpy as np
import pandas as pd
import pytest

from mlq.errors import StepError
from mlq_workers.components.kinds import (
    as_target,
    check_types,
    convert,
    infer_kind,
    is_classes,
    is_identifier,
)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "number"),
        ([1.5, None], "number"),
        ([True, False], "boolean"),
        ([True, None], "boolean"),
        (["a", None], "category"),
        (["a whole sentence with words", "and another one of these"], "text"),
        (pd.to_datetime(["2020-01-01"]), "datetime"),
    ],
)
def test_kinds(values: list[object], kind: str) -> None:
    assert infer_kind(pd.Series(values)) == kind


def test_identifiers_never_repeat() -> None:
    assert is_identifier(pd.Series([f"id{n}" for n in range(60)]))
    assert not is_identifier(pd.Series([f"id{n}" for n in range(10)]))
    assert not is_identifier(pd.Series([f"id{n % 59}" for n in range(60)]))


def test_convert_drops_what_does_not_fit_or_refuses() -> None:
    values = pd.Series(["1", "2.5", "unknown", None], name="x")
    numbers, lost = convert(values, "number", is_strict=False)
    assert lost == 1
    assert numbers.tolist()[:2] == [1.0, 2.5]
    assert numbers.isna().sum() == 2
    with pytest.raises(StepError, match="'unknown' is not a number"):
        convert(values, "number", is_strict=True)


def test_convert_booleans_with_gaps_and_codes_to_categories() -> None:
    flags, lost = convert(pd.Series(["yes", "no", None, "maybe"]), "boolean", is_strict=False)
    assert flags.tolist() == [True, False, None, None]
    assert lost == 1
    codes, _ = convert(pd.Series([1.0, 2.0, None]), "category", is_strict=True)
    assert codes.tolist()[:2] == ["1", "2"]
    assert codes.isna().tolist() == [False, False, True]


def test_unknown_type_names_the_nearest() -> None:
    with pytest.raises(StepError) as caught:
        check_types({"age": "nummber"})
    assert "number" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b"], True),
        ([True, False], True),
        ([0, 1] * 10, True),
        ([0.0, 1.0] * 10, True),
        ([0.5, 1.0] * 10, False),
        (list(range(30)), False),
        ([1, 2, 3], False),
    ],
)
def test_classes_or_quantities(values: list[object], expected: bool) -> None:
    assert is_classes(pd.Series(values)) is expected


def test_target_keeps_its_labels() -> None:
    assert as_target(pd.Series(["m", "f"])).tolist() == ["m", "f"]
    assert as_target(pd.Series([1.0, 0.0])).tolist() == [1, 0]
    assert as_target(pd.Series([1.0, 0.0])).dtype == np.int64
    assert as_target(pd.Series([True, False], dtype=object)).tolist() == [True, False]
    assert as_target(pd.Series([1.5, 0.0])).dtype == np.float64
    with pytest.raises(StepError, match="times"):
        as_target(pd.Series(pd.to_datetime(["2020-01-01"])))
