"""MLflow's two clients (mlflow-skinny and the full package) against mlq and MLflow's own server.

MLQ_TEST_MLFLOW names an interpreter that has the full package: `make mlflow-compare` makes one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.api.conftest import Api, api, settings, shared_broker
from tests.servers import wait_until

__all__ = ["api", "settings", "shared_broker"]

STORY = Path(__file__).parent / "mlflow_story.py"
FULL = os.environ.get("MLQ_TEST_MLFLOW", "")
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}

pytestmark = [
    pytest.mark.skipif(
        not FULL, reason="the full MLflow is not installed: `make mlflow-compare` installs it"
    ),
    pytest.mark.timeout(900),
]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One kind of database: test_mlflow_client.py has both."""
    return sqlite_url


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    """MLflow's own server on an empty store; its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [FULL, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **QUIET}, start_new_session=True
        )
    try:
        wait_until(lambda: _answers(f"{url}/health"), what="MLflow's server answers")
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def tell(python: str, uri: str, token: str = "") -> dict[str, Any]:
    """What the story told."""
    done = subprocess.run(
        [python, str(STORY), uri],
        env={**os.environ, **QUIET, "MLFLOW_TRACKING_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("client", ["skinny", "full"])
def test_both_servers_answer_alike(api: Api, mlflow_server: str, client: str) -> None:
    python = FULL if client == "full" else sys.executable
    token = api.as_role("submitter").headers["authorization"].removeprefix("Bearer ")
    theirs = tell(python, mlflow_server)
    ours = tell(python, f"{api.url}/mlflow", token)
    assert ours == theirs
    print(f"{client}: {len(ours)} answers alike")
