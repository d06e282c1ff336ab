"""The command line as somebody types it, beside a running `mlq up`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlq.onemachine.ports import find_free_port


@dataclass
class Shell:
    """A terminal's environment: MLQ_HOME, perhaps a token, and further variables."""

    home: Path
    token: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("MLQ_")}
        env |= {"MLQ_HOME": str(self.home), **self.variables}
        return env if self.token is None else {**env, "MLQ_TOKEN": self.token}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `mlq ARGUMENTS`, its output in pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "mlq.cli", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `mlq ARGUMENTS` to its end, which must be `code`."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=180)
        done = subprocess.CompletedProcess(arguments, process.returncode, out, err)
        assert done.returncode == code, f"{arguments}\nstdout: {out}\nstderr: {err}"
        return done

    def json(self, *arguments: str) -> Any:
        """The JSON that `mlq ARGUMENTS -o json` prints."""
        return json.loads(self.run(*arguments, "-o", "json").stdout)

    @contextmanager
    def up(self, *options: str) -> Iterator[None]:
        """Run `mlq up` while this lasts."""
        up = self.start(
            "up", "-o", "json", "--port", str(find_free_port()), "--no-flower", *options
        )
        assert up.stdout is not None
        try:
            ready = up.stdout.readline()
            if not ready:
                pytest.fail(f"mlq up ended: {up.communicate()[1]}")
            yield
        finally:
            up.terminate()
            up.communicate(timeout=150)
