"""Profiles and differences, against what pandas and scipy compute of the whole table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlq.datasets import columns
from mlq.datasets.difference import compare
from mlq.datasets.profile import preview, profile
from mlq.errors import StepError


def make_frame(*, rows: int = 400, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "amount": rng.normal(size=rows) + shift,
            "plan": rng.choice(["basic", "gold"], rows),
            "paid": rng.random(rows) < 0.5,
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows), unit="D"),
        }
    )
    frame.loc[:9, "amount"] = np.nan
    return frame


def by_name(view: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in view["columns"]}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather", "jsonl"])
def test_each_format_has_the_profile_of_its_table(tmp_path: Path, suffix: str) -> None:
    frame, path = make_frame(), tmp_path / f"t.{suffix}"
    match suffix:
        case "csv":
            frame.to_csv(path, index=False)
        case "parquet":
            frame.to_parquet(path)
        case "feather":
            frame.to_feather(path)
        case _:
            frame.to_json(
                path,
                orient="records",
                lines=True,
                date_format="iso",
                date_unit="s",
                double_precision=15,
            )
    view = profile(path).view()
    found = by_name(view)
    amount = frame["amount"]
    assert (view["rows"], view["files"], list(found)) == (400, 1, list(frame.columns))
    assert found["amount"]["missing"] == 10
    assert found["amount"]["distinct"] == amount.nunique()
    assert found["amount"]["mean"] == pytest.approx(amount.mean())
    assert found["amount"]["std"] == pytest.approx(amount.std(ddof=0))
    assert found["amount"]["quantiles"]["0.25"] == pytest.approx(amount.quantile(0.25))
    assert sum(found["amount"]["histogram"]["counts"]) == 390
    assert found["plan"]["top"] == [
        {"value": value, "count": count} for value, count in frame["plan"].value_counts().items()
    ]
    assert (found["paid"]["type"], found["since"]["type"]) == ("boolean", "datetime")
    assert found["since"]["min"].startswith("2024-01-01")


def test_a_folder_is_one_table_and_memory_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "SAMPLE_SIZE", 1000)
    for part in range(3):
        numbers = np.arange(part * 20_000, (part + 1) * 20_000)
        pd.DataFrame({"id": numbers, "key": numbers.astype(str)}).to_csv(
            tmp_path / f"{part}.csv", index=False
        )
    (tmp_path / "README.md").write_text("no table")
    found = profile(tmp_path)
    ids = found.columns["id"]
    assert (found.rows, found.files, len(ids.sample)) == (60_000, 3, 1000)
    view = by_name(found.view())
    assert (view["id"]["min"], view["id"]["max"], view["id"]["mean"]) == (0, 59_999, 29_999.5)
    assert not view["id"]["distinct_is_exact"]
    assert view["id"]["distinct"] == pytest.approx(60_000, rel=0.1)
    assert view["id"]["quantiles"]["0.5"] == pytest.approx(30_000, rel=0.15)
    assert "top" not in view["key"]
    assert profile(tmp_path).view() == found.view()


def test_a_csv_whose_later_rows_are_of_another_type(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n" + "100000000\n" * 450_000 + "x\n")
    found = profile(path).view()
    assert (found["rows"], found["columns"][0]["type"]) == (450_001, "text")


def test_the_difference_of_two_versions(tmp_path: Path) -> None:
    before, after = make_frame(), make_frame(shift=0.8)
    after = after.drop(columns="paid").assign(region="eu")
    for name, frame in (("before", before), ("after", after)):
        frame.to_parquet(tmp_path / f"{name}.parquet")
    old, new = profile(tmp_path / "before.parquet"), profile(tmp_path / "after.parquet")
    found = compare(old, new)
    assert found["rows"] == {"before": 400, "after": 400, "added": None, "removed": None}
    assert (found["schema"]["added"], found["schema"]["removed"]) == (["region"], ["paid"])
    amount, plan, _ = found["columns"]
    expected = stats.ks_2samp(before["amount"].dropna(), after["amount"].dropna())
    assert amount["ks"] == pytest.approx(expected.statistic, abs=1e-6)
    assert (amount["drift"], plan["drift"], plan["psi"]) == ("large", "none", 0.0)


def test_rows_are_compared_whatever_their_order(tmp_path: Path) -> None:
    frame = make_frame(rows=50)
    frame.to_csv(tmp_path / "a.csv", index=False)
    changed = pd.concat([frame.iloc[:0:-1], frame.iloc[[3, 3]]], ignore_index=True)
    changed[list(frame.columns[::-1])].to_parquet(tmp_path / "b.parquet")
    found = compare(profile(tmp_path / "a.csv"), profile(tmp_path / "b.parquet"))
    assert found["rows"] == {"before": 50, "after": 51, "added": 2, "removed": 1}


def test_a_preview_stops_where_it_was_told_to(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1;x\n2;\n3;z\n")
    assert preview(path, rows=2) == {
        "columns": [{"name": "a", "type": "int64"}, {"name": "b", "type": "string"}],
        "rows": [[1, "x"], [2, None]],
        "is_whole": False,
    }
    assert preview(path, rows=3)["is_whole"]


@pytest.mark.parametrize("content", [b"", b"\x00\x01binary", b"PAR1 and no more"])
def test_what_is_no_table_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.bin"
    path.write_bytes(content)
    for look in (profile, lambda path: preview(path, rows=1)):
        with pytest.raises(StepError) as caught:
            look(path)
        assert caught.value.code == "not_a_table"
