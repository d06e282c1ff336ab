"""Code of a step against the worker that runs it, and against the files of others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlq_workers.runner import CommandSpec, run_command
from tests.servers import wait_until

SECRET = "postgresql://mlq:hunter2@db/mlq"


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the worker's user with a secret in its environment."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        env={"MLQ_DATABASE_URL": SECRET},
    )
    yield process
    process.kill()
    process.wait()


def attack(code: str, cwd: Path, **more: Any) -> str:
    """What a step that runs this Python code prints."""
    script = cwd / "attack.py"
    script.write_text(textwrap.dedent(code))
    said: list[bytes] = []
    outcome = run_command(
        CommandSpec(command=f"{sys.executable} {script}", cwd=cwd, timeout_s=60, **more),
        on_log=lambda stream, chunk: said.append(chunk),
        on_start=lambda pid: None,
        should_stop=lambda: None,
    )
    text = b"".join(said).decode()
    assert outcome.reason is None, text
    return text


def test_the_environment_of_the_worker_is_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLQ_DATABASE_URL", "MLQ_BROKER_URL", "MLQ_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    said = attack("import os; print(dict(os.environ))", tmp_path)
    assert "hunter2" not in said


def test_memory_and_environment_of_others_are_not_read(
    tmp_path: Path, victim: subprocess.Popen[bytes]
) -> None:
    said = attack(
        f"""
        for pid in ({victim.pid}, {os.getpid()}):
            for name in ("environ", "mem", "maps"):
                try:
                    open(f"/proc/{{pid}}/{{name}}", "rb").read(1)
                except PermissionError:
                    print("refused")
        """,
        tmp_path,
    )
    assert said.split() == ["refused"] * 6


def test_others_are_neither_signalled_nor_traced(
    tmp_path: Path, victim: subprocess.Popen[bytes]
) -> None:
    said = attack(
        f"""
        import ctypes, os
        for pid in ({victim.pid}, {os.getpid()}, os.getppid(), os.getppid()):
            try:
                os.kill(pid, {int(signal.SIGKILL)})
            except PermissionError:
                print("refused")
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(16, {victim.pid}, 0, 0) < 0:  # PTRACE_ATTACH
            print("refused")
        """,
        tmp_path,
    )
    assert said.split() == ["refused"] * 5
    assert victim.poll() is None


def test_no_rights_are_gained(tmp_path: Path) -> None:
    said = attack("print(open('/proc/self/status').read())", tmp_path)
    assert "NoNewPrivs:\t1" in said


def test_a_daemon_does_not_outlive_its_step(tmp_path: Path) -> None:
    said = attack(
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                print(os.getpid(), flush=True)
                os.close(1); os.close(2)
                time.sleep(600)
            os._exit(0)
        time.sleep(0.5)
        """,
        tmp_path,
    )
    pid = int(said)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="the daemon is gone")


def test_files_of_the_home_are_hidden(tmp_path: Path) -> None:
    home = tmp_path / "home"
    scratch, other = home / "scratch" / "mine", home / "scratch" / "other"
    for folder in (scratch / "work", other, home / "artifacts"):
        folder.mkdir(parents=True)
    for path in (home / "token", home / "mlq.db", other / "data.csv", home / "artifacts" / "x"):
        path.write_text("secret")
    given = home / "artifacts" / "input.csv"
    given.write_text("a\n1\n")
    said = attack(
        f"""
        import os
        for path in ("{home}/token", "{home}/mlq.db", "{other}/data.csv", "{home}/artifacts/x",
                     "../../other/data.csv", "/proc/self/root{home}/token"):
            try:
                print(open(path).read())
            except PermissionError:
                print("refused")
        for act in (lambda: os.link("{home}/token", "stolen"),
                    lambda: os.rename("{home}/token", "stolen"),
                    lambda: open("{given}", "w"),
                    lambda: open("{home}/new", "w")):
            try:
                act()
                print("done")
            except OSError:
                print("refused")
        os.symlink("{home}/token", "link")
        try:
            print(open("link").read())
        except PermissionError:
            print("refused")
        print(open("{given}").read().split()[0])
        open("mine.txt", "w").write("mine")
        os.rename("mine.txt", "renamed.txt")
        print(os.path.exists("renamed.txt"), open(os.environ["TMPDIR"] + "/t", "w").write("x"))
        """,
        scratch / "work",
        hidden=home,
        readable=[given],
        writable=[scratch],
    )
    assert said.split() == [*["refused"] * 11, "a", "True", "1"]
    assert (home / "token").read_text() == "secret"
    assert given.read_text() == "a\n1\n"
