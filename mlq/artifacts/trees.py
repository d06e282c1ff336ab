"""Trees: a folder as one manifest blob that lists its files.

The manifest is canonical JSON (sorted keys and paths, no spaces, UTF-8), so equal folders have the
same digest wherever they were made:

    {"entries":[{"digest":"…","mode":420,"path":"data/a.csv","size_bytes":12}]}

Of a file's mode only "executable" is kept (0o755, else 0o644). Empty folders are not kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mlq.artifacts.digests import check_digest, check_path
from mlq.errors import StepError, TooLargeError

MAX_ENTRIES = 200_000
MAX_MANIFEST_BYTES = 128 << 20
MODE_PLAIN = 0o644
MODE_EXECUTABLE = 0o755


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a tree. path: relative, with '/'; mode: 0o644 or 0o755."""

    path: str
    digest: str
    size_bytes: int
    mode: int = MODE_PLAIN


@dataclass(frozen=True, slots=True)
class Tree:
    """A stored folder. digest: that of its manifest; size_bytes: the sum of its files."""

    digest: str
    size_bytes: int
    entries: tuple[Entry, ...]


def scan_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path in the tree, path on disk) of every file below `folder`.

    Raises StepError for symbolic links, devices, sockets, pipes and names that a tree cannot hold,
    TooLargeError beyond MAX_ENTRIES.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise StepError(f"{folder} is not a folder.", code="file_not_found")
    count = 0
    pending = [("", folder)]
    while pending:
        prefix, current = pending.pop()
        with os.scandir(current) as found:
            for item in found:
                path = check_path(prefix + item.name)
                if item.is_dir(follow_symlinks=False):
                    pending.append((f"{path}/", Path(item.path)))
                elif item.is_file(follow_symlinks=False):
                    count += 1
                    if count > MAX_ENTRIES:
                        raise _too_many(str(folder))
                    yield path, Path(item.path)
                else:
                    what = "a symbolic link" if item.is_symlink() else "not a regular file"
                    raise StepError(
                        f"{item.path} cannot be stored: it is {what}.",
                        code="unreadable_file",
                        hint="Copy what it stands for into the folder, or remove it.",
                    )


def write_manifest(entries: Iterable[Entry]) -> bytes:
    """The canonical manifest of `entries`. Raises as `read_manifest` does."""
    ordered = sorted(entries, key=lambda entry: entry.path.encode())
    _check(ordered)
    record = {"entries": [asdict(entry) for entry in ordered]}
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read_manifest(text: bytes, *, digest: str) -> Tree:
    """Parse a manifest, trusting nothing in it.

    Raises StepError for anything but a well-formed manifest: unsafe or repeated paths, a file that
    is also a folder, negative sizes, unknown keys; TooLargeError beyond MAX_ENTRIES.
    """
    try:
        record = json.loads(text)
        if set(record) != {"entries"} or not isinstance(record["entries"], list):
            raise ValueError("not a manifest")
        if len(record["entries"]) > MAX_ENTRIES:
            raise _too_many(digest)
        entries = [Entry(**item) for item in record["entries"]]
        _check(entries)
    except (ValueError, TypeError, RecursionError) as error:
        raise StepError(
            f"Artifact {digest} is not the manifest of a folder ({error!s:.100}).",
            code="invalid_tree",
        ) from None
    return Tree(digest, sum(entry.size_bytes for entry in entries), tuple(entries))


def _check(entries: list[Entry]) -> None:
    files: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        check_path(entry.path)
        check_digest(entry.digest)
        if type(entry.size_bytes) is not int or entry.size_bytes < 0:
            raise ValueError(f"size of {entry.path!r}")
        if type(entry.mode) is not int or entry.mode not in {MODE_PLAIN, MODE_EXECUTABLE}:
            raise ValueError(f"mode of {entry.path!r}")
        if entry.path in files:
            raise ValueError(f"{entry.path!r} is listed twice")
        files.add(entry.path)
        parts = entry.path.split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if clash := files & folders:
        raise ValueError(f"{min(clash)!r} is both a file and a folder")


def _too_many(what: str) -> TooLargeError:
    return TooLargeError(
        f"{what} holds more than {MAX_ENTRIES} files.",
        hint="Pack them into fewer files, such as Parquet or tar.",
    )
