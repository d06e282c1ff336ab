"""What a pool process does on its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# A worker forks a pool process, and may be gone before that has told the kernel to end it too.
_WORKER = """
import os, sys, time
from mlq_workers import process
os.environ["MLQ_WORKER_PID"] = str(os.getpid())
worker, lives = os.getpid(), sys.argv[2] == "lives"
child = os.fork()
if child:
    if lives:
        os.waitpid(child, 0)
    os._exit(0)
while not lives and os.getppid() == worker:
    time.sleep(0.001)
process.end_if_orphaned()
open(sys.argv[1], "w").write("goes on")
"""


@pytest.mark.parametrize(("worker", "goes_on"), [("lives", True), ("dies", False)])
def test_an_orphan_ends(worker: str, goes_on: bool, tmp_path: Path) -> None:
    file = tmp_path / "said"
    # its output closes once worker and pool process have both ended
    subprocess.run(
        [sys.executable, "-c", _WORKER, str(file), worker],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert file.exists() == goes_on
