import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlq.errors import StepError
from mlq_workers.components.tables import read_rows, read_table, require_column, write_table

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [0.5, None]})


def _file(tmp_path: Path, content: bytes) -> Path:
    file = tmp_path / "anything"
    file.write_bytes(content)
    return file


def _refused(tmp_path: Path, content: bytes) -> StepError:
    with pytest.raises(StepError) as caught:
        read_table(_file(tmp_path, content))
    return caught.value


def test_formats_are_told_apart_by_content(tmp_path: Path) -> None:
    parquet, feather, stream = (tmp_path / name for name in ("p", "f", "s"))
    write_table(FRAME, parquet)
    pyarrow.feather.write_feather(FRAME, feather)
    table = pa.Table.from_pandas(FRAME)
    with pa.OSFile(str(stream), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    csv = _file(tmp_path, FRAME.to_csv(index=False).encode())
    for file in (parquet, feather, stream, csv):
        pd.testing.assert_frame_equal(read_table(file), FRAME, check_dtype=False)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    text = "a,b\n1,x\n2,y\n".replace(",", delimiter)
    assert list(read_table(_file(tmp_path, text.encode())).columns) == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    frame = read_table(_file(tmp_path, "naïve,b\né,1\n".encode(encoding)))
    assert list(frame.columns) == ["naïve", "b"]
    assert frame["naïve"].tolist() == ["é"]


def test_csv_types_come_from_the_whole_file(tmp_path: Path) -> None:
    rows = "\n".join(str(number) for number in range(300_000))
    frame = read_table(_file(tmp_path, f"a\n{rows}\nlast\n".encode()))
    assert frame["a"].iloc[-1] == "last"


def test_csv_values(tmp_path: Path) -> None:
    text = 'n,s,b,d\n1,"two\nlines",true,2020-01-31\nNA,NA,,\n'
    frame = read_table(_file(tmp_path, text.encode()))
    assert frame["n"].tolist()[0] == 1.0
    assert np.isnan(frame["n"].iloc[1])
    assert frame["s"].iloc[0] == "two\nlines"
    assert frame["d"].iloc[0] == pd.Timestamp("2020-01-31")
    assert frame.iloc[1].isna().all()


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"a,b\n"])
def test_no_rows(tmp_path: Path, content: bytes) -> None:
    error = _refused(tmp_path, content)
    assert error.code == "empty_data"
    assert "'data'" in error.message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,b\n1,2\n3\n", "row 3 has 1 fields where the header has 2"),
        (b"a,b\n1,2,3\n", "row 2 has 3 fields where the header has 2"),
        (b"a,a\n1,2\n", "'a' is there twice"),
        (b"\x00\x01\x02\xff garbage", "binary data"),
        (gzip.compress(b"a\n1\n", mtime=0), "gzip archive"),
        (b"PAR1 but no more", "cannot be read"),
        (b"ARROW1\x00\x00 broken", "cannot be read"),
        (b"\xff\xff\xff\xff\x10\x00\x00\x00", "cannot be read"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, reason: str) -> None:
    error = _refused(tmp_path, content)
    assert error.code == "invalid_data"
    assert reason in error.message


def test_random_bytes_are_refused(tmp_path: Path) -> None:
    for size in (64, 1000, 200_000):
        assert _refused(tmp_path, os.urandom(size)).code == "invalid_data"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_a_table_or_a_step_error(tmp_path: Path, content: bytes) -> None:
    try:
        frame = read_table(_file(tmp_path, content))
    except StepError:
        return
    assert len(frame)


def test_nested_columns_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "nested"
    pd.DataFrame({"a": [[1], [2]]}).to_parquet(file)
    with pytest.raises(StepError, match="lists or mappings"):
        read_table(file)


def test_odd_types_become_plain(tmp_path: Path) -> None:
    file = tmp_path / "odd"
    frame = pd.DataFrame({"c": pd.Categorical(["x", "y"]), "n": ["i", "j"]}).set_index("n")
    frame.to_parquet(file)
    table = read_table(file)
    assert sorted(table.columns) == ["c", "n"]
    assert table["c"].tolist() == ["x", "y"]


def test_folder_of_one_file(tmp_path: Path) -> None:
    write_table(FRAME, tmp_path / "one.parquet")
    assert len(read_table(tmp_path)) == 2
    write_table(FRAME, tmp_path / "two.parquet")
    with pytest.raises(StepError, match="2 files"):
        read_table(tmp_path)


def test_rows_may_be_none_in_parquet(tmp_path: Path) -> None:
    file = write_table(FRAME.iloc[:0], tmp_path / "none.parquet")
    assert read_rows(file).empty
    with pytest.raises(StepError, match="no rows"):
        read_table(file)


def test_same_frame_same_bytes(tmp_path: Path) -> None:
    one, two = (write_table(FRAME, tmp_path / name).read_bytes() for name in ("one", "two"))
    assert one == two


def test_missing_column_names_the_nearest() -> None:
    with pytest.raises(StepError) as caught:
        require_column("chruned", ["age", "churned"], what="target column")
    assert caught.value.code == "missing_column"
    assert "churned" in caught.value.hint
    with pytest.raises(StepError) as caught:
        require_column("zzz", ["age", "churned"], what="target column")
    assert "age, churned" in caught.value.hint
