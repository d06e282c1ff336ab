"""The process between a worker and a user's command. Run as `python -I -S guard.py FD`.

It is a program of its own, started with nothing but the standard library and an empty environment:
forking the worker's large, threaded process would be slow, could deadlock, and would leave the
worker's secrets readable in the parent of the user's code. For a warm start it is a fork of a
prepared process instead (prepared.py), which has none of these.

Over the socket FD it gets one order (a mapping: worker, argv, environment, cwd; worker is the
process whose death ends it, and without argv the command is what is left of this process) and then
bytes:

    G  release the command from its gate      T  SIGTERM to its group      K  kill everything

and sends (length, marshal) records: ("started", pid), ("exited", status, peak_rss_bytes, error,
cpu_s).
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
import stat
import struct
import sys
import time
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_WORKER_DIED = signal.SIGUSR2
_PR_CAPBSET_DROP = 24
_CAPABILITY_VERSION_3 = 0x20080522
#: SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_ADMIN, SYS_BOOT, MKNOD, PERFMON and BPF.
_CAPABILITIES = (16, 17, 19, 21, 22, 27, 38, 39)
# Landlock: linux/landlock.h and Documentation/userspace-api/landlock.rst of the kernel.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_LANDLOCK_LEAST = 2  # version 1 allows no moving of files between folders
_LANDLOCK_SCOPES = 6
_SCOPED = 0b11  # no abstract Unix sockets and no signals to the outside
_RIGHTS_OF_VERSION = {2: 14, 3: 15, 4: 15, 5: 16}  # how many rights over files it knows
_READ_DIR, _REFER = 1 << 3, 1 << 13
_READ = 1 << 0 | 1 << 2 | _READ_DIR  # execute, read files, list folders
_FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
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
    text = _exactly(channel, int.from_bytes(_exactly(channel, 4), "big"))
    return marshal.loads(text)  # between a worker and its guard, never a command  # nosec B302


def _exactly(channel: socket.socket, size: int) -> bytes:
    text = b""
    while len(text) < size:
        chunk = channel.recv(size - len(text))
        if not chunk:
            raise EOFError("the other side has gone")
        text += chunk
    return text


class Begin(BaseException):
    """Raised in the process of a warm command, when it may run: unwinds what the guard had."""


class Guard:
    """One command. main: its pid, which is its process group too."""

    def __init__(self, channel: socket.socket, order: dict[str, Any]) -> None:
        self._channel = channel
        self._order = order
        self._peak_rss_bytes = 0
        self._cpu_s = 0.0
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
        """Execute the command; a warm one leaves by raising Begin."""
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
            confine(self._order.get("confinement"))
            argv = self._order.get("argv")
            if argv is None:
                raise Begin
            os.execve(argv[0], argv, self._order["environment"])
        except Begin:
            raise
        except BaseException as failure:
            os.write(error, str(failure).encode(errors="replace")[:2000])
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
        send(self._channel, ("exited", status, self._peak_rss_bytes, error, self._cpu_s))

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
            self._cpu_s += usage.ru_utime + usage.ru_stime  # with what it waited for itself
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


def confine(files: dict[str, Any] | None) -> None:
    """Keep this process and all that it starts from gaining rights and from reaching others.

    No program gives it more rights than it has (sudo, set-uid). Where the kernel has Landlock, it
    can neither trace nor signal what is outside, nor read its memory or environment.
    files: {"closed": folder, "writable": [path, …], "readable": [path, …]} also hides a folder but
    for what is named. Then nothing new can be made in the folders above it, only below those that
    stand in them.
    Raises OSError where the kernel refuses, or has no Landlock and `files` asks for it.
    """
    set_process_option(_PR_SET_NO_NEW_PRIVS, 1)
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        _drop_capabilities(libc)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if version < _LANDLOCK_LEAST:
        if files is not None:
            raise OSError("MLQ_HIDE_HOME needs a kernel with Landlock (5.19 or later)")
        return
    rights = (1 << _RIGHTS_OF_VERSION[min(version, max(_RIGHTS_OF_VERSION))]) - 1
    scoped = _SCOPED if version >= _LANDLOCK_SCOPES else 0
    # A ruleset without rights over files leaves them alone; an older one has to grant moving.
    handled = rights if files is not None else 0 if scoped else _REFER
    size = 24 if scoped else 16 if version >= 4 else 8
    attributes = struct.pack("=QQQ", handled, 0, scoped)[:size]
    ruleset = _checked(
        libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint(0))
    )
    if files is None:
        grants = [("/", handled)] if handled else []
    else:
        grants = _grants(files, rights)
    for path, allowed in grants:
        _grant(libc, ruleset, path, allowed & handled)
    _checked(libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint(0)))
    os.close(ruleset)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Take from root what lets it look into, and change, more than files; see capset(2)."""
    dropped = 0
    for number in _CAPABILITIES:
        libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # what a program gets that it starts
        dropped |= 1 << number
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    held = ctypes.create_string_buffer(24)
    if libc.capget(header, held) == 0:
        words = struct.unpack("=6I", held.raw)  # effective, permitted, inheritable; low, then high
        kept = [word & ~(dropped >> (32 * (place // 3))) for place, word in enumerate(words)]
        libc.capset(header, struct.pack("=6I", *(word & 0xFFFFFFFF for word in kept)))


def _grants(files: dict[str, Any], rights: int) -> list[tuple[str, int]]:
    """Path and rights of all that may be reached: everything beside the way to what is closed."""
    grants = [(path, rights) for path in files["writable"]]
    grants += [(path, _READ) for path in files["readable"]]
    above = os.path.realpath(files["closed"])
    while above != "/":
        above, kept = os.path.split(above)
        grants.append((above, _READ_DIR))
        grants += [
            (os.path.join(above, name), rights)  # noqa: PTH118
            for name in os.listdir(above)  # noqa: PTH208
            if name != kept
        ]
    return grants


def _grant(libc: ctypes.CDLL, ruleset: int, path: str, allowed: int) -> None:
    """Let `path`, and what is below it, be reached; a no-op where it has gone."""
    try:
        # A link beside the closed folder may lead into it; what it leads to is granted by itself.
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    if stat.S_ISLNK(os.fstat(descriptor).st_mode):
        allowed = 0
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        allowed &= _FILE_RIGHTS
    rule = struct.pack("=Qi", allowed, descriptor)
    if allowed:
        _checked(libc.syscall(_ADD_RULE, ruleset, ctypes.c_uint(1), rule, ctypes.c_uint(0)))
    os.close(descriptor)


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return answer


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
    serve(channel, receive(channel))


def serve(channel: socket.socket, order: dict[str, Any]) -> None:
    """See `order` through. Raises Begin in the process of a warm command."""
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
