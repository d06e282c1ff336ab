"""Parts of the guard that a worker uses too; the rest is shown by the commands it runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from mlq_workers.runner import guard


def test_records_arrive_whole() -> None:
    one, other = socket.socketpair()
    with one, other:
        record = {"argv": ["sh", "-ec", "x" * 50_000], "environment": {"A": "é\udcff"}, "cwd": "/"}
        guard.send(one, record)
        guard.send(one, ("exited", 0, 1 << 40, "", 0.5))
        assert guard.receive(other) == record
        assert guard.receive(other) == ("exited", 0, 1 << 40, "", 0.5)
        one.sendall(b"\0\0\0\xff half")
        one.close()
        with pytest.raises(EOFError):
            guard.receive(other)


def test_descendants_are_found_at_any_depth() -> None:
    with subprocess.Popen(
        ["sh", "-c", "sh -c 'setsid sleep 60 & echo $! $$; wait' & wait"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        deep, middle = (int(word) for word in process.stdout.readline().split())
        below = guard.descendants(process.pid)
        assert {deep, middle} <= set(below)
        assert os.getpid() not in below
        for pid in [*below, process.pid]:
            guard.kill(pid)
    guard.kill(process.pid)  # it has gone: nothing happens
    guard.kill_group(process.pid)


def test_guard_without_its_worker_starts_nothing() -> None:
    """The worker died between starting the guard and its asking to be told of that."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
        )
        guard.send(ours, {"worker": 1 << 30, "argv": [], "environment": {}, "cwd": "/"})
        assert process.wait(30) == 0
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
