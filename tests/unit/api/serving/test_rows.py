from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlq.errors import TooLargeError
from mlq.models.signature import Field, Signature
from mlq_api.serving import rows
from mlq_api.serving.rows import RowsError, from_columns, from_table, merge

SIGNATURE = Signature(
    (
        Field("months", "double"),
        Field("count", "long"),
        Field("plan", "string"),
        Field("is_new", "boolean"),
        Field("since", "datetime"),
        Field("note", "string", required=False),
    )
)
ROW: dict[str, Any] = {
    "months": 1.5,
    "count": 2,
    "plan": "basic",
    "is_new": True,
    "since": "2026-01-02T03:04:05+01:00",
}


def from_rows(signature: Signature, given: Any) -> tuple[pd.DataFrame, list[str]]:
    table, warnings = rows.from_rows(signature, given)
    return table.frame(), warnings


def problems(error: RowsError) -> list[tuple[str, str]]:
    return [(problem.path, problem.message) for problem in error.problems]


def test_rows_become_columns_of_the_signature_in_its_order() -> None:
    frame, warnings = from_rows(SIGNATURE, [dict(reversed(ROW.items()))])
    assert list(frame.columns) == ["months", "count", "plan", "is_new", "since", "note"]
    assert warnings == []
    assert frame["count"].dtype == np.int64
    assert frame["is_new"].dtype == bool
    assert str(frame["since"][0]) == "2026-01-02 02:04:05"
    assert frame["note"].isna().all()


def test_null_and_nan_are_missing_in_every_type() -> None:
    empty = dict.fromkeys(ROW)
    not_a_number = dict.fromkeys(ROW, math.nan)
    frame, _ = from_rows(SIGNATURE, [ROW, empty, not_a_number])
    assert frame.drop(columns="note").isna().sum().to_dict() == dict.fromkeys(ROW, 2)
    assert frame["months"].dtype == np.float64


def test_a_whole_number_column_takes_any_number() -> None:
    frame, _ = from_rows(SIGNATURE, [ROW, {**ROW, "count": 2.5}, {**ROW, "count": 2**70}])
    assert frame["count"].tolist() == [2.0, 2.5, 2.0**70]


def test_booleans_fit_a_column_of_text() -> None:
    frame, _ = from_rows(SIGNATURE, [{**ROW, "plan": True}, {**ROW, "plan": None}])
    assert frame["plan"][0] is True
    assert frame["plan"].isna()[1]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("months", "7", "expected a finite number, got the text '7'"),
        ("months", True, "expected a finite number, got true"),
        ("months", math.inf, "expected a finite number, got the number inf"),
        ("months", [1], "expected a finite number, got a list"),
        ("count", {}, "expected a finite number, got an object"),
        ("plan", 3, "expected text, got the number 3"),
        ("is_new", 1, "expected true or false, got the number 1"),
        ("since", "yesterday", "expected an ISO 8601 time, got the text 'yesterday'"),
        ("since", 20260102, "expected an ISO 8601 time, got the number 20260102"),
    ],
)
def test_a_wrong_type_names_column_row_and_value(column: str, value: Any, said: str) -> None:
    with pytest.raises(RowsError) as refused:
        from_rows(SIGNATURE, [ROW, {**ROW, column: value}])
    assert problems(refused.value) == [(f"{column}[1]", said)]
    assert refused.value.code == "invalid_rows"


def test_every_wrong_column_is_named_at_once() -> None:
    with pytest.raises(RowsError) as refused:
        from_rows(SIGNATURE, [{**ROW, "months": "x", "plan": 1}])
    assert [path for path, _ in problems(refused.value)] == ["months[0]", "plan[0]"]


def test_missing_columns_are_named_with_what_was_sent_instead() -> None:
    sent = {key: value for key, value in ROW.items() if key not in ("months", "plan")}
    with pytest.raises(RowsError) as refused:
        from_rows(SIGNATURE, [{**sent, "mnths": 1}])
    assert problems(refused.value) == [
        ("rows", "the column 'months' is missing; got 'mnths'"),
        ("rows", "the column 'plan' is missing"),
    ]


def test_a_row_that_lacks_a_column_is_named() -> None:
    short = {key: value for key, value in ROW.items() if key != "plan"}
    with pytest.raises(RowsError) as refused:
        from_rows(SIGNATURE, [ROW, short])
    assert problems(refused.value)[0][0] == "rows[1].plan"


def test_a_column_too_many_is_left_out_with_a_warning() -> None:
    frame, warnings = from_rows(SIGNATURE, [{**ROW, "colour": "red"}])
    assert "colour" not in frame
    assert warnings == ["the model has no column 'colour': it was left out"]


@pytest.mark.parametrize("given", [None, {}, [], [1], "rows", [[1]]])
def test_what_are_no_rows(given: Any) -> None:
    with pytest.raises(RowsError):
        from_rows(SIGNATURE, given)


def test_too_many_rows() -> None:
    with pytest.raises(TooLargeError):
        from_rows(Signature((Field("a", "double"),)), [{"a": 1}] * (rows.MAX_ROWS + 1))


def test_a_model_without_signature_takes_what_comes() -> None:
    frame, warnings = from_rows(Signature(), [{"a": 1, "b": "x"}, {"a": 2}])
    assert frame.columns.tolist() == ["a", "b"]
    assert warnings == []


def test_a_table_as_azure_writes_it() -> None:
    table, _ = from_table(
        SIGNATURE, list(ROW), [list(ROW.values()), list(ROW.values())], index=["a", "b"]
    )
    assert table.count == len(table.frame()) == 2


@pytest.mark.parametrize(
    ("names", "data", "index", "path"),
    [
        (None, [[1]], None, "input_data.columns"),
        (["a", "a"], [[1, 2]], None, "input_data.columns"),
        (["a"], None, None, "input_data.data"),
        (["a"], [], None, "input_data.data"),
        (["a"], [[1], [1, 2]], None, "input_data.data[1]"),
        (["a"], [[1]], [0, 1], "input_data.index"),
    ],
)
def test_a_table_that_is_none(names: Any, data: Any, index: Any, path: str) -> None:
    with pytest.raises(RowsError) as refused:
        from_table(Signature((Field("a", "double"),)), names, data, index=index)
    assert problems(refused.value)[0][0] == path


def test_columns_of_unequal_kind_are_checked_like_rows() -> None:
    with pytest.raises(RowsError):
        from_columns(Signature((Field("a", "double"),)), {"a": []}, path="inputs")


NUMBERS = Signature((Field("a", "double"), Field("b", "long", required=False)))


def test_numbers_are_the_frames_values() -> None:
    sent = [{"a": 1.5, "b": 2}, {"a": -3, "b": 2**63}, {"a": 0, "b": 10**30}]
    for given in (sent, [*sent, {"a": None, "b": math.nan}], [{"a": 1}]):
        table, _ = rows.from_rows(NUMBERS, given)
        assert np.array_equal(table.numbers(), table.frame().to_numpy(float), equal_nan=True)


def test_numbers_name_the_column_that_has_none() -> None:
    for bad in ("x", True, 10**400, math.inf):
        table, _ = rows.from_rows(NUMBERS, [{"a": 1, "b": 1}, {"a": bad, "b": 1}])
        with pytest.raises(RowsError) as refused:
            table.numbers()
        assert problems(refused.value)[0][0] == "a[1]"


def test_merged_tables_keep_their_order() -> None:
    tables = [rows.from_rows(SIGNATURE, [{**ROW, "count": n}])[0] for n in (3, 1, 2)]
    assert merge(tables).frame()["count"].tolist() == [3, 1, 2]
