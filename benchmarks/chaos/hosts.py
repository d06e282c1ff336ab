"""Worker hosts as network namespaces: reached through one cable, which can be pulled."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class NoHosts(Exception):
    """Why there can be none on this machine."""


@dataclass(frozen=True, slots=True)
class Host:
    """A namespace. gateway: this machine's address as seen from it."""

    name: str
    cable: str
    gateway: str

    @property
    def command(self) -> list[str]:
        """What a command is put behind to run on the host."""
        return ["ip", "netns", "exec", self.name]

    def unplug(self) -> None:
        """Cut it off: packets vanish, connections stay half open."""
        _ip("link", "set", self.cable, "down")

    def plug(self) -> None:
        """Let it come back."""
        _ip("link", "set", self.cable, "up")


@contextmanager
def open_host(number: int) -> Iterator[Host]:
    """A host of its own, gone afterwards. Raises NoHosts where the kernel or the user lets none."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise NoHosts("network namespaces need root and the `ip` command")
    tag = f"mlqc{os.getpid() % 10000}{number}"
    network = f"10.213.{number % 250}"
    host = Host(tag, f"{tag}a", f"{network}.1")
    try:
        _ip("netns", "add", tag)
        _ip("link", "add", host.cable, "type", "veth", "peer", "name", f"{tag}b")
        _ip("link", "set", f"{tag}b", "netns", tag)
        _ip("addr", "add", f"{host.gateway}/24", "dev", host.cable)
        _ip("link", "set", host.cable, "up")
        inside = ("-n", tag)
        _ip(*inside, "addr", "add", f"{network}.2/24", "dev", f"{tag}b")
        _ip(*inside, "link", "set", f"{tag}b", "up")
        _ip(*inside, "link", "set", "lo", "up")
        yield host
    finally:
        for arguments in (("link", "del", host.cable), ("netns", "del", tag)):
            subprocess.run(["ip", *arguments], capture_output=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise NoHosts(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
