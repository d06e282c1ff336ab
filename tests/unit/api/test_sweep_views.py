"""How the best value of a sweep came about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy.engine import RowMapping

from mlq_api.sweep_views import progress_view

START = datetime(2026, 11, 23, 8, tzinfo=UTC)


def rows(*values: float) -> list[RowMapping]:
    made: list[dict[str, Any]] = [
        {"number": number, "value": value, "finished_at": START + timedelta(seconds=number)}
        for number, value in enumerate(values)
    ]
    return cast("list[RowMapping]", made)


@pytest.mark.parametrize(("maximize", "numbers"), [(True, [0, 2]), (False, [0, 1, 4])])
def test_only_what_is_better_than_all_before_counts(maximize: bool, numbers: list[int]) -> None:
    points = progress_view(rows(2.0, 1.0, 3.0, 3.0, -1.0), maximize=maximize)
    assert [point["number"] for point in points] == numbers
    assert points[0]["finished_at"] == "2026-11-23T08:00:00Z"
