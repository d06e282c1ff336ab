"""Real processes: what ends a command, what it sees, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlq.db.usage import Usage
from mlq.errors import StepError
from mlq_workers.runner import CommandOutcome, CommandSpec, run_command
from mlq_workers.runner.command import Stop

PYTHON = sys.executable


class Seen:
    """What a run reported."""

    def __init__(self) -> None:
        self.chunks: list[tuple[str, bytes]] = []
        self.pid = 0

    def text(self, stream: str | None = None) -> str:
        wanted = (chunk for name, chunk in self.chunks if stream in (None, name))
        return b"".join(wanted).decode()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def run(tmp_path: Path, seen: Seen) -> Callable[..., CommandOutcome]:
    def run(
        command: str,
        *,
        on_start: Callable[[int], None] | None = None,
        should_stop: Callable[[], Stop | None] = lambda: None,
        **limits: Any,
    ) -> CommandOutcome:
        def started(pid: int) -> None:
            seen.pid = pid
            if on_start is not None:
                on_start(pid)

        spec = CommandSpec(
            command=textwrap.dedent(command), cwd=tmp_path, **{"grace_s": 5.0, **limits}
        )
        return run_command(
            spec,
            on_log=lambda stream, chunk: seen.chunks.append((stream, chunk)),
            on_start=started,
            should_stop=should_stop,
        )

    return run


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield
    left = {process.pid for process in psutil.Process().children(recursive=True)} - before
    assert not left


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(fact: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def test_success(run: Callable[..., CommandOutcome], seen: Seen) -> None:
    outcome = run("echo one\necho two >&2")
    assert (outcome.exit_code, outcome.signal, outcome.reason) == (0, None, None)
    assert (seen.text("stdout"), seen.text("stderr")) == ("one\n", "two\n")
    assert sorted(outcome.last_lines) == ["one", "two"]
    assert 0 < outcome.wall_s < 10
    assert 100_000 < outcome.peak_rss_bytes < 100 << 20


def test_exit_code(run: Callable[..., CommandOutcome]) -> None:
    outcome = run("echo before; exit 3")
    assert (outcome.exit_code, outcome.reason, outcome.last_lines) == (3, "error", ["before"])


def test_first_line_that_fails_ends_it(run: Callable[..., CommandOutcome], seen: Seen) -> None:
    outcome = run("echo one\nfalse\necho two")
    assert (outcome.exit_code, seen.text()) == (1, "one\n")


def test_death_by_signal(run: Callable[..., CommandOutcome]) -> None:
    outcome = run("kill -SEGV $$")
    assert (outcome.exit_code, outcome.signal, outcome.reason) == (None, signal.SIGSEGV, "error")


def test_killed_by_somebody_else_is_no_oom(run: Callable[..., CommandOutcome]) -> None:
    outcome = run("kill -KILL $$")
    assert (outcome.signal, outcome.reason) == (signal.SIGKILL, "error")


def test_killed_while_the_kernel_was_out_of_memory_is_oom(
    run: Callable[..., CommandOutcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = iter([3, 4])  # before and after, as /proc/vmstat counts them
    monkeypatch.setattr("mlq_workers.runner.command._count_oom_kills", lambda: next(kills))
    outcome = run("sh -c 'kill -KILL $$'; true")
    assert (outcome.exit_code, outcome.reason) == (137, "oom")


def test_order_of_streams(run: Callable[..., CommandOutcome], seen: Seen) -> None:
    run(
        """
        echo a; read -t 0.05 < <(sleep 1) || true
        echo b >&2; read -t 0.05 < <(sleep 1) || true
        echo c
        """
    )
    assert "".join(chunk.decode() for _, chunk in seen.chunks) == "a\nb\nc\n"
    assert [name for name, _ in seen.chunks] == ["stdout", "stderr", "stdout"]


def test_output_is_streamed_while_it_runs(tmp_path: Path) -> None:
    """The command ends only after its first line was handed on."""
    go = tmp_path / "go"

    def on_log(stream: str, chunk: bytes) -> None:
        assert chunk == b"ready\n"
        go.touch()

    outcome = run_command(
        CommandSpec(
            command="echo ready; until [ -e go ]; do sleep 0.01; done", cwd=tmp_path, timeout_s=20
        ),
        on_log=on_log,
        on_start=lambda pid: None,
        should_stop=lambda: None,
    )
    assert outcome.reason is None


def test_python_output_is_not_held_back(run: Callable[..., CommandOutcome], seen: Seen) -> None:
    run("python3 -c 'import os; print(1); os.system(\"echo 2\"); print(3)'")
    assert seen.text() == "1\n2\n3\n"


def test_timeout_kills_what_ignores_sigterm(run: Callable[..., CommandOutcome]) -> None:
    outcome = run("trap '' TERM; while :; do sleep 0.05; done", timeout_s=0.1, grace_s=0.1)
    assert (outcome.reason, outcome.signal) == ("timeout", signal.SIGKILL)


def test_timeout_leaves_time_to_clean_up(run: Callable[..., CommandOutcome], seen: Seen) -> None:
    outcome = run("trap 'echo saved; exit 0' TERM; while :; do sleep 0.01; done", timeout_s=0.2)
    assert (outcome.reason, outcome.exit_code) == ("timeout", 0)
    assert "saved" in seen.text()


def test_memory_limit(run: Callable[..., CommandOutcome]) -> None:
    outcome = run(
        f"{PYTHON} -Sc 'import time; x = bytearray(400 << 20); time.sleep(30)'; echo no",
        memory_limit_bytes=100 << 20,
    )
    assert (outcome.reason, outcome.signal) == ("oom", signal.SIGKILL)
    assert outcome.peak_rss_bytes > 100 << 20
    assert outcome.last_lines == []


def test_shared_pages_count_once(run: Callable[..., CommandOutcome]) -> None:
    outcome = run(
        f"""
        {PYTHON} -S - <<'PY'
        import os, time
        x = bytearray(60 << 20)
        for _ in range(4):
            if not os.fork():
                time.sleep(0.4)
                os._exit(0)
        for _ in range(4):
            os.wait()
        PY
        """,
        memory_limit_bytes=120 << 20,
    )
    assert outcome.reason is None


@pytest.mark.parametrize(("wish", "reason"), [("cancel", "canceled"), ("drain", "drained")])
def test_stop(run: Callable[..., CommandOutcome], seen: Seen, wish: Stop, reason: str) -> None:
    outcome = run(
        "trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done",
        should_stop=lambda: wish if "up" in seen.text() else None,
    )
    assert (outcome.reason, outcome.exit_code) == (reason, 0)


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        with open("daemon.tmp", "w") as file:
            file.write(str(os.getpid()))
        os.rename("daemon.tmp", "daemon")
        time.sleep(60)
    os._exit(0)
os.wait()
"""


