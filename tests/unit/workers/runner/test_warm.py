"""A script that starts warm finds and leaves behind what it would after a fresh start."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlq_workers.runner import CommandOutcome, CommandSpec, WarmStarts, command_environment
from mlq_workers.runner import run_command as run_a_command
from mlq_workers.runner.command import Stop
from mlq_workers.runner.warm import is_possible, read_script

pytestmark = pytest.mark.skipif(not is_possible(), reason="warm starts need Linux's pidfds")

MODULES = ("numpy", "json", "logging", "tempfile", "multiprocessing", "random")


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmStarts]:
    starts = make(MODULES, tmp_path_factory.mktemp("base"))
    assert starts.wait_until_ready(60)
    yield starts
    starts.close()


def make(modules: tuple[str, ...], tmp: Path) -> WarmStarts:
    return WarmStarts(modules, base=command_environment({}, tmp=tmp))


class Ran:
    """What came out of a command, and whether it was started warm."""

    def __init__(self) -> None:
        self.out = b""
        self.err = b""
        self.is_warm = False
        self.outcome: CommandOutcome

    def log(self, stream: str, chunk: bytes) -> None:
        if stream == "stdout":
            self.out += chunk
        else:
            self.err += chunk


def run(
    command: str,
    folder: Path,
    warm: WarmStarts | None,
    *,
    should_stop: Callable[[Ran], Stop | None] = lambda ran: None,
    on_start: Callable[[int], None] = lambda pid: None,
    **limits: Any,
) -> Ran:
    ran = Ran()

    class Watched:
        """The real thing, which tells whether it was used."""

        def start(self, command: str, **more: Any) -> Any:
            assert warm is not None
            started = warm.start(command, **more)
            ran.is_warm = started is not None
            return started

    ran.outcome = run_a_command(
        CommandSpec(command=command, cwd=folder, **limits),
        on_log=ran.log,
        on_start=on_start,
        should_stop=lambda: should_stop(ran),
        warm=Watched() if warm is not None else None,  # type: ignore[arg-type]
    )
    return ran


def write(folder: Path, text: str, name: str = "job.py") -> None:
    (folder / name).write_text(textwrap.dedent(text))


SCRIPTS: Mapping[str, str] = {
    "state": """
        import os, signal, sys, threading
        print(sys.argv, sys.orig_argv, sys.executable, sys.flags, sys.path)
        print(__name__, __file__, __spec__, __package__, __doc__, __cached__, __annotations__)
        print(__loader__.path, sorted(vars()), sys.modules["__main__"].__dict__ is vars())
        print(os.getcwd(), os.umask(0), os.getpid() == os.getpgid(0) == os.getsid(0))
        print(sorted(item for item in os.environ.items() if item[0] != "TMPDIR"))
        print([signal.getsignal(number) for number in sorted(signal.valid_signals())])
        print(open("/proc/self/status").read().partition("SigBlk")[2].split("Cap")[0])
        print(sorted(os.listdir("/proc/self/fd")), sys.stdin.read(), sys.stdout, sys.stderr)
        print([(t.name, t.daemon) for t in threading.enumerate()], sys.getrecursionlimit())
        print(sys.exc_info(), sys.gettrace(), sys.excepthook is sys.__excepthook__)
        os.system("echo child $GREETING; ulimit -c")
        """,
    "logging": """
        import logging
        log = logging.getLogger()
        print(log.handlers, log.level, logging.root.manager.disable)
        logging.warning("before any set-up")
        logging.basicConfig(level="INFO", force=True)
        logging.info("after it")
        class Late(logging.Handler):
            def emit(self, record): print(0 < record.relativeCreated < 60000)
        log.addHandler(Late()); log.info("x")
        """,
    "traceback": """
        import traceback
        def f(): raise ValueError("no")
        try: f()
        except ValueError as error:
            traceback.print_exc()
            raise RuntimeError("why") from error
        """,
    "syntax": "print('never'\n",
    "exit": "import atexit, sys; atexit.register(print, 'bye'); sys.exit('words')",
    "exit 3": "import sys; sys.exit(3)",
    "interrupt": "raise KeyboardInterrupt",
    "killed": "import os; os.kill(os.getpid(), 11)",
    "thread": """
        import threading, time
        def late(): time.sleep(0.05); print("late")
        threading.Thread(target=late).start()
        print("main")
        """,
    "import beside it": "import beside; print(beside.__file__, beside.x)",
    "pickle": """
        import pickle
        class Own: x = 1
        print(pickle.loads(pickle.dumps(Own())).x, Own.__module__, len(pickle.dumps(Own())))
        """,
    "processes": """
        import multiprocessing as m
        def f(x): return x * x
        if __name__ == "__main__":
            print(m.current_process().name, m.parent_process(), m.get_start_method())
            with m.get_context("spawn").Pool(1) as pool: print(pool.map(f, [1, 2]))
            with m.get_context("fork").Pool(1) as pool: print(pool.map(f, [3]))
        """,
    "seeded": """
        import random, numpy as np
        random.seed(1); np.random.seed(1)
        print(random.random(), np.random.rand(2), np.random.default_rng(3).normal())
        print(np.linalg.inv(np.arange(4.0).reshape(2, 2) + 1))
        """,
    "unicode": "import sys; print('grün', sys.stdout.encoding, sys.getfilesystemencoding())",
    "temporary": """
        import os, tempfile
        print(tempfile.gettempdir() == os.environ["TMPDIR"])
        with tempfile.NamedTemporaryFile() as file:
            print(os.path.dirname(file.name) == os.environ["TMPDIR"])
        """,
    "destroyed at the end": """
        class Loud:
            def __del__(self): print("gone")
        x = Loud()
        """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_cannot_tell(warm: WarmStarts, tmp_path: Path, name: str) -> None:
    write(tmp_path, SCRIPTS[name])
    write(tmp_path, "x = 7", "beside.py")
    command = "python job.py --x 1 'two words'\n"
    fresh = run(command, tmp_path, None, env={"GREETING": "hi"})
    ran = run(command, tmp_path, warm, env={"GREETING": "hi"})
    assert ran.is_warm
    assert (ran.out, ran.err) == (fresh.out, fresh.err)
    assert (ran.outcome.exit_code, ran.outcome.signal, ran.outcome.reason) == (
        fresh.outcome.exit_code,
        fresh.outcome.signal,
        fresh.outcome.reason,
    )


def test_every_script_has_its_own_randomness_and_keys(warm: WarmStarts, tmp_path: Path) -> None:
    write(
        tmp_path,
        """
        import multiprocessing, random, uuid, numpy as np
        key = multiprocessing.current_process().authkey.hex()
        print(random.random(), np.random.rand(), key, uuid.uuid4())
        """,
    )
    first, second = (run("python job.py", tmp_path, warm) for _ in range(2))
    assert first.is_warm
    assert second.is_warm
    assert set(first.out.split()).isdisjoint(second.out.split())


def test_nothing_of_one_script_is_left_for_the_next(warm: WarmStarts, tmp_path: Path) -> None:
    write(
        tmp_path,
        """
        import os, sys, numpy, logging
        print(hasattr(numpy, "left"), "LEFT" in os.environ, logging.root.level)
        numpy.left = 1; os.environ["LEFT"] = "1"; logging.root.setLevel(10); os.chdir("/")
        """,
    )
    for _ in range(2):
        assert run("python job.py", tmp_path, warm).out == b"False False 30\n"


def test_limits_and_stops_hold(warm: WarmStarts, tmp_path: Path) -> None:
    write(tmp_path, "import time; print('up', flush=True); time.sleep(60)")
    late = run("python job.py", tmp_path, warm, timeout_s=0.3, grace_s=5.0)
    assert (late.is_warm, late.outcome.reason, late.outcome.signal) == (True, "timeout", 15)
    stopped = run(
        "python job.py", tmp_path, warm, should_stop=lambda ran: "cancel" if ran.out else None
    )
    assert (stopped.is_warm, stopped.outcome.reason) == (True, "canceled")
    write(tmp_path, "x = bytearray(400 << 20); import time; time.sleep(60)")
    big = run("python job.py", tmp_path, warm, memory_limit_bytes=200 << 20)
    assert (big.is_warm, big.outcome.reason) == (True, "oom")
    assert big.outcome.peak_rss_bytes > 200 << 20


def test_the_start_is_reported_before_the_script_runs(warm: WarmStarts, tmp_path: Path) -> None:
    write(tmp_path, "import os; print(os.path.exists('reported'), os.getpid())")
    seen: list[int] = []

    def on_start(pid: int) -> None:
        assert os.getpgid(pid) == os.getsid(pid) == pid
        (tmp_path / "reported").touch()
        seen.append(pid)

    ran = run("python job.py", tmp_path, warm, on_start=on_start)
    assert ran.is_warm
    assert ran.out.decode().split() == ["True", str(seen[0])]


def test_background_processes_end_with_the_script(warm: WarmStarts, tmp_path: Path) -> None:
    write(
        tmp_path,
        """
        import subprocess
        print(subprocess.Popen(["sleep", "60"], start_new_session=True).pid)
        """,
    )
    ran = run("python job.py", tmp_path, warm)
    assert ran.is_warm
    assert not psutil.pid_exists(int(ran.out))


@pytest.mark.parametrize(
    "change",
    [
        {"command": "python job.py | cat"},
        {"command": "python -O job.py"},
        {"command": "python -c 'print(1)'"},
        {"env": {"PYTHONHASHSEED": "0"}},
        {"env": {"OMP_NUM_THREADS": "3"}},
        {"env": {"HOME": "/nowhere"}, "beside": "unrelated.py"},
        {"beside": "numpy.py"},
        {"beside": "json"},
        {"gpu": ("GPU-1",)},
    ],
    ids=str,
)
def test_what_could_tell_is_executed(
    warm: WarmStarts, tmp_path: Path, change: dict[str, Any]
) -> None:
    write(tmp_path, "print(1)")
    beside = change.pop("beside", None)
    if beside is not None:
        (tmp_path / beside).touch()
    ran = run(change.pop("command", "python job.py"), tmp_path, warm, **change)
    # HOME is looked up by none of these modules
    assert ran.is_warm == (beside == "unrelated.py")
    assert ran.out == b"1\n"


def test_variables_that_a_module_reads_at_import_decide(tmp_path: Path) -> None:
    starts = make(("mlq_reads_home",), tmp_path)
    write(tmp_path, "import os; os.getenv('HOME')", "mlq_reads_home.py")
    starts._base["PYTHONPATH"] = str(tmp_path)
    try:
        assert starts.wait_until_ready(60)
        write(tmp_path, "print(1)", "elsewhere.py")
        folder = tmp_path / "job"
        folder.mkdir()
        write(folder, "print(1)")
        given = {"PYTHONPATH": str(tmp_path)}
        assert run("python job.py", folder, starts, env=given).is_warm
        assert not run("python job.py", folder, starts, env={**given, "HOME": "/x"}).is_warm
    finally:
        starts.close()


def test_a_process_with_threads_starts_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    write(tmp_path, text, "mlq_threaded.py")
    starts = make(("mlq_threaded",), tmp_path)
    starts._base["PYTHONPATH"] = str(tmp_path)
    assert not starts.wait_until_ready(60)
    assert "has started a thread" in caplog.text
    write(tmp_path, "print(1)")
    ran = run("python job.py", tmp_path, starts, env={"PYTHONPATH": str(tmp_path)})
    assert (ran.is_warm, ran.out) == (False, b"1\n")


def test_modules_that_cannot_be_imported_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    starts = make(("mlq_is_not_there",), tmp_path)
    try:
        assert starts.wait_until_ready(60)
        assert "mlq_is_not_there: ModuleNotFoundError" in caplog.text
    finally:
        starts.close()


def test_a_prepared_process_that_died_is_replaced(tmp_path: Path) -> None:
    write(tmp_path, "print(1)")
    starts = make((), tmp_path)
    assert not run("python job.py", tmp_path, starts).is_warm  # no modules: switched off
    starts = make(("json",), tmp_path)
    try:
        assert starts.wait_until_ready(60)
        assert starts._process is not None
        starts._process.send_signal(signal.SIGKILL)
        starts._process.wait()
        ran = run("python job.py", tmp_path, starts)
        assert (ran.is_warm, ran.out) == (False, b"1\n")
        assert starts.wait_until_ready(60)
        assert run("python job.py", tmp_path, starts).is_warm
    finally:
        starts.close()


def test_closing_leaves_no_process(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    starts = make(("json",), tmp_path)
    assert starts.wait_until_ready(60)
    starts.close()
    deadline = time.monotonic() + 20
    while {process.pid for process in psutil.Process().children(recursive=True)} - before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_only_this_python_is_meant(tmp_path: Path) -> None:
    write(tmp_path, "print(1)")
    environment = command_environment({}, tmp=tmp_path)

    def read(command: str, **changes: str) -> Any:
        return read_script(command, cwd=tmp_path, environment={**environment, **changes})

    for name in ("python", "python3", sys.executable):
        script = read(f"{name} job.py -v")
        assert script is not None, name
        assert script.argv == ["job.py", "-v"]
        assert script.executable == str(Path(sys.executable).parent / Path(name).name)
    assert read("python -u job.py").orig_argv == ["python", "-u", "job.py"]
    for command in (
        "python none.py",
        "python job.txt",
        "python",
        "/usr/bin/env job.py",
        "ls job.py",
    ):
        assert read(command) is None, command
    other = tmp_path / "bin"
    other.mkdir()
    (other / "python").symlink_to(sys.executable)
    assert read("python job.py", PATH=str(other)) is None
