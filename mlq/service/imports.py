"""Data from an address: copied into the store, or left where it lies and known by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlq.artifacts import Blob, Entry, Store
from mlq.artifacts.sources import Link, Source, list_files, read_chunks
from mlq.artifacts.trees import scan_files
from mlq.errors import MlqError, StepError, TooLargeError


@dataclass(frozen=True, slots=True)
class Imported:
    """What was read. type: uri_file or uri_folder."""

    digest: str
    type: str
    file_name: str
    size_bytes: int


def read_source(
    store: Store,
    source: Source,
    *,
    copy: bool,
    max_bytes: int,
    watch: Callable[[], None] = lambda: None,
) -> Imported:
    """Read every byte at `source` once, hashed on the way; memory stays bounded.

    copy: keep the bytes; without, the store notes where they lie. max_bytes: of all files.
    watch: called from piece to piece; what it raises ends the reading.
    Raises as `read_chunks` does, TooLargeError, StepError for a file that changes meanwhile.
    """
    reader = _Reader(store, copy=copy, left=max_bytes, watch=watch)
    name = unquote(urlsplit(source.shown).path.rstrip("/").rpartition("/")[2])[:255] or "data"
    path = source.path
    if path is not None and path.is_dir():
        files = [(inner, Source(file.as_uri())) for inner, file in scan_files(path)]
    elif path is None:
        files = list_files(source) or []
    else:
        files = []
    if not files:
        if path is not None and not path.is_file():
            raise MlqError(
                f"There is nothing at {source.shown} that is a file or a folder with files.",
                code="source_missing",
                hint="Check the address, and that the server's machine may read it.",
            )
        blob = reader.read(source)
        return Imported(blob.digest, "uri_file", name, blob.size_bytes)
    entries = []
    for inner, file in files:
        blob = reader.read(file)
        entries.append(Entry(inner, blob.digest, blob.size_bytes))
    tree = store.put_entries(entries)
    return Imported(tree.digest, "uri_folder", name, tree.size_bytes)


class _Reader:
    def __init__(self, store: Store, *, copy: bool, left: int, watch: Callable[[], None]) -> None:
        self._watch = watch
        self._store = store
        self._copy = copy
        self._left = left

    def read(self, source: Source) -> Blob:
        before = _mark(source.path)
        if self._copy:
            blob = self._store.put_stream(self._chunks(source), max_bytes=self._left)
        else:
            blob = self._hash(self._chunks(source))
        if _mark(source.path) != before:
            raise StepError(
                f"{source.shown} changed while it was read.",
                code="file_changed",
                hint="Register it when it is complete.",
            )
        if not self._copy:
            modified_ns = before[1] if before else None
            self._store.add_link(blob.digest, Link(source, blob.size_bytes, modified_ns))
        self._left -= blob.size_bytes
        return blob

    def _chunks(self, source: Source) -> Iterator[bytes]:
        for chunk in read_chunks(source):
            self._watch()
            yield chunk

    def _hash(self, chunks: Iterator[bytes]) -> Blob:
        hashed, size = hashlib.sha256(), 0
        for chunk in chunks:
            hashed.update(chunk)
            size += len(chunk)
            if size > self._left:
                raise TooLargeError(f"The bytes exceed the limit of {self._left}.")
        return Blob(hashed.hexdigest(), size)


def _mark(path: Path | None) -> tuple[int, int] | None:
    """What tells a file that was written to; None where there is no file."""
    if path is None or not path.is_file():
        return None
    status = path.stat()
    return status.st_size, status.st_mtime_ns
