"""MLQ_HOME: who holds it, the admin token, and the address for whoever works beside it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mlq.errors import ConflictError, SettingsError

LOCK_FILE = "lock"
SERVER_FILE = "server.json"
TOKEN_FILE = "token"
LOGS_FOLDER = "logs"
BROKER_FOLDER = "broker"


@dataclass(frozen=True, slots=True)
class Holder:
    """The `mlq up` that holds a home. since: ISO 8601 with its offset; api_url: its address."""

    pid: int
    since: str
    api_url: str


class Home:
    """A home held by this process, from `hold` to `release` or to its end, whatever ends it."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def hold(cls, path: Path) -> Home:
        """Take `path` for this process; made if it is not there, readable by its owner only.

        Raises ConflictError naming who holds it, SettingsError when it cannot be written.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
            lock = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(
                f"MLQ_HOME {path} cannot be used: {error.strerror}.",
                hint="Point MLQ_HOME at a folder of your own.",
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise _held_by_another(path) from None
        for folder in (LOGS_FOLDER, BROKER_FOLDER):
            (path / folder).mkdir(mode=0o700, exist_ok=True)
        # left by a holder that was killed, and no longer true
        (path / SERVER_FILE).unlink(missing_ok=True)
        return cls(path, lock)

    def announce(self, *, api_url: str, now: datetime) -> None:
        """Write into the lock who holds it, for the next one who asks."""
        holder = {
            "pid": os.getpid(),
            "since": now.isoformat(timespec="seconds"),
            "api_url": api_url,
        }
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, json.dumps(holder).encode(), 0)

    def ensure_token(self) -> str:
        """The admin token of this home, made at the first call."""
        file = self.path / TOKEN_FILE
        with suppress(FileNotFoundError):
            if token := file.read_text().strip():
                file.chmod(0o600)
                return token
        token = f"mlq_{secrets.token_urlsafe(32)}"
        _write_private(file, token + "\n")
        return token

    def write_server_file(self, content: Mapping[str, Any]) -> None:
        """Write `server.json`, all at once: a reader sees the old or the new one."""
        _write_private(self.path / SERVER_FILE, json.dumps(dict(content), indent=2) + "\n")

    def release(self) -> None:
        """Give the home back."""
        (self.path / SERVER_FILE).unlink(missing_ok=True)
        os.ftruncate(self._lock, 0)
        os.close(self._lock)


def find_holder(path: Path) -> Holder | None:
    """Who holds the home at `path`; None when nobody does."""
    try:
        lock = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(ValueError, TypeError):
            return Holder(**json.loads(os.pread(lock, 4096, 0)))
        return Holder(pid=0, since="", api_url="")  # it is just starting
    finally:
        os.close(lock)
    return None


def _held_by_another(path: Path) -> ConflictError:
    holder = find_holder(path)
    if holder is None or not holder.pid:
        return ConflictError(
            f"{path} is in use by another `mlq up` that is just starting or stopping.",
            code="home_in_use",
            hint="Try again in a moment.",
        )
    return ConflictError(
        f"{path} is in use: `mlq up` (pid {holder.pid}) serves it at {holder.api_url} "
        f"since {holder.since}.",
        code="home_in_use",
        hint=f"Use that one, stop it with `kill {holder.pid}`, or give this one a home of its own: "
        "MLQ_HOME=FOLDER mlq up --port PORT.",
    )


def _write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, durable and all at once."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
