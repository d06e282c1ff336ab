"""The process between a worker and a user's command. Run as `python -I -S guard.py FD`.

It is a program of its own, started with nothing but the standard library and an empty environment:
forking the worker's large, threaded process would be slow, could deadlock, and would leave the
worker's secrets readable in the parent of the user's code.

Over the socket FD it gets one order (a mapping: worker, argv, environment, cwd) and then bytes:

    G  release the command from its gate      T  SIGTERM to its group      K  kill everything

and sends (length, marshal) records: ("started", pid), ("exited", status, peak_rss_bytes, error).
End of file on FD, or the worker's death, means K. Whatever the command started is gone before
"exited" is sent: orphans become children of this process (subreaper), wherever they moved to.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_WORKER_DIED = signal.SIGUSR2
_KILL_DEADLINE_S = 10.0
#: Where memory is short, the kernel should take the user's code before a worker.
_OOM_SCORE = b"500"
_EXIT_NOT_STARTED = 125


def send(channel: socket.socket, record: Any) -> None:
    """Write one record."""
    text = marshal.dumps(record)
    channel.sendall(len(text).to_bytes(4, "big") + text)


def receive(channel: socket.socket) -> Any:
    """Read one record. Raises EOFError when the other side has gone."""
    return marshal.loads(_exactly(channel, int.from_bytes(_exactly(channel, 4), "big")))


def _exactly(channel: socket.socket, size: int) -> bytes:
    text = b""
    while len(text) < size:
        chunk = channel.recv(size - len(text))
        if not chunk:
            raise EOFError("the other side has gone")
        text += chunk
    return text


class Guard:
    """One command. main: its pid, which is its process group too."""

    def __init__(self, channel: socket.socket, order: dict[str, Any]) -> None:
        self._channel = channel
        self._order = order
        self._peak_rss_bytes = 0
        self._status: int | None = None
        self._gate, gate = os.pipe()
        self._error, error = os.pipe()
        self._me = os.getpid()
        self.main = os.fork()
        if self.main == 0:
            os.close(gate)
            self._become_command(error)
        os.close(self._gate)
        os.close(error)
        self._gate = gate
        # Until this byte it has no group of its own that could be reported, or killed.
        os.read(self._error, 1)
        # Only the command may hold the log pipes, or their end would never be seen.
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)

    def _become_command(self, error: int) -> NoReturn:
        try:
            os.setsid()
            set_process_option(_PR_SET_PDEATHSIG, signal.SIGKILL)
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            prefer_for_oom()
            os.umask(0o077)
            os.write(error, b"\0")
            # The guard may have died before the option above was set.
            if os.getppid() != self._me or os.read(self._gate, 1) != b"G":
                os._exit(_EXIT_NOT_STARTED)
            os.chdir(self._order["cwd"])
            argv = self._order["argv"]
            os.execve(argv[0], argv, self._order["environment"])
        except BaseException as failure:
            os.write(error, str(failure).encode(errors="replace")[:2000])
        finally:
            os._exit(_EXIT_NOT_STARTED)

    def run(self, wakeup: int) -> None:
        """Obey until the command has ended. wakeup: readable when a signal has arrived."""
        channel = self._channel.fileno()
        send(self._channel, ("started", self.main))
        while not self._has_ended():
            ready, _, _ = select.select([channel, wakeup], [], [])
            if wakeup in ready and _WORKER_DIED in os.read(wakeup, 512):
                break
            if channel in ready:
                orders = self._channel.recv(16)
                if not orders or b"K" in orders:
                    break
                if b"G" in orders:
                    os.write(self._gate, b"G")
                if b"T" in orders and not self._has_ended():
                    os.killpg(self.main, signal.SIGTERM)
        self._kill_all()
        error = os.read(self._error, 2000).decode(errors="replace") if self._is_reaped() else ""
        status = int(signal.SIGKILL) if self._status is None else self._status
        send(self._channel, ("exited", status, self._peak_rss_bytes, error))

    def _is_reaped(self) -> bool:
        return self._status is not None

    def _has_ended(self) -> bool:
        """Whether the command itself is over. It stays a zombie, so that its id is not reused."""
        self._reap(but=self.main)
        return os.waitid(os.P_PID, self.main, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _reap(self, *, but: int | None) -> bool:
        """Collect those that ended; whether any process is left."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return False
            if ended is None or ended.si_pid == but:
                return True
            _, status, usage = os.wait4(ended.si_pid, 0)
            unit = 1 if sys.platform == "darwin" else 1024
            self._peak_rss_bytes = max(self._peak_rss_bytes, usage.ru_maxrss * unit)
            if ended.si_pid == self.main:
                self._status = status

    def _kill_all(self) -> None:
        if not self._is_reaped():
            kill_group(self.main)
        deadline = time.monotonic() + _KILL_DEADLINE_S
        pause_s = 0.001
        while self._reap(but=None) and time.monotonic() < deadline:
            for process in descendants(self._me):
                kill(process)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.05)


def descendants(root: int) -> list[int]:
    """Ids of all processes below `root`; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - pathlib is slow to import
    except OSError:
        return []
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    pending = [root]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def kill(process: int) -> None:
    """SIGKILL; a no-op where it has gone."""
    try:
        os.kill(process, signal.SIGKILL)
    except OSError:
        return


def kill_group(group: int) -> None:
    """SIGKILL to a process group; a no-op where it has gone."""
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        return


def set_process_option(option: int, value: int) -> None:
    """prctl(2) on Linux; a no-op elsewhere, where only the socket tells of a death."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def prefer_for_oom() -> None:
    """Let the kernel's OOM killer take this process first; a no-op where it cannot be told."""
    try:
        with open("/proc/self/oom_score_adj", "wb") as file:  # noqa: PTH123
            file.write(_OOM_SCORE)
    except OSError:
        return


def main(descriptor: int) -> None:
    """Take the order from the socket `descriptor` and see it through."""
    # A low number: select() takes none above 1023. It is closed on exec, as the original is.
    channel = socket.socket(fileno=os.dup(descriptor))
    os.close(descriptor)
    order = receive(channel)

    received, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, _WORKER_DIED):
        signal.signal(number, lambda number, frame: None)
    # A stop of the whole service reaches this process too; the worker decides what it means.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    set_process_option(_PR_SET_CHILD_SUBREAPER, 1)
    set_process_option(_PR_SET_PDEATHSIG, _WORKER_DIED)
    if os.getppid() != order["worker"]:
        return  # the worker died before the option was set
    try:
        Guard(channel, order).run(received)
    except (BrokenPipeError, ConnectionResetError):
        return  # the worker has gone, and all of the command with it


if __name__ == "__main__":
    main(int(sys.argv[1]))
