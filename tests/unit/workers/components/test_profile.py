import json

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mlq_workers.components.profile import profile_column


def test_number() -> None:
    record = profile_column(pd.Series([1.0, 2.0, 3.0, None], name="n"), "number")
    assert record["missing"] == 1
    assert record["missing_share"] == 0.25
    assert (record["min"], record["max"], record["mean"]) == (1.0, 3.0, 2.0)
    assert record["quantiles"]["0.5"] == 2.0
    assert sum(record["histogram"]["counts"]) == 3
    assert len(record["histogram"]["edges"]) == len(record["histogram"]["counts"]) + 1


def test_category_is_ordered_by_count_then_name() -> None:
    record = profile_column(pd.Series(["b", "a", "b", "c"], name="c"), "category")
    assert [entry["value"] for entry in record["top"]] == ["b", "a", "c"]
    assert record["distinct"] == 3


def test_other_kinds() -> None:
    times = profile_column(pd.Series(pd.to_datetime(["2020-01-02", "2020-01-01"])), "datetime")
    assert times["min"] == "2020-01-01T00:00:00"
    assert profile_column(pd.Series(["abc", "abcde"]), "text")["length"]["0.5"] == 4.0
    empty = profile_column(pd.Series([None, None], dtype=object, name="e"), "category")
    assert (empty["missing"], empty["distinct"]) == (2, 0)
    flags = profile_column(pd.Series([True, True, False]), "boolean")
    assert flags["top"][0] == {"value": "true", "count": 2}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=1, max_size=20))
def test_any_numbers_give_strict_json(values: list[float]) -> None:
    record = profile_column(pd.Series(values, dtype=np.float64, name="n"), "number")
    assert json.loads(json.dumps(record, allow_nan=False))["name"] == "n"
