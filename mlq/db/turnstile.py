"""A fair turn for the writers of one SQLite file.

SQLite lets whoever polls at the right moment write next: with four saturating writers one was seen
to commit once in four seconds. Here an ordinary writer first queues at the gate, and only the one
inside the gate waits for the turn; who has just written stands behind all others at the gate. A
heartbeat walks past the gate, so it waits for two transactions at most.

Both are file locks, which the kernel frees when their holder dies. flock knows no time limit, so a
waiter asks without blocking and in between sleeps on a pipe into which whoever lets go writes a
byte. The byte is only a hint: one that is lost costs a waiter a few milliseconds, never the lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlq.errors import UnavailableError

# A holder that was killed gives no hint.
_LOOK_AGAIN_MS = 5


class Turnstile:
    """Locks beside a SQLite file. Safe between threads, processes and across a fork."""

    def __init__(self, database: Path) -> None:
        self._gate = _Lock(f"{database}-gate")
        self._turn = _Lock(f"{database}-turn")

    @contextmanager
    def turn(self, *, timeout_s: float, urgent: bool = False) -> Iterator[None]:
        """Hold the turn to write. urgent: walk past the gate (heartbeats).

        Raises UnavailableError when no turn came in time.
        """
        deadline = time.monotonic() + timeout_s
        gate = None if urgent else self._gate.acquire(deadline)
        try:
            turn = self._turn.acquire(deadline)
        finally:
            if gate is not None:
                self._gate.release(gate)
        try:
            yield
        finally:
            self._turn.release(turn)


class _Lock:
    def __init__(self, path: str) -> None:
        self._path = path
        self._pipe: int | None = None

    def acquire(self, deadline: float) -> int:
        """Return a descriptor that holds the lock until `release`."""
        # A descriptor of its own each time: flock then also holds between threads.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not self._try(descriptor):
                if time.monotonic() >= deadline:
                    raise UnavailableError(
                        "The database is busy: no turn to write came in time.",
                        code="database_busy",
                        hint="Try again; `mlq doctor` shows who writes.",
                    )
                self._await_hint()
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def release(self, descriptor: int) -> None:
        """Let go, and say so."""
        os.close(descriptor)
        with suppress(BlockingIOError):  # full of hints that nobody has read
            os.write(self._open_pipe(), b"1")

    def _try(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EINTR):
                return False
            raise
        return True

    def _await_hint(self) -> None:
        pipe = self._open_pipe()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        if poll.poll(_LOOK_AGAIN_MS):
            with suppress(BlockingIOError):  # another waiter was quicker
                os.read(pipe, 65536)

    def _open_pipe(self) -> int:
        if self._pipe is None:
            path = f"{self._path}-hint"
            with suppress(FileExistsError):
                os.mkfifo(path, 0o600)
            # For reading and writing, so that neither end ever counts as closed.
            self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        return self._pipe