def test_cancel_kills_a_daemonised_grandchild(
    run: Callable[..., CommandOutcome], tmp_path: Path
) -> None:
    (tmp_path / "daemon.py").write_text(DAEMON)
    outcome = run(
        f"{PYTHON} -S daemon.py; sleep 60",
        should_stop=lambda: "cancel" if (tmp_path / "daemon").exists() else None,
    )
    assert outcome.reason == "canceled"
    assert is_gone(int((tmp_path / "daemon").read_text()))


def test_end_kills_what_was_left_in_the_background(
    run: Callable[..., CommandOutcome], seen: Seen, tmp_path: Path
) -> None:
    (tmp_path / "daemon.py").write_text(DAEMON)
    outcome = run(f"sleep 60 & echo $!; {PYTHON} -S daemon.py; until [ -e daemon ]; do :; done")
    assert (outcome.exit_code, outcome.reason) == (0, None)
    assert is_gone(int(seen.text()))
    assert is_gone(int((tmp_path / "daemon").read_text()))


def test_flood_is_cut_and_marked(run: Callable[..., CommandOutcome], seen: Seen) -> None:
    before = psutil.Process().memory_info().rss
    outcome = run(
        "head -c 200000000 /dev/zero | tr '\\0' x; echo; echo last", max_log_bytes=100_000
    )
    assert outcome.reason is None
    assert len(seen.text()) < 100_200
    assert seen.text().endswith("\n[mlq] Output beyond 100000 bytes was dropped here.\n")
    assert all(len(chunk) <= 65536 for _, chunk in seen.chunks)
    assert outcome.last_lines[-1] == "last"
    assert psutil.Process().memory_info().rss - before < 30 << 20


def test_flood_does_not_outrun_the_timeout(run: Callable[..., CommandOutcome]) -> None:
    outcome = run("yes", timeout_s=0.2, max_log_bytes=1000)
    assert outcome.reason == "timeout"
    assert outcome.wall_s < 5


