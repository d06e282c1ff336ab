from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from mlq.onemachine import processes

SLEEP = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(600)"]


def test_descendants_are_found_parents_first() -> None:
    child = f"import subprocess; subprocess.run({SLEEP!r})"
    program = [
        sys.executable,
        "-c",
        f"import subprocess; subprocess.run([{sys.executable!r}, '-c', {child!r}])",
    ]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as top:
        assert top.stdout is not None
        assert top.stdout.readline() == b"up\n"

        found = processes.descendants(top.pid)

        parents = [
            int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            for pid in found
        ]
        for pid in [top.pid, *found]:
            os.kill(pid, signal.SIGKILL)
    assert parents == [top.pid, found[0]]


def test_a_group_that_is_gone_takes_no_signal() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], start_new_session=True) as process:
        process.wait(timeout=30)

    assert not processes.signal_group(process.pid, signal.SIGTERM)
