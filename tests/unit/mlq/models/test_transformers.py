import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone

from mlq.models.transformers import (
    MISSING,
    Clip,
    Columns,
    as_booleans,
    as_datetimes,
    as_labels,
    as_numbers,
)
from tests.unit.mlq.models.conftest import COLUMNS


def test_a_row_reads_the_same_from_a_table_and_from_json(rows: pd.DataFrame) -> None:
    columns = Columns(COLUMNS).fit(rows)
    table = columns.transform(rows)
    records = json.loads(rows.to_json(orient="records", date_format="iso"))
    pd.testing.assert_frame_equal(columns.transform(pd.DataFrame(records)), table)
    one_by_one = [columns.transform(pd.DataFrame([record])) for record in records]
    pd.testing.assert_frame_equal(
        pd.concat(one_by_one, ignore_index=True), table, check_dtype=False
    )


def test_columns_out_are_named(rows: pd.DataFrame) -> None:
    columns = clone(Columns(COLUMNS))
    assert columns.get_feature_names_out().tolist() == list(columns.fit(rows).transform(rows))


def test_other_columns_are_ignored_and_optional_ones_may_be_absent(rows: pd.DataFrame) -> None:
    columns = Columns(COLUMNS).fit(rows)
    changed = columns.transform(rows.drop(columns="n").assign(other=1))
    assert changed["n"].isna().all()
    with pytest.raises(ValueError, match="column 'm' is missing"):
        columns.transform(rows.drop(columns="m"))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("n", "wide", "'wide' is not a number"),
        ("n", [1, 2], "is not a number"),
        ("f", "perhaps", "'perhaps' is not true or false"),
        ("d", "yesterday", "'yesterday' is not an ISO 8601 time"),
    ],
)
def test_values_that_do_not_fit(rows: pd.DataFrame, column: str, value: object, words: str) -> None:
    values = rows[column].astype(object)
    values.iloc[4] = value
    with pytest.raises(ValueError, match=f"column '{column}', row 4: .*{words}"):
        Columns(COLUMNS).fit(rows).transform(rows.assign(**{column: values}))


def test_numbers() -> None:
    found = as_numbers(pd.Series(["1", 2, None, "2.5", "nan", True], dtype=object))
    np.testing.assert_array_equal(found, [1, 2, np.nan, 2.5, np.nan, 1])
    assert np.isnan(as_numbers(pd.Series([np.inf, -np.inf]))).all()
    with pytest.raises(ValueError, match="holds times"):
        as_numbers(pd.Series(pd.to_datetime(["2020-01-01"]), name="d"))


def test_booleans_and_times() -> None:
    found = as_booleans(pd.Series(["Yes", "0", None, 1.0, False], dtype=object))
    np.testing.assert_array_equal(found, [1, 0, np.nan, 1, 0])
    times = as_datetimes(pd.Series(["2020-01-01T02:00:00+02:00", None, "2020-01-01"]))
    assert times.iloc[0] == times.iloc[2] == pd.Timestamp("2020-01-01")
    assert pd.isna(times.iloc[1])


def test_labels_do_not_depend_on_how_codes_were_read() -> None:
    whole = as_labels(pd.Series([1, 2]), missing=MISSING)
    gaps = as_labels(pd.Series([1.0, 2.0, None]), missing=MISSING)
    assert whole.tolist() == gaps.tolist()[:2] == ["1", "2"]
    assert gaps.tolist()[2] == MISSING
    assert as_labels(pd.Series([True, 1.5, "x"], dtype=object), missing="").tolist() == [
        "true",
        "1.5",
        "x",
    ]


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, (12, 2), elements=st.floats(-1e6, 1e6) | st.just(np.nan)),
    arrays(np.float64, (5, 2), elements=st.floats(-1e9, 1e9) | st.just(np.nan)),
)
def test_clip_keeps_within_the_quantiles_it_was_fitted_on(
    fitted: np.ndarray, seen: np.ndarray
) -> None:
    clip = Clip(0.1, 0.9).fit(fitted)
    found = clip.transform(seen)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(seen))
    for column in range(2):
        known = fitted[~np.isnan(fitted[:, column]), column]
        if known.size:
            low, high = np.quantile(known, [0.1, 0.9])
            inside = found[~np.isnan(found[:, column]), column]
            assert ((inside >= low) & (inside <= high)).all()


def test_clip_without_a_known_value_changes_nothing() -> None:
    clip = Clip().fit(np.full((3, 1), np.nan))
    assert clip.transform(np.asarray([[5.0]])).tolist() == [[5.0]]
