"""A copy of this process that shares the memory of all that is imported by now."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable

_LOOK_S = 0.5


class Fork:
    """`work` in a copy of this process, begun by `go`; after that it outlives this process.

    Make it while this process has one thread. The copy leads a session of its own, so that a
    terminal's Ctrl-C does not reach it, and has no input. It can be ended and waited for like a
    subprocess.Popen.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.returncode: int | None = None
        parent = os.getpid()
        told, self._tell = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._tell)
            _run(work, parent=parent, told=told)
        os.close(told)

    def go(self) -> None:
        """Let the copy begin."""
        os.write(self._tell, b"g")
        os.close(self._tell)

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and timeout is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("fork", timeout)
            time.sleep(0.01)
        return code

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _run(work: Callable[[], None], *, parent: int, told: int) -> None:
    code = 1
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        # Not the end of the pipe, which processes that the parent forks later hold open, too.
        while not select.select([told], [], [], _LOOK_S)[0]:
            if os.getppid() != parent:
                os._exit(0)
        if os.read(told, 1):
            work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # the stack below, and what is to be done at exit, belong to the parent
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
