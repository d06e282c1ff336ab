"""Nobody opens a server to the network by accident."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "command",
    [
        ["up", "--host", "0.0.0.0", "--no-flower"],
        ["api", "--host", "::"],
        ["serve", "--host", "10.1.2.3"],
    ],
    ids=lambda command: command[0],
)
def test_no_server_binds_a_network_unless_told_so(command: list[str], tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLQ_")}
    ended = subprocess.run(
        [sys.executable, "-m", "mlq.cli", *command, "--port", "8529"],
        env=env | {"MLQ_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode != 0
    assert "without TLS" in ended.stderr
    assert "--plain-http" in ended.stderr
    assert "MLQ_PLAIN_HTTP" in ended.stderr
