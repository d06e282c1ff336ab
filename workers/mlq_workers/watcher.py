"""Looks at watched stores: files that have appeared there become versions of a data asset.

A file is taken once it has looked the same on two looks, so that one that is still being written is
not taken in halves. Identical bytes are the version that they were before, and fire nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import fsspec
from sqlalchemy.engine import RowMapping

from mlq.artifacts import Store
from mlq.db import Database
from mlq.db import schedules as rows
from mlq.errors import MlqError
from mlq.service import data

logger = logging.getLogger("mlq.watcher")

INTERVAL = timedelta(seconds=5)
#: Files of one pattern; a store with more of them is not one that people put files into.
MAX_FILES = 10_000
CHUNK_BYTES = 1 << 20
_PROTOCOLS_REFUSED = frozenset(
    {"http", "https", "ftp", "sftp", "ssh", "github", "git", "reference"}
)


def look(database: Database, store: Store, *, now: datetime) -> None:
    """Look at every watched store once; one that cannot be reached keeps no other from it."""
    with database.read() as conn:
        watching = rows.watching(conn)
    for schedule in watching:
        try:
            _look(database, store, schedule, now=now)
        except MlqError as error:
            logger.warning("schedule %s: %s", schedule["name"], error)
        except Exception as error:
            # whatever a store's library raises
            logger.warning("schedule %s: its store cannot be read: %s", schedule["name"], error)


def _look(database: Database, store: Store, schedule: RowMapping, *, now: datetime) -> None:
    name = schedule["name"]
    filesystem, found = _list(schedule["trigger"]["path"])
    with database.read() as conn:
        known = rows.seen_files(conn, name)
    fresh = {path: mark for path, mark in found.items() if known.get(path, ("",))[0] != mark}
    steady = [path for path, mark in found.items() if known.get(path) == (mark, False)]
    gone = [path for path in known if path not in found]
    if fresh or gone:
        database.transact(_note, name, fresh=fresh, gone=gone, now=now)
    for path in sorted(steady):
        with filesystem.open(path, "rb") as source:
            blob = store.put_stream(iter(partial(source.read, CHUNK_BYTES), b""))
        database.transact(
            _take,
            schedule,
            path=path,
            mark=found[path],
            digest=blob.digest,
            size_bytes=blob.size_bytes,
            now=now,
        )


def _list(pattern: str) -> tuple[Any, dict[str, str]]:
    """The files that a pattern means, with what changes when they do."""
    protocol = pattern.partition("://")[0] if "://" in pattern else "file"
    if protocol in _PROTOCOLS_REFUSED:
        raise MlqError(
            f"A store is not watched over {protocol}.",
            code="invalid",
            hint="Use a folder, or an object store such as s3://bucket/in/*.csv.",
        )
    filesystem, path = fsspec.core.url_to_fs(pattern)
    filesystem.invalidate_cache()
    if not any(mark in path for mark in "*?["):
        path = f"{path.rstrip('/')}/*"
    listed: Mapping[str, Any] = filesystem.glob(path, detail=True)
    files = {place: info for place, info in listed.items() if info.get("type") == "file"}
    if len(files) > MAX_FILES:
        raise MlqError(
            f"{pattern} means {len(files)} files; at most {MAX_FILES} are watched.",
            code="invalid",
            hint="Name them more closely, or move away those that are done.",
        )
    return filesystem, {place: _mark(info) for place, info in files.items()}


def _mark(info: Mapping[str, Any]) -> str:
    changed = next(
        (
            info[key]
            for key in ("ETag", "etag", "md5Hash", "mtime", "LastModified")
            if info.get(key)
        ),
        "",
    )
    return f"{info.get('size')} {changed}"[:255]


def _note(
    conn: Any, name: str, *, fresh: Mapping[str, str], gone: list[str], now: datetime
) -> None:
    rows.note_files(conn, name, fresh, is_taken=False, at=now)
    rows.forget_files(conn, name, gone)


def _take(
    conn: Any,
    schedule: RowMapping,
    *,
    path: str,
    mark: str,
    digest: str,
    size_bytes: int,
    now: datetime,
) -> None:
    if size_bytes:  # an empty file is no data; it is looked at again once it has grown
        data.create_version(
            conn,
            name=schedule["watched"],
            digest=digest,
            type="uri_file",
            file_name=PurePosixPath(path).name,
            size_bytes=size_bytes,
            actor=f"schedule:{schedule['name']}",
            description=f"Appeared at {path}.",
        )
    rows.note_files(conn, schedule["name"], {path: mark}, is_taken=True, at=now)
