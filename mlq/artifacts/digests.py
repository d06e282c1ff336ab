"""Digests, and the names that paths may be made of.

Every path in a store is derived from a checked digest or a checked name, so none can leave it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mlq.errors import StepError

CHUNK_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_NAME_BYTES = 255
_MAX_PATH_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes. digest: SHA-256 as 64 lower-case hex digits."""

    digest: str
    size_bytes: int


def is_digest(text: str) -> bool:
    """Whether `text` is 64 lower-case hex digits."""
    return _DIGEST.fullmatch(text) is not None


def check_digest(digest: str) -> str:
    """Return `digest` when it is 64 lower-case hex digits; raise StepError otherwise."""
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise StepError(
            f"{digest!r:.100} is not a digest: a SHA-256 has 64 lower-case hex digits.",
            code="invalid_digest",
        )
    return digest


def check_name(name: str) -> str:
    """Return `name` when it may be the name of one file; raise StepError otherwise."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise StepError(f"The file name {name!r:.100} is not valid UTF-8.") from None
    if (
        not 0 < size <= _MAX_NAME_BYTES
        or name in {".", ".."}
        or any(char in "/\\" or ord(char) < 32 or ord(char) == 127 for char in name)
    ):
        raise StepError(
            f"{name!r:.100} cannot be a file name here: use 1 to {_MAX_NAME_BYTES} bytes without "
            "slash, backslash or control characters, and neither '.' nor '..'.",
            code="invalid_name",
        )
    return name


def check_path(path: str) -> str:
    """Return `path` when it is relative and of plain names; raise StepError otherwise."""
    if not isinstance(path, str) or len(path) > _MAX_PATH_BYTES:
        raise StepError(f"{path!r:.100} cannot be a path in a tree.", code="invalid_name")
    for name in path.split("/"):
        check_name(name)
    return path


@contextmanager
def open_regular(path: Path) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """Open a regular file for reading; yields the file and its status.

    Refuses symbolic links, which a step could point at files of the worker, and whatever is not a
    plain file. Raises StepError.
    """
    try:
        # O_NONBLOCK: a named pipe must be refused, not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise StepError(f"There is no file {path}.", code="file_not_found") from None
    except OSError as error:
        why = "it is a symbolic link" if path.is_symlink() else error.strerror
        raise StepError(f"{path} cannot be stored: {why}.", code="unreadable_file") from None
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, not a path
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StepError(
                f"{path} cannot be stored: it is not a regular file.", code="unreadable_file"
            )
        yield file, status
