"""Log files of services: appended by the services themselves, kept small by their supervisor."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MAX_LOG_BYTES = 8 * 2**20
_TAIL_BYTES = 16 * 2**10


def open_log(file: Path) -> int:
    """File descriptor that appends to `file`, readable by its owner only."""
    return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate(file: Path, *, max_bytes: int = MAX_LOG_BYTES) -> bool:
    """Move what is in an over-long log to `FILE.1` and go on empty; whether that was needed.

    The services keep the file open, so it is copied and cut rather than renamed; a line written
    between the two is lost, which no one's record depends on.
    """
    try:
        if file.stat().st_size <= max_bytes:
            return False
    except FileNotFoundError:
        return False
    shutil.copyfile(file, file.with_name(f"{file.name}.1"))
    os.truncate(file, 0)
    return True


def tail(file: Path, *, lines: int = 15) -> list[str]:
    """The last lines of a log, without empty ones."""
    try:
        with file.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]
