"""MLflow's public client against mlq: the same answers as from MLflow's own server.

`mlflow_answers.json` is what MLflow 3.17.2's server answered to `mlflow_story.py`. To make it anew:
start `mlflow server` with an empty store and run the story against its address.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.integration.api.conftest import Api, api, settings, shared_broker

__all__ = ["api", "settings", "shared_broker"]

HERE = Path(__file__).parent


def test_the_same_answers_as_mlflows_own_server(api: Api) -> None:
    token = api.as_role("submitter").headers["authorization"].removeprefix("Bearer ")
    done = subprocess.run(
        [sys.executable, str(HERE / "mlflow_story.py"), f"{api.url}/mlflow"],
        env={
            **os.environ,
            "MLFLOW_TRACKING_TOKEN": token,
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == json.loads((HERE / "mlflow_answers.json").read_text())
