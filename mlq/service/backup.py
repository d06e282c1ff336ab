"""Backup and restore: the database's rows and every artifact that they name, in one folder.

    FOLDER/database.jsonl.gz   see mlq.db.copies; replaced when the backup is complete
    FOLDER/artifacts/          a store; a further backup into FOLDER adds what is new

The rows are copied first: bytes never change and are stored before a row names them.
"""

from __future__ import annotations

import gzip
import os
import re
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mlq.artifacts import Store
from mlq.db import Database, copies
from mlq.errors import MlqError, NotFoundError

ROWS = "database.jsonl.gz"
ARTIFACTS = "artifacts"
_CHUNK_BYTES = 1 << 20
#: Whatever a row names that may be the digest of an artifact, in whatever column: a table that is
#: added later cannot be forgotten. Some are digests of other things, which no store has.
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied. rows: of the database; artifacts: that were not there already."""

    rows: int
    artifacts: int
    artifact_bytes: int


def back_up(database: Database, store: Store, folder: Path) -> Copied:
    """Write a backup into `folder`, which is made, or has an earlier one that is replaced."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    rows, named = 0, set[str]()
    handle, name = tempfile.mkstemp(prefix=".database", dir=folder)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as raw:
            with gzip.open(raw, "wt", encoding="utf-8") as out, database.read() as conn:
                for line in copies.dump(conn):
                    out.write(line)
                    named.update(_DIGEST.findall(line))
                    rows += line.startswith("[")
            raw.flush()
            os.fsync(raw.fileno())
        count, size = _copy_artifacts(named, store, Store.open(str(folder / ARTIFACTS)))
        Path(name).replace(folder / ROWS)
    finally:
        Path(name).unlink(missing_ok=True)
    return Copied(rows, count, size)


def restore(database: Database, store: Store, folder: Path, *, host: str) -> Copied:
    """Fill an empty database and a store from a backup; host: where mlq goes on.

    Raises NotFoundError when there is none, and as `copies.load` does. Artifacts that were copied
    before an error remain; no row does.
    """
    if not (folder / ROWS).is_file():
        raise NotFoundError(f"There is no backup in {folder}.", code="backup_not_found")
    named = set[str]()
    with _readable(), gzip.open(folder / ROWS, "rt", encoding="utf-8") as lines:
        for line in lines:
            named.update(_DIGEST.findall(line))
    count, size = _copy_artifacts(named, Store.open(str(folder / ARTIFACTS)), store)
    with (
        _readable(),
        gzip.open(folder / ROWS, "rt", encoding="utf-8") as lines,
        database.write() as conn,
    ):
        rows = copies.load(conn, lines, host=host)
    return Copied(rows, count, size)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise MlqError(
            f"The copy of the database is damaged: {error}.", code="backup_damaged"
        ) from error


def _copy_artifacts(named: set[str], source: Store, target: Store) -> tuple[int, int]:
    """Copy what `source` has of `named` and `target` has not: how many, how many bytes."""
    count = size = 0
    for digest in _with_files(named, source):
        if target.exists(digest):
            continue
        try:
            with source.read(digest) as file:
                blob = target.put_stream(_chunks(file), expected=digest)
        except NotFoundError:
            continue  # named by the history alone, and removed meanwhile
        count, size = count + 1, size + blob.size_bytes
    return count, size


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _with_files(named: set[str], store: Store) -> Iterator[str]:
    """Each stored artifact of `named` once, files of folders before their folder."""
    done: set[str] = set()
    for digest in sorted(named):
        if not store.exists(digest):
            continue  # the digest of something else
        for one in (*store.files_of(digest), digest):
            if one not in done:
                done.add(one)
                yield one
