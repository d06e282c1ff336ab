"""A process that has settled has the same code and keeps less of it mapped."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import re
from pathlib import Path
import numpy
from mlq_workers import memory

def resident_kb():
    kept = {start for start, _ in memory.code_mappings()}
    found, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if match := re.match(r"([0-9a-f]+)-[0-9a-f]+ ", line):
            counts = int(match[1], 16) in kept
        elif counts and line.startswith("Rss:"):
            found += int(line.split()[1])
    return found

before = resident_kb()
memory.settle()
after = resident_kb()
numpy.testing.assert_allclose(numpy.linalg.inv(numpy.eye(3) * 2), numpy.eye(3) / 2)
print(before, after)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/smaps, which Linux has")
def test_code_that_ran_at_import_is_unmapped_and_still_runs() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True
    )
    before, after = map(int, ended.stdout.split())
    assert 0 < after < before
