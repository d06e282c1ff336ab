"""Input data cut into mini-batches: files by number or size, tables by rows or size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlq.errors import StepError
from mlq.spec import read_document

DEFAULT_FILES = 10
DEFAULT_BYTES = 1 << 20
#: The files that a table without an `MLTable` file is made of.
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_HEADERS = frozenset(
    {"all_files_same_headers", "all_files_different_headers", "from_first_file", "no_header"}
)


@dataclass(frozen=True, slots=True)
class Size:
    """Of a mini-batch: about so many files or rows, or bytes of them; one of the two is set."""

    count: int | None
    size_bytes: int | None


def split(data: Path, kind: str, size: Size | None) -> list[dict[str, Any]]:
    """The mini-batches of an input of type `kind`, in order.

    Each has `size`, its files or rows, and either `files`, paths below `data` (empty for `data`
    itself), or `table`: parts of files as `mlq_workers.runner.mini_batches` reads them. Raises
    StepError for a table that cannot be read.
    """
    if kind == "mltable":
        return list(_split_table(data, size or Size(None, DEFAULT_BYTES)))
    if data.is_file():
        return [{"files": [""], "size": 1}]
    files = sorted(path for path in data.rglob("*") if path.is_file())
    return [
        {"files": [str(path.relative_to(data)) for path in group], "size": len(group)}
        for group in _group(files, size or Size(DEFAULT_FILES, None))
    ]


def _group(files: Sequence[Path], size: Size) -> Iterator[list[Path]]:
    group: list[Path] = []
    total = 0
    for path in files:
        length = path.stat().st_size
        if group and size.size_bytes is not None and total + length > size.size_bytes:
            yield group
            group, total = [], 0
        group.append(path)
        total += length
        if size.count is not None and len(group) >= size.count:
            yield group
            group, total = [], 0
    if group:
        yield group


# tables -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Table:
    """files: below the folder. format: `delimited` or `parquet`; the rest is of delimited ones."""

    files: Sequence[Path]
    format: str
    delimiter: str = ","
    encoding: str = "utf-8"
    header: str = "all_files_same_headers"


def _split_table(folder: Path, size: Size) -> Iterator[dict[str, Any]]:
    table = _read_definition(folder)
    first_header = None
    for file in table.files:
        name = str(file.relative_to(folder)) if folder.is_dir() else ""
        if table.format == "parquet":
            yield from _split_parquet(file, name, size)
            continue
        for part in _split_delimited(file, name, table, size, first_header):
            if table.header == "from_first_file":
                first_header = part["table"][0]["header"]
            yield part


def _read_definition(folder: Path) -> _Table:
    definition = folder / "MLTable"
    if not definition.is_file():
        files = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
        found = [path for path in files if path.suffix in {*_DELIMITERS, ".parquet"}]
        if not found:
            raise _unreadable("it has neither an MLTable file nor .csv, .tsv or .parquet files")
        suffix = found[0].suffix
        same = [path for path in found if path.suffix == suffix]
        if suffix == ".parquet":
            return _Table(same, "parquet")
        return _Table(same, "delimited", _DELIMITERS[suffix])
    said = read_document(definition.read_text()).data
    files = [file for entry in said.get("paths") or () for file in _find(folder, entry)]
    if not files:
        raise _unreadable("its MLTable file names no file that is there")
    return _transformed(files, said.get("transformations") or ())


def _find(folder: Path, entry: Any) -> list[Path]:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise _unreadable("each of its paths is a file, folder or pattern")
    ((kind, text),) = entry.items()
    root = folder.resolve()
    if kind == "pattern":
        found = sorted(folder.glob(str(text).removeprefix("./")))
    elif kind == "folder":
        found = sorted((folder / str(text)).rglob("*"))
    else:
        found = [folder / str(text)]
    kept = [path for path in found if path.is_file() and path.name != "MLTable"]
    if any(root not in path.resolve().parents for path in kept):
        raise _unreadable("a path of its MLTable file leads out of the folder")
    return kept


def _transformed(files: Sequence[Path], transformations: Sequence[Any]) -> _Table:
    table: _Table | None = None
    for entry in transformations:
        ((kind, options),) = entry.items() if isinstance(entry, dict) else ((entry, None),)
        options = options if isinstance(options, Mapping) else {}
        if kind == "read_parquet":
            table = _Table(files, "parquet")
        elif kind == "read_delimited":
            header = str(options.get("header", "all_files_same_headers"))
            if header not in _HEADERS:
                raise _unreadable(f"header: {header:.60} of its MLTable file is not known here")
            encoding = str(options.get("encoding", "utf8"))
            table = _Table(files, "delimited", str(options.get("delimiter", ",")), encoding, header)
        else:
            raise _unreadable(
                f"{kind!s:.60} of its MLTable file is not supported; read_delimited and "
                "read_parquet are"
            )
    if table is None:
        raise _unreadable("its MLTable file has neither read_delimited nor read_parquet")
    return table


def _split_delimited(
    file: Path, name: str, table: _Table, size: Size, first_header: str | None
) -> Iterator[dict[str, Any]]:
    """Cut where a row ends; a line break between quotes ends none.

    first_header: that of the first file, where it holds for this one.
    """
    has_header = table.header != "no_header"
    header = first_header or ""
    start = end = rows = 0
    is_open = False
    part = {"file": name, "format": "delimited", "delimiter": table.delimiter}
    with file.open("rb") as lines:
        for line in lines:
            end += len(line)
            is_open ^= bool(line.count(b'"') % 2)
            if is_open or not line.strip():
                continue
            if has_header and not header:
                header, start = line.decode(table.encoding), end
                continue
            rows += 1
            if (size.count is not None and rows >= size.count) or (
                size.size_bytes is not None and end - start >= size.size_bytes
            ):
                yield _table(part, start, end, rows, header=header, encoding=table.encoding)
                start, rows = end, 0
    if rows:
        yield _table(part, start, end, rows, header=header, encoding=table.encoding)


def _split_parquet(file: Path, name: str, size: Size) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    try:
        total = pq.ParquetFile(file).metadata.num_rows
    except Exception as error:
        raise _unreadable(f"{name} is no Parquet file ({error!s:.100})") from None
    step = size.count
    if step is None:
        assert size.size_bytes is not None
        step = max(1, total * size.size_bytes // max(1, file.stat().st_size))
    part = {"file": name, "format": "parquet"}
    for start in range(0, total, step):
        end = min(total, start + step)
        yield _table(part, start, end, end - start)


def _table(part: dict[str, Any], start: int, end: int, rows: int, **more: Any) -> dict[str, Any]:
    return {"table": [{**part, "start": start, "end": end, **more}], "size": rows}


def _unreadable(why: str) -> StepError:
    return StepError(f"The table cannot be split: {why}.", code="unreadable_table")
