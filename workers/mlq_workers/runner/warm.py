"""Starts Python scripts from a process that has imported their modules already.

Only what cannot tell the difference starts there; everything else is executed afresh. See
prepared.py for what a script finds.
"""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from mlq_workers.runner import guard, prepared
from mlq_workers.runner.shell import read_words

logger = logging.getLogger("mlq.warm")

#: What to import when nothing else is said: what scripts of this field mostly import.
DEFAULT_MODULES = (
    "numpy",
    "pandas",
    "scipy.stats",
    "sklearn.cluster",
    "sklearn.compose",
    "sklearn.datasets",
    "sklearn.decomposition",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "sklearn.preprocessing",
    "sklearn.svm",
    "matplotlib.pyplot",
)
_IDLE_S = 600.0
_ANSWER_TIMEOUT_S = 10.0
#: Variables that Python and native libraries read when they are loaded, unseen by os.environ.
_READ_NATIVELY = (
    "ARROW_",
    "BLIS_",
    "GOMP_",
    "GOTO_",
    "JE_",
    "KMP_",
    "LANG",
    "LC_",
    "LD_",
    "MALLOC_",
    "MIMALLOC_",
    "MKL_",
    "OMP_",
    "OPENBLAS_",
    "OPENSSL_",
    "PYTHON",
    "TZ",
    "VECLIB_",
)
_NATIVE_THREADS = "OPENBLAS_NUM_THREADS"


class ForkedGuard:
    """A guard that was not started by this process, with what is used of a subprocess.Popen."""

    def __init__(self, pid: int, pidfd: int, *, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self.stdout: IO[bytes] | None = stdout
        self.stderr: IO[bytes] | None = stderr

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in (self.stdout, self.stderr):
            assert stream is not None
            stream.close()
        os.close(self._pidfd)

    def wait(self, timeout: float | None = None) -> None:
        """Return when it has ended. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        if not select.select([self._pidfd], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("guard", timeout or 0.0)

    def kill(self) -> None:
        """SIGKILL; a no-op where it has gone."""
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return


class WarmStarts:
    """The prepared process of this worker's process, made when the first script could use it.

    modules: what it imports. base: the variables of a command that is given none, which decide
    what modules find while they are imported.
    """

    def __init__(self, modules: Sequence[str], *, base: Mapping[str, str]) -> None:
        self._modules = list(modules)
        self._base = dict(base)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._facts: Mapping[str, Any] | None = None
        self._reads: frozenset[str] = frozenset()
        self._names: frozenset[str] = frozenset()
        self._is_given_up = not modules or not is_possible()
        self._lock = threading.Lock()

    def start(
        self,
        command: str,
        *,
        cwd: Path,
        environment: Mapping[str, str],
        confinement: Mapping[str, Any] | None = None,
    ) -> Started | None:
        """A guard that waits for the order to begin; None: start the command afresh.

        The first command that could start here finds nothing prepared yet, and begins to prepare.
        """
        if self._is_given_up:
            return None
        script = read_script(command, cwd=cwd, environment=environment)
        if script is None or not self._lock.acquire(blocking=False):
            return None
        try:
            if self._control is None:
                self._prepare()
            elif self._is_ready() and not self._would_tell(script, environment):
                return self._fork(script, cwd, environment, confinement)
        except (OSError, EOFError, ValueError):
            self._end()
        finally:
            self._lock.release()
        return None

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Prepare now, and wait; False where nothing can be started warm."""
        with self._lock:
            if self._is_given_up:
                return False
            if self._control is None:
                self._prepare()
            assert self._control is not None
            if self._facts is None:
                select.select([self._control], [], [], timeout_s)
            return self._is_ready()

    def close(self) -> None:
        """End the prepared process; scripts that were started from it are ended, too."""
        with self._lock:
            self._end()

    def _prepare(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # it is killed with the thread that started it
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, prepared.__file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**self._base, _NATIVE_THREADS: "1"},
                cwd="/",
                start_new_session=True,
            )
        ours.settimeout(_ANSWER_TIMEOUT_S)
        self._control = ours
        guard.send(ours, {"worker": os.getpid(), "modules": self._modules, "idle_s": _IDLE_S})

    def _is_ready(self) -> bool:
        assert self._control is not None
        if self._facts is None:
            if not select.select([self._control], [], [], 0)[0]:
                return False
            _, facts = guard.receive(self._control)
            self._facts = facts
            self._reads, self._names = frozenset(facts["reads"]), frozenset(facts["names"])
            for name, why in facts["missing"].items():
                logger.warning("warm starts go without %s: %s", name, why)
            if facts["unsafe"]:
                logger.warning("scripts are not started warm: %s", facts["unsafe"])
                self._is_given_up = True
                self._end()
        return self._facts is not None

    def _would_tell(self, script: Script, environment: Mapping[str, str]) -> bool:
        """Whether the script could see that its modules were imported before."""
        if "*" in self._reads:
            return True
        for name in {*environment, *self._base} - {"TMPDIR"}:  # what was made of it is forgotten
            is_read = name in self._reads or name.startswith(_READ_NATIVELY)
            if is_read and environment.get(name) != self._base.get(name):
                return True
        # A file beside the script that would have been imported in a module's place.
        beside = os.listdir(os.path.dirname(os.path.realpath(script.path)))  # noqa: PTH208, PTH120
        return not self._names.isdisjoint(name.partition(".")[0] for name in beside)

    def _fork(
        self,
        script: Script,
        cwd: Path,
        environment: Mapping[str, str],
        confinement: Mapping[str, Any] | None,
    ) -> Started | None:
        assert self._control is not None
        order = {
            "script": script.path,
            "sys_argv": script.argv,
            "orig_argv": script.orig_argv,
            "executable": script.executable,
            "cwd": str(cwd),
            "confinement": confinement,
            # as bash leaves them to a program that it becomes
            "environment": {
                **environment,
                "PWD": os.path.realpath(cwd),
                "SHLVL": "0",
                "_": script.executable,
            },
        }
        ours, theirs = socket.socketpair()
        out, their_out = os.pipe()
        err, their_err = os.pipe()
        try:
            socket.send_fds(self._control, [b"!"], [their_out, their_err, theirs.fileno()])
            guard.send(self._control, order)
            mark, pidfds, _, _ = socket.recv_fds(self._control, 1, 1)
            if not mark:
                raise EOFError("the prepared process has gone")
            answer = guard.receive(self._control)
        except BaseException:
            ours.close()
            os.close(out)
            os.close(err)
            raise
        finally:
            theirs.close()
            os.close(their_out)
            os.close(their_err)
        if answer[0] != "forked":
            ours.close()
            os.close(out)
            os.close(err)
            self._end()  # packages have changed: prepare again
            return None
        streams = {"stdout": os.fdopen(out, "rb", 0), "stderr": os.fdopen(err, "rb", 0)}
        return ForkedGuard(answer[1], pidfds[0], **streams), ours

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._control = self._process = self._facts = None


