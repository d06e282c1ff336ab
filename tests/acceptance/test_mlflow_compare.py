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
import mlflow
import numpy as np
import pytest

from mlq.client import Client
from mlq.client.mlflow_import import MlflowImport, Summary
from mlq.client.mlflow_source import MlflowSource
from tests.acceptance.mlflow_inventory import take
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
        wait_until(lambda: _answers(f"{url}/health"), timeout_s=400, what="MLflow's server answers")
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


def test_what_mlflows_server_holds_is_imported(
    api: Api, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    tell(sys.executable, mlflow_server)
    token = api.as_role("submitter").headers["authorization"].removeprefix("Bearer ")

    def bring() -> Summary:
        with Client(api.url, token) as client:
            reader = MlflowSource(mlflow_server)
            return MlflowImport(reader, client.tracking, say=print).run()

    done = bring()
    assert done.problems == []
    theirs = take(mlflow_server)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    ours = take(f"{api.url}/mlflow")
    assert ours == theirs
    loaded = mlflow.pyfunc.load_model("models:/story/2")
    assert loaded.predict(np.array([[0.1, 0.2, 0.3]])).shape == (1,)
    again = bring()
    assert (again.runs_new, again.runs_changed, again.files, again.versions) == (0, 0, 0, 0)
    print(done)
