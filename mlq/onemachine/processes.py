"""Child processes that never outlive their parent, whatever ends it.

Three nets, each for what the one before cannot see: a child asks the kernel to be killed with its
parent (PDEATHSIG), a supervisor adopts orphaned descendants (subreaper) and kills what it finds.
macOS has neither, so there only an orderly end takes the descendants along.
"""

from __future__ import annotations

import atexit
import ctypes
import io
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from setproctitle import setproctitle

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(death_signal: int = signal.SIGKILL) -> Callable[[], None]:
    """Make a `preexec_fn` after which the child gets `death_signal` when its parent ends.

    Call it in the parent. The kernel watches the *thread* that starts the child, so start children
    from a thread that lives as long as the process.
    """
    parent = os.getpid()

    def arm() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel knew
            os._exit(1)

    return arm


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (Linux)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def fork(
    program: Callable[[], int], *, env: Mapping[str, str], log: int, folder: Path, title: str
) -> int:
    """Run `program` in a copy of this process; its pid. What it returns is the exit code.

    The copy shares the memory of all that is imported here, leads a session of its own, gets no
    input, writes to the file descriptor `log`, has no other file open, and ends with this process.
    Its own session keeps a terminal's Ctrl-C from it: its supervisor decides in which order things
    stop. Call it while this process has one thread only.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    arm = die_with_parent()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        arm()
        os.setsid()
        _forget_signals()
        _redirect(log)
        os.chdir(folder)
        setproctitle(title)  # before the environment goes: it finds its place in memory by it
        os.environ.clear()
        os.environ.update(env)
        code = program()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        # the stack below belongs to the parent: leave without unwinding it, as multiprocessing does
        try:
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def run_program(command: Sequence[str]) -> Callable[[], int]:
    """For `fork`: become another program."""

    def run() -> int:
        os.execvpe(command[0], list(command), os.environ)

    return run


def run_module(module: str, arguments: Sequence[str]) -> Callable[[], int]:
    """For `fork`: what `python -P -m MODULE ARGUMENTS` does, with what is imported already."""

    def run() -> int:
        if not sys.flags.safe_path:
            del sys.path[0]  # the folder of the script or module that this process began with
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return 0

    return run


def _forget_signals() -> None:
    """Put back what every program begins with."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _redirect(log: int) -> None:
    """No input, all output to `log`, no other file of the parent: its lock above all."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, 1 + max(int(entry.name) for entry in Path("/dev/fd").iterdir()))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def signal_group(pid: int, number: int) -> bool:
    """Send a signal to the process group that `pid` leads; False when nobody is left in it."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of zombies
        return False
    return True


def descendants(root: int) -> list[int]:
    """Pids below `root`, parents before children (Linux; elsewhere an empty list)."""
    found: list[int] = []
    frontier = [root]
    while frontier:
        pid = frontier.pop(0)
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
        except OSError:
            continue
        for task in tasks:
            with suppress(OSError):
                children = [int(child) for child in (task / "children").read_text().split()]
                found += children
                frontier += children
    return found


def kill_descendants(*, timeout_s: float = 5.0) -> int:
    """Kill and reap everything below this process; how many processes there were.

    Looks again until nothing is found, since a process may start another while it is being killed.
    """
    killed = 0
    deadline = time.monotonic() + timeout_s
    while (pids := descendants(os.getpid())) and time.monotonic() < deadline:
        killed += len(pids)
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        reap()
        time.sleep(0.01)
    return killed


def reap() -> dict[int, int]:
    """Collect every child that has ended: pid -> exit code, negative for a signal."""
    ended: dict[int, int] = {}
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended
