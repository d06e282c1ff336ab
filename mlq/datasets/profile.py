"""A table's profile, and its first rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mlq.datasets.columns import ColumnProfile
from mlq.datasets.tables import TypeChanged, find_tables, not_a_table, read_batches

#: Tables are compared row by row up to so many rows: 8 bytes are kept of each.
COMPARED_ROWS = 5_000_000
MAX_COLUMNS = 2_000
_CELL_CHARS = 500
_SEED = 0


@dataclass(slots=True)
class Profile:
    """What is known of a table. row_hashes: uint64 of each row, None where there are too many."""

    columns: dict[str, ColumnProfile] = field(default_factory=dict)
    rows: int = 0
    files: int = 0
    row_hashes: list[np.ndarray[Any, Any]] | None = field(default_factory=list)

    def view(self) -> dict[str, Any]:
        """As JSON: rows, files, and each column."""
        return {
            "rows": self.rows,
            "files": self.files,
            "columns": [column.view() for column in self.columns.values()],
        }


def profile(path: Path) -> Profile:
    """Read the table at `path`, a file or a folder of tables, once and in batches.

    The same bytes give the same profile. Raises StepError (`not_a_table`).
    """
    files = find_tables(path)
    try:
        return _profile(files, as_text=False)
    except TypeChanged:
        return _profile(files, as_text=True)


def preview(path: Path, *, rows: int) -> dict[str, Any]:
    """The first rows: columns {name, type}, rows as lists of JSON values, cut at 500 characters.

    Raises StepError (`not_a_table`).
    """
    batches = read_batches(find_tables(path))
    columns: list[dict[str, str]] = []
    found: list[list[Any]] = []
    is_whole = True
    for batch in batches:
        if not columns:
            columns = [{"name": f.name, "type": str(f.type)} for f in batch.schema]
        names = [column["name"] for column in columns]
        head = batch.slice(0, rows - len(found)).to_pydict()
        size = min(batch.num_rows, rows - len(found))
        for index in range(size):
            cells = [head[name][index] if name in head else None for name in names]
            found.append([_cell(value) for value in cells])
        if len(found) >= rows:
            is_whole = size == batch.num_rows and not any(islice(batches, 1))
            break
    if not columns:
        raise not_a_table("it is empty")
    return {"columns": columns, "rows": found, "is_whole": is_whole}


def _profile(files: list[Path], *, as_text: bool) -> Profile:
    result = Profile(files=len(files))
    for batch in read_batches(files, as_text=as_text):
        _add(result, batch)
    if not result.columns:
        raise not_a_table("it is empty")
    return result


def _add(result: Profile, batch: pa.RecordBatch) -> None:
    names = batch.schema.names
    if len(set(names)) < len(names):
        raise not_a_table("a column is there twice")
    if len(set(names) | set(result.columns)) > MAX_COLUMNS:
        raise not_a_table(f"it has more than {MAX_COLUMNS} columns")
    for name in names:
        if name not in result.columns:
            rng = np.random.default_rng([_SEED, len(result.columns)])
            result.columns[name] = ColumnProfile(name, rng)
            result.columns[name].add_missing(result.rows)
    hashes = np.zeros(batch.num_rows, np.uint64)
    for name, column in result.columns.items():
        if name in names:
            mixed = column.add(batch.column(names.index(name)))
            # the order of columns makes no other row
            weight = np.uint64(int.from_bytes(name.encode()[:64]) % 2**63 * 2 + 1 & 2**64 - 1)
            hashes += mixed * weight
        else:
            column.add_missing(batch.num_rows)
    result.rows += batch.num_rows
    if result.row_hashes is not None:
        result.row_hashes.append(hashes)
        if result.rows > COMPARED_ROWS:
            result.row_hashes = None


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return text if len(text) <= _CELL_CHARS else text[:_CELL_CHARS] + "…"