Started = tuple[ForkedGuard, socket.socket]


class Script:
    """A command that is `python script.py …` with the worker's own Python."""

    __slots__ = ("argv", "executable", "orig_argv", "path")

    def __init__(self, path: str, argv: list[str], orig_argv: list[str], executable: str) -> None:
        self.path = path
        self.argv = argv
        self.orig_argv = orig_argv
        self.executable = executable


def read_script(
    command: str,
    *,
    cwd: Path,
    environment: Mapping[str, str],
    python: str = sys.executable,
    find: Callable[..., str | None] = shutil.which,
) -> Script | None:
    """The script that `command` runs with this very Python; None where it is anything else."""
    words = read_words(command)
    if words is None:
        return None
    rest = words[2:] if words[1:2] == ["-u"] else words[1:]
    if not rest or rest[0].startswith("-") or not rest[0].endswith(".py"):
        return None
    executable = words[0]
    if "/" not in executable:
        executable = find(executable, path=environment.get("PATH", os.defpath)) or ""
    own = Path(python)
    found = Path(executable)
    is_own = (
        found.is_absolute()
        and found.parent == own.parent
        and found.name.startswith("python")
        and found.exists()
        and found.resolve() == own.resolve()
    )
    path = os.path.join(os.path.realpath(cwd), rest[0])  # noqa: PTH118 - as Python joins them
    if not is_own or not os.path.isfile(path):  # noqa: PTH113
        return None
    return Script(path, rest, words, executable)


def choose_modules(setting: str) -> tuple[str, ...]:
    """The modules that MLQ_WARM_MODULES means: `auto`, `none`, or names with commas between."""
    if setting == "auto":
        return DEFAULT_MODULES
    names = () if setting == "none" else setting.split(",")
    return tuple(name.strip() for name in names if name.strip())


def is_possible() -> bool:
    """Whether this system has what warm starts need."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")
