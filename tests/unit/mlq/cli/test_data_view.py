"""Tables as text."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from mlq.cli.data_view import profile_table


def column(name: str, kind: str, **more: Any) -> dict[str, Any]:
    known = {"missing_share": 0.015, "distinct": 120, "distinct_is_exact": True}
    return {"name": name, "type": kind, **known, **more}


def test_a_profile_is_whole_at_80_columns() -> None:
    names = ["the_length_of_a_bill_in_millimetres_as_measured", "island", "hatched_at"]
    found = {
        "columns": [
            column(
                names[0], "number", min=-1234.5, max=98765.25, mean=43.92, quantiles={"0.5": 44.45}
            ),
            column(names[1], "text", top=[{"value": "Torgersen", "count": 52}]),
            column(names[2], "datetime", min="2025-01-01T00:00:00", max="2025-01-02T03:04:05"),
        ]
    }
    file = io.StringIO()
    Console(file=file, width=80).print(profile_table(found, width=80))
    text = file.getvalue()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    words = "".join(text.split())
    for one in (*names[1:], "1.5%", "120", "median44.45", "mean43.92", "Torgersen(52)"):
        assert one in words
    assert "-1234to" in words
    assert "2025-01-01to" in words
    assert "COLUMNTYPEMISSINGDISTINCTVALUES" in words
