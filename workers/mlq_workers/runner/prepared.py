"""A Python process that has imported what scripts need. Run as `python prepared.py FD`.

    worker's pool process  ──socket FD──>  prepared process  ──fork──>  guard  ──fork──>  the script
         warm.py                             this file                guard.py           this file

Over FD it gets the names of modules to import, and answers with what it has become (`ready`). Then
come orders (a mapping: script, sys_argv, orig_argv, executable, environment, cwd), each with three
descriptors: stdout, stderr and the guard's own channel. It answers ("forked", pid) with a pidfd of
the guard, or ("stale",) where packages were installed since it began. It ends by itself when the
worker goes or nothing was asked for a while.

Started with the variables of a command and without -I, so that flags, paths, locale and streams are
what `python script.py` would have. Only the standard library is used here.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import importlib.machinery
import importlib.util
import os
import select
import signal
import socket
import sys
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

_GPU_LIBRARIES = ("torch", "tensorflow", "jax", "jaxlib", "cupy", "cudf", "pycuda", "numba.cuda")
#: Threads of allocators that see to it themselves that a fork is safe.
_HARMLESS_THREADS = frozenset({"jemalloc_bg_thd"})
_STANDARD = frozenset({0, 1, 2})
#: Carries descriptors, before a record.
_MARK = b"!"


class Prepared:
    """The process after its imports. guard: the module guard.py, under no name of its own."""

    def __init__(self, control: socket.socket, guard: types.ModuleType, modules: list[str]) -> None:
        self._control = control
        self._guard = guard
        _reset_signals()
        before = _open_descriptors()
        with _watched_environment() as reads:
            self._missing = _import_all(modules)
        # what a module has opened, it needs; everything else is closed before a script begins
        self._kept = _open_descriptors() - before
        self._handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        self._reads = reads
        self._packages = _fingerprint()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        gc.collect()
        gc.freeze()  # or the first collection in a script copies all that was imported

    def describe(self) -> dict[str, Any]:
        """What the worker must know to decide whether a script may start from here."""
        return {
            "unsafe": _find_danger(),
            "missing": self._missing,
            "reads": sorted(self._reads),
            "names": sorted({name.partition(".")[0] for name in sys.modules} - {"__main__"}),
        }

    def serve(self, idle_s: float) -> dict[str, Any] | None:
        """Obey until the worker goes; returns in the process of a script, with its order."""
        while True:
            if not select.select([self._control], [], [], idle_s)[0]:
                return None
            try:
                order, descriptors = _receive_order(self._control, self._guard)
            except (EOFError, OSError):
                return None
            _reap()
            if _fingerprint() != self._packages:
                _close(descriptors)
                self._control.sendall(_MARK)
                self._guard.send(self._control, ("stale",))
                return None
            me = os.getpid()
            pid = os.fork()
            if pid == 0:
                return self._become_guard({**order, "worker": me}, descriptors)
            _close(descriptors)
            pidfd = os.pidfd_open(pid)
            socket.send_fds(self._control, [_MARK], [pidfd])
            os.close(pidfd)
            self._guard.send(self._control, ("forked", pid))

    def restore(self) -> None:
        """Take back what this process and its guard have set, in the process of a script."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            if number not in (signal.SIGKILL, signal.SIGSTOP) and handler is not None:
                signal.signal(number, handler)
        self._control.close()
        for descriptor in _open_descriptors() - self._kept - _STANDARD:
            _close([descriptor])

    def _become_guard(self, order: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        try:
            os.setsid()
            os.chdir("/")
            out, err, channel = descriptors
            for mine, given in ((1, out), (2, err)):
                os.dup2(given, mine)
                os.close(given)
            self._control.close()
            self._guard.serve(socket.socket(fileno=channel), order)
        except self._guard.Begin:
            return order
        except BaseException as failure:
            os.write(2, f"{type(failure).__name__}: {failure}\n".encode())
        os._exit(0)


def run(order: dict[str, Any]) -> NoReturn:
    """Run the script of `order` as `python script.py` does, and end as Python ends.

    The caller's module goes on living: its functions are still on the stack.
    """
    coerced = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}
    os.environ.clear()
    os.environ.update({**coerced, **order["environment"]})
    sys.argv[:] = order["sys_argv"]
    sys.orig_argv[:] = order["orig_argv"]
    sys.executable = order["executable"]
    path = order["script"]
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))  # noqa: PTH120
    importlib.invalidate_caches()
    _forget(order["environment"])
    main = types.ModuleType("__main__")
    loader = importlib.machinery.SourceFileLoader("__main__", path)
    vars(main).update(
        __annotations__={},
        __builtins__=sys.modules["builtins"],
        __cached__=None,
        __file__=path,
        __loader__=loader,
        __package__=None,
    )
    sys.modules["__main__"] = main
    try:
        code = compile(loader.get_data(path), path, "exec", dont_inherit=True)
    except BaseException as error:
        _fail(error.with_traceback(None))
    namespace = vars(main)
    try:
        exec(code, namespace)  # what it is for  # nosec B102
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__
        _fail(error.with_traceback(trace.tb_next if trace is not None else None))
    sys.exit()


