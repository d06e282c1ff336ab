"""What is dropped from the cache when it grows too large: least recently fetched first."""

from __future__ import annotations

import fcntl
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlq.artifacts.local import LocalObjects, remove_folder

#: What was fetched this recently is kept: a reader may hold its path without having opened it.
KEEP_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Item:
    path: Path
    used_at: float
    inodes: tuple[tuple[int, int], ...]  # (inode, bytes)


def touch(path: Path) -> None:
    """Note that `path` was fetched now; a no-op where it has gone."""
    try:
        os.utime(path, follow_symlinks=False)  # what a link leads to is not ours
    except FileNotFoundError:
        return


def trim(cache: LocalObjects, *, max_bytes: int, now: float | None = None) -> None:
    """Drop objects and trees of `cache` until what is left has at most `max_bytes`.

    now: seconds since the epoch, as file times are. Whoever comes while another process trims
    leaves it to that one.
    """
    now = time.time() if now is None else now
    lock = os.open(cache.root / "trim.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        items = sorted(_items(cache.root), key=lambda item: item.used_at)
        # Trees hold links to objects: bytes are free when the last of their holders is dropped.
        holders = Counter(inode for item in items for inode, _ in item.inodes)
        total = sum({inode: size for item in items for inode, size in item.inodes}.values())
        for item in items:
            if total <= max_bytes or now - item.used_at < KEEP_S:
                return
            if _used_at(item.path) != item.used_at:
                continue  # fetched, or gone, since it was listed
            _drop(cache.root, item.path)
            for inode, size in item.inodes:
                holders[inode] -= 1
                if holders[inode] == 0:
                    total -= size
    finally:
        os.close(lock)


def _used_at(path: Path) -> float | None:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return None


def _items(root: Path) -> Iterator[_Item]:
    for path in (*root.glob("objects/??/*"), *root.glob("trees/??/*")):
        try:
            yield _Item(path, path.lstat().st_mtime, tuple(_inodes(path)))
        except FileNotFoundError:
            continue


def _inodes(path: Path) -> Iterator[tuple[int, int]]:
    files = (item for item in path.rglob("*") if not item.is_dir()) if path.is_dir() else (path,)
    for file in files:
        status = file.lstat()
        yield status.st_ino, status.st_size


def _drop(root: Path, path: Path) -> None:
    if path.is_dir():
        remove_folder(path)
    else:
        # Named links first, so that nobody finds a name whose bytes are no longer counted.
        remove_folder(root / "names" / path.parent.name / path.name)
        path.unlink(missing_ok=True)
