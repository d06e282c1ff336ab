"""Tables in and out: CSV, Parquet and Arrow/Feather, told apart by their content.

Reading uses one thread: a worker's slots share the machine's cores.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from mlq.errors import StepError, nearest

#: Bytes looked at to tell what a file is.
SNIFF_BYTES = 64 * 1024
#: Arrow infers a CSV column's type from its first block, so a block is the whole file up to this.
MAX_BLOCK_BYTES = 2**31 - 1

_DELIMITERS = (",", ";", "\t", "|")
_MAGIC = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"%PDF": "a PDF document",
    b"SQLite format 3": "an SQLite database",
}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def read_table(path: Path, *, name: str = "data") -> pd.DataFrame:
    """Read the table at `path`, a file or a folder that holds just one.

    name: the input's name, for messages. Columns have unique text names; strings are pandas `str`,
    times `datetime64`. Raises StepError: `empty_data` for a file without rows, `invalid_data` for
    one that is no table.
    """
    file = _find_file(path, name)
    with file.open("rb") as stream:
        head = stream.read(SNIFF_BYTES)
    if not head.strip():
        raise _empty(name, "the file is empty")
    try:
        table = _read_arrow(file, head, name)
    except (pa.ArrowException, OSError) as error:
        raise _invalid(name, f"it cannot be read: {_first_line(error)}") from error
    frame = _as_frame(table, name)
    if frame.empty:
        raise _empty(name, f"it has {len(frame.columns)} columns but no rows")
    return frame


def read_rows(path: Path, *, name: str = "data") -> pd.DataFrame:
    """Like `read_table`, but a Parquet table without rows is no error."""
    file = _find_file(path, name)
    with file.open("rb") as stream:
        is_parquet = stream.read(4) == b"PAR1"
    if not is_parquet:
        return read_table(path, name=name)
    try:
        return _as_frame(pa.parquet.read_table(file, use_threads=False), name)
    except (pa.ArrowException, OSError) as error:
        raise _invalid(name, f"it cannot be read: {_first_line(error)}") from error


def write_table(frame: pd.DataFrame, path: Path) -> Path:
    """Write `frame` as Parquet without its index; the same frame gives the same bytes."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pa.parquet.write_table(table, path, compression="zstd")
    return path


def require_column(column: str, known: Iterable[str], *, name: str = "data", what: str) -> None:
    """Raise StepError unless `column` is one of `known`, naming the nearest.

    what: what the column is wanted for, such as `target column`.
    """
    names = [str(item) for item in known]
    if column in names:
        return
    guess = nearest(column, names) or nearest(column.lower(), [item.lower() for item in names])
    shown = ", ".join(names[:12]) + (" …" if len(names) > 12 else "")
    raise StepError(
        f"The {what} '{column}' is not in the input '{name}'.",
        code="missing_column",
        hint=f"Did you mean '{guess}'?" if guess else f"Its columns are: {shown}.",
    )


def _find_file(path: Path, name: str) -> Path:
    if not path.is_dir():
        return path
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    if len(files) != 1:
        raise _invalid(name, f"it is a folder of {len(files)} files, and one table is wanted")
    return files[0]


def _read_arrow(file: Path, head: bytes, name: str) -> pa.Table:
    if head.startswith(b"PAR1"):
        return pa.parquet.read_table(file, use_threads=False)
    if head.startswith((b"ARROW1", b"FEA1")):
        return pa.feather.read_table(file, use_threads=False, memory_map=True)
    if head.startswith(b"\xff\xff\xff\xff"):  # Arrow's stream format has no other mark
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
            return reader.read_all()
    return _read_csv(file, head, name)


def _read_csv(file: Path, head: bytes, name: str) -> pa.Table:
    encoding = _find_encoding(head, name)
    first_line = head.decode(encoding, errors="replace").lstrip("\ufeff\r\n").splitlines()[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    size = file.stat().st_size
    try:
        return pa.csv.read_csv(
            file,
            read_options=pa.csv.ReadOptions(
                use_threads=False,
                encoding=encoding,
                # UTF-16 shrinks when decoded and Windows code pages grow, by half at most.
                block_size=min(size * 3 // 2 + 1024, MAX_BLOCK_BYTES),
            ),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(strings_can_be_null=True),
        )
    except pa.ArrowInvalid as error:
        raise _explain_csv(error, name) from error
    except UnicodeDecodeError as error:
        raise _invalid(name, f"it is not text in {encoding}") from error


def _find_encoding(head: bytes, name: str) -> str:
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            raise _invalid(name, f"it is {kind}, not a table")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if _CONTROL.search(head):
        raise _invalid(name, "it holds binary data that is neither Parquet nor Arrow")
    try:
        # The head may end inside a character: an incremental decoder waits for the rest.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _explain_csv(error: pa.ArrowInvalid, name: str) -> StepError:
    text = _first_line(error)
    ragged = re.search(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)", text)
    if ragged:
        row, wanted, got = ragged.groups()
        where = f"row {row}" if row else "a row"
        return _invalid(name, f"{where} has {got} fields where the header has {wanted}")
    if "Empty CSV" in text:
        return _empty(name, "the file is empty")
    if "UTF8" in text or "UTF-8" in text:
        return _invalid(name, "it is not text in UTF-8")
    return _invalid(name, f"it does not read as CSV: {text.removeprefix('CSV parse error: ')}")


def _as_frame(table: pa.Table, name: str) -> pd.DataFrame:
    names = [str(column).strip() or f"unnamed_{i}" for i, column in enumerate(table.column_names)]
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice:
        raise _invalid(name, f"the column '{twice[0]}' is there twice")
    table = table.rename_columns(names)
    for index, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            raise _invalid(name, f"the column '{field.name}' holds lists or mappings")
        wanted = _plain_type(field.type)
        if wanted is not None:
            table = table.set_column(index, field.name, table.column(index).cast(wanted))
    try:
        frame: pd.DataFrame = table.to_pandas(
            date_as_object=False, use_threads=False, ignore_metadata=True
        )
    except (pa.ArrowException, ValueError) as error:
        raise _invalid(name, f"it cannot be read: {_first_line(error)}") from error
    return frame.reset_index(drop=True)[names]


def _plain_type(kind: pa.DataType) -> pa.DataType | None:
    """The type to cast to, for those that pandas would make Python objects of."""
    if pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return pa.string() if pa.types.is_time(kind) else pa.int64()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.string()
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _empty(name: str, reason: str) -> StepError:
    return StepError(
        f"The input '{name}' has no data: {reason}.",
        code="empty_data",
        hint="Give a table with a header and at least one row.",
    )


def _invalid(name: str, reason: str) -> StepError:
    return StepError(
        f"The input '{name}' is no usable table: {reason}.",
        code="invalid_data",
        hint="CSV (with a header line), Parquet and Arrow/Feather files are read.",
    )


def take(frame: pd.DataFrame, mask: Any) -> pd.DataFrame:
    """The rows of `frame` where `mask` holds, numbered anew."""
    return frame[mask].reset_index(drop=True)
