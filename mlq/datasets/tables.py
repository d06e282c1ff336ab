"""Stored tables as batches of rows: CSV, Parquet, Arrow/Feather and JSON lines, told by content."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet

from mlq.errors import StepError

BATCH_ROWS = 65_536
_BLOCK_BYTES = 4 << 20
_HEAD_BYTES = 64 << 10
_DELIMITERS = (",", ";", "\t", "|")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
#: Of a folder, the files that are tables.
SUFFIXES = frozenset(
    {".csv", ".tsv", ".txt", ".parquet", ".pq", ".arrow", ".feather", ".jsonl", ".ndjson"}
)


def find_tables(path: Path) -> list[Path]:
    """The tables at `path`: the file itself, or those of a folder in the order of their paths.

    Raises StepError (`not_a_table`) for a folder without any.
    """
    if not path.is_dir():
        return [path]
    found = sorted(
        file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES
    )
    if not found:
        raise not_a_table("the folder holds no CSV, Parquet, Arrow or JSON lines files")
    return found


def read_batches(files: Sequence[Path], *, as_text: bool = False) -> Iterator[pa.RecordBatch]:
    """The rows of `files`, one after the other, in batches of a few MiB.

    as_text: CSV fields stay what they are, where the first rows promised another type than later
    ones keep. Raises StepError (`not_a_table`); TypeChanged where `as_text` would help.
    """
    for file in files:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
        if not head.strip():
            continue
        try:
            yield from _read(file, head, as_text=as_text)
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            text = (str(error).splitlines() or [type(error).__name__])[0]
            if "conversion error" in text and not as_text:
                raise TypeChanged(text) from error
            raise not_a_table(f"{file.name} cannot be read: {text:.300}") from error


class TypeChanged(Exception):
    """A CSV column does not keep the type of its first rows."""


def not_a_table(reason: str) -> StepError:
    """The error for bytes that are no table."""
    return StepError(
        f"This version is no table that can be read: {reason}.",
        code="not_a_table",
        hint="CSV (with a header line), Parquet, Arrow/Feather and JSON lines are read.",
    )


def _read(file: Path, head: bytes, *, as_text: bool) -> Iterator[pa.RecordBatch]:
    if head.startswith(b"PAR1"):
        with pa.parquet.ParquetFile(file) as source:
            yield from source.iter_batches(batch_size=BATCH_ROWS, use_threads=False)
    elif head.startswith((b"ARROW1", b"FEA1")):
        with pa.memory_map(str(file)) as source, pa.ipc.open_file(source) as reader:
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
    elif head.startswith(b"\xff\xff\xff\xff"):  # Arrow's stream format has no other mark
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
            yield from reader
    elif _is_text(head) and head.lstrip()[:1] == b"{":
        options = pa.json.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES)
        with pa.json.open_json(file, read_options=options) as reader:
            yield from reader
    elif _is_text(head):
        with _open_csv(file, head, as_text=as_text) as reader:
            yield from reader
    else:
        raise not_a_table(f"{file.name} holds other bytes")


def _is_text(head: bytes) -> bool:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    return not _CONTROL.search(head)


@contextmanager
def _open_csv(file: Path, head: bytes, *, as_text: bool) -> Iterator[pa.csv.CSVStreamingReader]:
    encoding = _encoding_of(head)
    first = head.decode(encoding, errors="replace").lstrip("\ufeff\r\n").splitlines()[0]
    delimiter = max(_DELIMITERS, key=first.count)
    convert = pa.csv.ConvertOptions(strings_can_be_null=True)
    parse = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    read = pa.csv.ReadOptions(use_threads=False, encoding=encoding, block_size=_BLOCK_BYTES)
    if as_text:
        with pa.csv.open_csv(file, read_options=read, parse_options=parse) as opened:
            names = opened.schema.names
        convert.column_types = {name: pa.string() for name in names}
    with pa.csv.open_csv(
        file, read_options=read, parse_options=parse, convert_options=convert
    ) as reader:
        yield reader


def _encoding_of(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        # The head may end inside a character: an incremental decoder waits for the rest.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
