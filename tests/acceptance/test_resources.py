"""What a step asks of its machine is kept to, and what it used is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import Stack

PYTHON = f"{sys.executable} -P -c"


@pytest.fixture(scope="module")
def stack(open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack() as stack:
        stack.start_api()
        stack.worker()
        yield stack
        stack.assert_sound()


def test_cpus_are_threads_and_memory_is_a_limit(stack: Stack) -> None:
    job = stack.submit(
        {
            "type": "command",
            "command": f"{PYTHON} \"import os; assert os.environ['OMP_NUM_THREADS'] == '3'\"",
            "resources": {"cpu": 2.5},
        }
    )
    stack.wait(job, timeout_s=60)
    job = stack.submit(
        {
            "type": "command",
            "command": f'{PYTHON} "import time; held = bytearray(400 << 20); time.sleep(60)"',
            "resources": {"memory": "150MiB"},
        }
    )
    found = stack.wait(job, "failed", timeout_s=60)
    assert found["reason"] == "oom"
    assert "resources.memory allows it 150 MiB" in found["error"]["message"]


def test_what_a_command_used_is_told(stack: Stack) -> None:
    script = "import time; until = time.process_time() + 2; held = bytearray(100 << 20)\n"
    job = stack.submit(
        {
            "type": "command",
            "command": f'{PYTHON} "{script}while time.process_time() < until: pass"',
        }
    )
    stack.wait(job, timeout_s=60)
    used = stack.api_get(f"/v1/jobs/{job}/usage")
    assert used["attempt"] == 1
    assert used["cpu_s"] >= 2
    assert used["max_rss_bytes"] > 100 << 20
    assert used["wall_s"] >= used["samples"][-1]["at_s"] > 0
    assert stack.api is not None
    again = stack.api.get(f"/v1/jobs/{job}/usage", params={"attempt": 2})
    assert again.status_code == 404
    assert "over a second" in again.json()["hint"]