def _fail(error: BaseException) -> NoReturn:
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    sys.excepthook(type(error), error, error.__traceback__)
    if isinstance(error, KeyboardInterrupt):
        atexit._run_exitfuncs()
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(1)


def _forget(environment: dict[str, str]) -> None:
    """State that modules took from the process at import, as a fresh process would have it."""
    if logging := sys.modules.get("logging"):
        now = type(logging._startTime)  # seconds, or nanoseconds in newer versions
        logging._startTime = time.time_ns() if now is int else time.time()  # type: ignore[attr-defined]
    if tempfile := sys.modules.get("tempfile"):
        tempfile.tempdir = None  # type: ignore[attr-defined]
    if processes := sys.modules.get("multiprocessing.process"):
        processes.ORIGINAL_DIR = os.getcwd()  # type: ignore[attr-defined]  # noqa: PTH109
        processes.current_process().authkey = os.urandom(32)
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()  # Python's own is seeded anew by the fork
    # OpenBLAS was loaded with one thread, as its own would not have outlived the forks
    threads = int(environment.get("OPENBLAS_NUM_THREADS") or 1)
    if threads > 1 and (threadpoolctl := sys.modules.get("threadpoolctl")):
        threadpoolctl.threadpool_limits(threads, user_api="blas")


def _reset_signals() -> None:
    """Handlers as Python sets them in a process that inherited none."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _import_all(modules: list[str]) -> dict[str, str]:
    """Import `modules`; those that cannot be -> why."""
    missing: dict[str, str] = {}
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException as error:
            missing[name] = f"{type(error).__name__}: {error}"
    return missing


@contextmanager
def _watched_environment() -> Iterator[set[str]]:
    """Collects the names of all variables that are looked up in os.environ; `*` for all of them."""
    seen: set[str] = set()
    kind: Any = type(os.environ)
    getitem, iterate = kind.__getitem__, kind.__iter__

    def look_up(self: Any, name: str) -> str:
        seen.add(name)
        found: str = getitem(self, name)
        return found

    def look_at_all(self: Any) -> Iterator[str]:
        seen.add("*")
        names: Iterator[str] = iterate(self)
        return names

    kind.__getitem__, kind.__iter__ = look_up, look_at_all
    try:
        yield seen
    finally:
        kind.__getitem__, kind.__iter__ = getitem, iterate


def _find_danger() -> str:
    """Why no script may be forked from this process; empty where it may."""
    for name in _GPU_LIBRARIES:
        if name in sys.modules:
            return f"{name} is loaded, and GPU libraries do not survive a fork"
    mine = os.getpid()
    for thread in os.listdir("/proc/self/task"):  # noqa: PTH208
        name = Path(f"/proc/self/task/{thread}/comm").read_text().strip()
        if int(thread) != mine and name not in _HARMLESS_THREADS:
            return f"a module has started a thread ({name}), which would not survive a fork"
    return ""


def _fingerprint() -> list[tuple[str, int]]:
    """Changes when packages are installed or removed."""
    folders = [
        path for path in sys.path if path.rstrip("/").endswith(("site-packages", "dist-packages"))
    ]
    return [(path, os.stat(path).st_mtime_ns) for path in folders if os.path.isdir(path)]  # noqa: PTH112, PTH116


def _open_descriptors() -> set[int]:
    listed = {int(name) for name in os.listdir("/proc/self/fd")}  # noqa: PTH208
    return {number for number in listed if _is_open(number)}


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False  # the listing's own
    return True


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        try:
            os.close(descriptor)
        except OSError:
            continue


def _reap() -> None:
    """Collect guards that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _receive_order(
    control: socket.socket, guard: types.ModuleType
) -> tuple[dict[str, Any], list[int]]:
    mark, descriptors, _, _ = socket.recv_fds(control, 1, 3)
    if not mark:
        raise EOFError("the worker has gone")
    order: dict[str, Any] = guard.receive(control)
    return order, list(descriptors)


def _load_guard() -> types.ModuleType:
    path = Path(__file__).with_name("guard.py")
    spec = importlib.util.spec_from_file_location("mlq_guard", path)
    assert spec is not None
    assert spec.loader is not None
    guard = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(guard)
    return guard


def main(descriptor: int) -> tuple[Prepared, dict[str, Any]] | None:
    """Prepare and serve; returns a script's order in the process that is to run it."""
    del sys.path[0]  # this file's folder
    guard = _load_guard()
    control = socket.socket(fileno=descriptor)
    order = guard.receive(control)
    guard.set_process_option(guard._PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != order["worker"]:
        return None  # the worker died before the option was set
    prepared = Prepared(control, guard, order["modules"])
    guard.send(control, ("ready", prepared.describe()))
    script = prepared.serve(order["idle_s"])
    return None if script is None else (prepared, script)


if __name__ == "__main__":
    _me = sys.modules["__main__"]  # lives on when the script takes its name
    _found = main(int(sys.argv[1]))
    if _found is None:
        os._exit(0)
    _found[0].restore()
    run(_found[1])
