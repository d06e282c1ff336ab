"""Mini-batches of files and of tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mlq.errors import StepError
from mlq_workers.spread.lots import _lots, total
from mlq_workers.spread.splits import Size, split


def test_files_by_number_and_by_size(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.bin").write_bytes(b"x" * 40)
    assert [batch["size"] for batch in split(tmp_path, "uri_folder", Size(2, None))] == [2, 2, 1]
    assert [batch["size"] for batch in split(tmp_path, "uri_folder", Size(None, 100))] == [2, 2, 1]
    assert [batch["size"] for batch in split(tmp_path, "uri_folder", None)] == [5]
    assert split(tmp_path / "0.bin", "uri_file", None) == [{"files": [""], "size": 1}]
    assert split(tmp_path / "none", "uri_folder", None) == []


def test_delimited_rows_are_cut_where_they_end(tmp_path: Path) -> None:
    text = 'a,b\n1,"two\nlines"\n2,x\n3,y\n'
    (tmp_path / "t.csv").write_text(text)
    found = split(tmp_path, "mltable", Size(2, None))
    assert [batch["size"] for batch in found] == [2, 1]
    (part,) = found[0]["table"]
    assert part["header"] == "a,b\n"
    assert text[part["start"] : part["end"]] == '1,"two\nlines"\n2,x\n'
    by_size = split(tmp_path, "mltable", Size(None, 5))
    assert [batch["size"] for batch in by_size] == [1, 2]


def test_an_mltable_file_says_how_to_read(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("a;b\n1;2\n")
    (tmp_path / "two.txt").write_text("3;4\n")
    (tmp_path / "MLTable").write_text(
        "paths: [{file: ./one.txt}, {pattern: './t*.txt'}]\n"
        "transformations: [{read_delimited: {delimiter: ';', header: from_first_file}}]\n"
    )
    parts = [batch["table"][0] for batch in split(tmp_path, "mltable", None)]
    assert [(part["file"], part["delimiter"], part["header"]) for part in parts] == [
        ("one.txt", ";", "a;b\n"),
        ("two.txt", ";", "a;b\n"),
    ]


def test_parquet_by_rows(tmp_path: Path) -> None:
    pd.DataFrame({"a": range(10)}).to_parquet(tmp_path / "t.parquet")
    found = split(tmp_path, "mltable", Size(4, None))
    assert [(b["table"][0]["start"], b["table"][0]["end"]) for b in found] == [
        (0, 4),
        (4, 8),
        (8, 10),
    ]


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("paths: [{file: ./t.csv}]", "neither read_delimited nor read_parquet"),
        ("paths: [{file: ./t.csv}]\ntransformations: [{keep_columns: a}]", "keep_columns"),
        ("paths: [{file: ./none.csv}]\ntransformations: [read_parquet]", "no file that is there"),
        ("paths: [{file: ../../etc/passwd}]", "no file"),
        ("paths: [{pattern: '*'}]\ntransformations: [{read_delimited: {header: x}}]", "header: x"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, definition: str, words: str) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    (tmp_path / "MLTable").write_text(definition)
    with pytest.raises(StepError, match=words):
        split(tmp_path, "mltable", None)


def test_lots_are_equally_long() -> None:
    batches = [{"place": place} for place in range(10)]
    assert [(first, len(lot)) for first, lot in _lots(batches, 4)] == [
        (0, 2),
        (2, 3),
        (5, 2),
        (7, 3),
    ]
    assert len(list(_lots(batches[:2], 4))) == 2
    assert list(_lots([], 4)) == []


def test_all_lots_together_keep_the_thresholds() -> None:
    summary = {"mini_batches": 2, "failed_mini_batches": 1, "items": 20, "failed_items": 3}
    settings = {"error_threshold": 6, "mini_batch_error_threshold": -1}
    assert total([summary, summary], settings)["failed_items"] == 6
    with pytest.raises(StepError, match="6 items have failed, and error_threshold is 5"):
        total([summary, summary], {**settings, "error_threshold": 5})