def test_environment_is_an_allow_list(
    run: Callable[..., CommandOutcome], seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLQ_TOKEN", "MLQ_DATABASE_URL", "CELERY_BROKER_URL", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret-value")
    run(
        # stdin is empty
        "env; cat /proc/$PPID/environ 2>/dev/null || echo; stat -c %a $TMPDIR; ulimit -c; cat",
        env={"GREETING": "hi"},
        gpu=("GPU-1",),
        threads=3,
    )
    lines = seen.text().splitlines()
    assert "secret-value" not in seen.text()
    assert {
        "GREETING=hi",
        "CUDA_VISIBLE_DEVICES=GPU-1",
        "OMP_NUM_THREADS=3",
        "PYTHONUNBUFFERED=1",
    } <= set(lines)
    assert lines[-2:] == ["700", "0"]
    (tmp,) = (line.partition("=")[2] for line in lines if line.startswith("TMPDIR="))
    assert not Path(tmp).exists()


def test_only_standard_descriptors_are_open(run: Callable[..., CommandOutcome], seen: Seen) -> None:
    with Path(__file__).open() as file:
        os.set_inheritable(file.fileno(), True)
        run("ls /proc/self/fd")
    assert seen.text().split() == ["0", "1", "2", "3"]  # 3 is the listing itself


def test_signals_are_at_their_defaults(run: Callable[..., CommandOutcome], seen: Seen) -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run("grep -E 'Sig(Ign|Blk)' /proc/self/status")
    finally:
        signal.signal(signal.SIGINT, old)
    masks = {int(line.split()[1], 16) for line in seen.text().splitlines()}
    # signals 32 and 33 are the C library's own, which nobody else can set
    assert {mask & ~(0b11 << 31) for mask in masks} == {0}


def test_start_is_reported_before_any_user_code(
    run: Callable[..., CommandOutcome], tmp_path: Path
) -> None:
    def on_start(pid: int) -> None:
        assert os.getpgid(pid) == os.getsid(pid) == pid
        assert pid not in (os.getpid(), os.getpgid(0))
        (tmp_path / "reported").touch()

    assert run("test -e reported", on_start=on_start).exit_code == 0


def test_nothing_runs_when_the_report_fails(
    run: Callable[..., CommandOutcome], seen: Seen, tmp_path: Path
) -> None:
    def on_start(pid: int) -> None:
        raise ConnectionError("no database")

    with pytest.raises(ConnectionError):
        run("touch ran", on_start=on_start)
    assert is_gone(seen.pid)
    assert not (tmp_path / "ran").exists()


def test_exceptions_of_callbacks_end_the_command(
    run: Callable[..., CommandOutcome], seen: Seen
) -> None:
    def should_stop() -> Stop | None:
        raise SystemExit(1)  # as Celery's cold shutdown does

    with pytest.raises(SystemExit):
        run("sleep 60", should_stop=should_stop)
    assert is_gone(seen.pid)


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_killed_worker_takes_the_command_with_it(tmp_path: Path, stop: signal.Signals) -> None:
    (tmp_path / "daemon.py").write_text(DAEMON)
    script = """
import sys
from pathlib import Path
from mlq_workers.runner import CommandSpec, run_command
here = Path(sys.argv[1])
run_command(
    CommandSpec(command=sys.executable + " -S daemon.py; echo up; sleep 60; echo never", cwd=here),
    on_log=lambda stream, chunk: (here / "up").touch(),
    on_start=lambda pid: (here / "pid").write_text(str(pid)) and None,
    should_stop=lambda: None,
)
"""
    with subprocess.Popen([PYTHON, "-c", script, str(tmp_path)]) as worker:
        wait_until((tmp_path / "up").exists)
        below = psutil.Process(worker.pid).children(recursive=True)
        assert len(below) >= 3
        worker.send_signal(stop)
    pids = [process.pid for process in below]
    pids += [int((tmp_path / name).read_text()) for name in ("pid", "daemon")]
    wait_until(lambda: all(is_gone(pid) for pid in pids))


def test_killed_guard_ends_the_command(run: Callable[..., CommandOutcome], seen: Seen) -> None:
    def kill_guard() -> None:
        process = psutil.Process(seen.pid)
        process.parent().kill()

    outcome = run("sleep 60", should_stop=kill_guard)
    assert (outcome.signal, outcome.reason) == (signal.SIGKILL, "error")
    assert "guard of this command was killed" in outcome.last_lines[-1]
    wait_until(lambda: is_gone(seen.pid))


