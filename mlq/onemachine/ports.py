"""TCP ports of this machine: a free one, and who holds a busy one."""

from __future__ import annotations

import errno
import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below the range from which the kernel takes ports for outgoing connections (32768 and up), so that
# a port found free stays free until its server binds it, also across a restart of that server.
_FIRST, _LAST = 20_000, 32_000


def find_free_port(*, rng: random.Random | None = None) -> int:
    """A port on which nothing listens on the loopback address."""
    picker = rng or random.SystemRandom()
    for _ in range(1000):
        port = picker.randint(_FIRST, _LAST)
        if is_free(LOOPBACK, port):
            return port
    raise OSError(errno.EADDRINUSE, f"no free port between {_FIRST} and {_LAST}")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on `host`:`port` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def find_owner(port: int) -> str | None:
    """Who listens on `port`, such as `nginx (pid 812)`; None where this user may not know."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for handle in (process / "fd").iterdir():
                if handle.readlink().name in inodes:
                    return f"{_describe(process)} (pid {process.name})"
        except OSError:  # ended meanwhile, or another user's
            continue
    return None


def _listening_inodes(port: int) -> set[str]:
    """Names of the listening sockets on `port`, as /proc/PID/fd shows them."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes


def _describe(process: Path) -> str:
    """The command that `process` runs, in at most 60 characters."""
    words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    words = [word for word in words if word]
    if not words:
        return (process / "comm").read_text().strip()
    words[0] = Path(words[0]).name
    line = " ".join(words)
    return line if len(line) <= 60 else line[:59] + "…"
