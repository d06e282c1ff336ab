"""Local folders to the artifact store: each file by content, then a manifest that lists them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mlq.client.session import Session
from mlq.client.snapshots import Snapshot, send, take
from mlq.client.uploads import Progress
from mlq.errors import SpecError, SpecProblem


def upload_folder(session: Session, folder: Path, *, progress: Progress = lambda size: None) -> str:
    """Put `folder` into the store; return the SHA-256 of its manifest (64 hex digits).

    Files that the server has are not sent; see `mlq.client.snapshots`. Empty folders are not kept,
    and of a file's mode only whether its owner may execute it.

    progress: called with the size in bytes of each chunk sent.
    Raises SpecError before anything is sent where the folder holds no file, or a symbolic link or
    device; ConflictError when a file changes while it is sent.
    """
    snapshot = take_folder(folder)
    send(session, snapshot, progress=progress)
    return snapshot.digest


def take_folder(folder: Path) -> Snapshot:
    """Read `folder` with all its files; raises as `upload_folder` does, but for what it sends."""
    found = list(_scan(folder))
    if not found:
        raise SpecError([SpecProblem("path", f"{folder} holds no files.")])
    return take(found)


def _scan(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path with '/', path on disk) of every file below `folder`."""
    pending = [("", folder)]
    while pending:
        prefix, current = pending.pop()
        with os.scandir(current) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    pending.append((f"{prefix}{item.name}/", Path(item.path)))
                elif item.is_file(follow_symlinks=False):
                    yield prefix + item.name, Path(item.path)
                else:
                    what = "a symbolic link" if item.is_symlink() else "not a regular file"
                    words = (
                        f"{item.path} is {what}: copy what it stands for into the folder, "
                        "or remove it."
                    )
                    raise SpecError([SpecProblem("path", words)])
