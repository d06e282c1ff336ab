from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlq_workers.fork import Fork
from tests.servers import wait_until


def test_a_copy_waits_until_it_is_told(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    fork = Fork(flag.touch)
    with pytest.raises(subprocess.TimeoutExpired):
        fork.wait(timeout=0)
    assert not flag.exists()
    fork.go()
    assert fork.wait(timeout=10) == 0
    assert flag.exists()
    fork.terminate()  # it has ended: nobody else is meant


def test_a_copy_leads_a_session_and_can_be_ended() -> None:
    fork = Fork(lambda: time.sleep(60))
    fork.go()
    wait_until(lambda: os.getsid(fork.pid) == fork.pid, what="it leads a session")
    fork.kill()
    assert fork.wait(timeout=10) == -signal.SIGKILL


def test_a_copy_that_fails_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("no such thing")

    fork = Fork(fail)
    fork.go()
    assert fork.wait(timeout=10) == 1
    assert "no such thing" in capfd.readouterr().err


def test_a_copy_that_was_not_told_ends_with_its_parent() -> None:
    program = (
        "import os; from mlq_workers.fork import Fork; "
        "print(Fork(lambda: None).pid, flush=True); os._exit(0)"
    )
    # the output ends when the last process that holds it has ended: the copy
    assert subprocess.check_output([sys.executable, "-c", program], timeout=30)
