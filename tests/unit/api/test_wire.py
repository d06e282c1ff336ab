from __future__ import annotations

import json
from datetime import UTC, datetime

from mlq_api.wire import dump, iso


def test_numbers_that_json_does_not_know_become_null() -> None:
    value = {"auc": float("nan"), "rows": [1.5, float("inf")]}
    assert json.loads(dump(value)) == {"auc": None, "rows": [1.5, None]}


def test_times_end_in_z() -> None:
    moment = datetime(2026, 11, 23, 8, 0, 0, 5, tzinfo=UTC)
    assert iso(moment) == "2026-11-23T08:00:00.000005Z"
    assert json.loads(dump({"at": moment})) == {"at": iso(moment)}