def test_group_stopped_by_the_keeper_can_still_be_ended(
    run: Callable[..., CommandOutcome], seen: Seen
) -> None:
    def should_stop() -> Stop | None:
        if "up" in seen.text():
            os.killpg(seen.pid, signal.SIGSTOP)
            return "cancel"
        return None

    assert run("echo up; sleep 60", should_stop=should_stop, grace_s=0.1).reason == "canceled"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cwd": Path("/nonexistent")}, "No such file"),
        ({"command": "#" * 200_000}, "too long"),
        ({"command": "echo \0"}, "null"),
        ({"env": {"A=B": "x"}}, "cannot be an environment variable"),
    ],
)
def test_what_cannot_start_says_why(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    fields = {"command": "true", "cwd": tmp_path} | changes
    with pytest.raises(StepError, match=message):
        run_command(
            CommandSpec(**fields),
            on_log=lambda stream, chunk: None,
            on_start=lambda pid: None,
            should_stop=lambda: None,
        )


def test_commands_run_side_by_side_in_threads(tmp_path: Path) -> None:
    outcomes: list[CommandOutcome] = []

    def one(number: int) -> None:
        outcomes.append(
            run_command(
                CommandSpec(command=f"exit {number}", cwd=tmp_path),
                on_log=lambda stream, chunk: None,
                on_start=lambda pid: None,
                should_stop=lambda: None,
            )
        )

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.exit_code or 0 for outcome in outcomes) == [0, 1, 2, 3]


def test_worker_keeps_its_handlers_and_children(run: Callable[..., CommandOutcome]) -> None:
    other = subprocess.Popen(["true"])
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    run("true")
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == handlers
    assert other.wait() == 0


def test_inside_a_daemonic_pool_process(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from billiard.pool import Pool
from mlq_workers.runner import CommandSpec, run_command

def work(folder):
    outcome = run_command(
        CommandSpec(command="exit 7", cwd=Path(folder)),
        on_log=lambda stream, chunk: None, on_start=lambda pid: None, should_stop=lambda: None,
    )
    return outcome.exit_code

if __name__ == "__main__":
    pool = Pool(1)
    assert pool.apply(work, (sys.argv[1],)) == 7
    pool.terminate()
"""
    (tmp_path / "pool.py").write_text(script)
    subprocess.run([PYTHON, str(tmp_path / "pool.py"), str(tmp_path)], check=True, timeout=60)


def test_several_processes_of_a_command_find_each_other(
    run: Callable[..., CommandOutcome], seen: Seen
) -> None:
    # rank 0 listens where all were told, and hears of each other rank
    code = """
        import os, socket
        place = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        assert os.environ["LOCAL_RANK"] == str(rank)
        if rank == 0:
            listener = socket.create_server(place)
            heard = sorted(listener.accept()[0].recv(9).decode() for _ in range(size - 1))
            print("heard", *heard)
        else:
            while True:
                try:
                    peer = socket.create_connection(place)
                    break
                except ConnectionRefusedError:
                    pass
            peer.sendall(str(rank).encode())
    """
    outcome = run(f"{PYTHON} - <<'E'\n{textwrap.dedent(code)}E", processes=3)
    assert outcome.reason is None, seen.text()
    assert "heard 1 2" in seen.text("stdout")


def test_when_one_of_several_processes_fails_the_others_are_stopped(
    run: Callable[..., CommandOutcome], seen: Seen
) -> None:
    outcome = run('[ "$RANK" = 1 ] && exit 3; sleep 600', processes=3)
    assert (outcome.reason, outcome.exit_code) == ("error", 3)
    assert "Rank 1 of 3 ended with exit code 3." in seen.text("stderr")


def test_several_processes_end_on_their_own_terms_when_they_are_stopped(
    run: Callable[..., CommandOutcome], seen: Seen
) -> None:
    command = "trap 'echo saved; exit 0' TERM; echo ready; sleep 600 & wait"
    outcome = run(
        command,
        processes=2,
        should_stop=lambda: "drain" if seen.text("stdout").count("ready") == 2 else None,
    )
    assert outcome.reason == "drained"
    assert seen.text("stdout").count("saved") == 2


def test_what_it_used_is_told_while_it_runs_and_at_the_end(tmp_path: Path, seen: Seen) -> None:
    told: list[Usage] = []
    script = (
        "import time; held = bytearray(80 << 20); until = time.process_time() + 1.5\n"
        "while time.process_time() < until: pass\n"
    )
    (tmp_path / "busy.py").write_text(script)
    run_command(
        CommandSpec(command=f"{PYTHON} -I busy.py", cwd=tmp_path),
        on_log=lambda stream, chunk: None,
        on_start=lambda pid: None,
        should_stop=lambda: None,
        on_usage=told.append,
    )
    last = told[-1]
    assert last.cpu_s >= 1.5  # of the whole group, as the kernel counts it
    assert last.peak_rss_bytes > 80 << 20
    assert last.wall_s >= last.samples[-1].at_s >= 1.0
    assert max(sample.cpu for sample in last.samples) > 0
    assert max(sample.rss_bytes for sample in last.samples) > 80 << 20
