"""Plain MLflow code inside jobs: what it logs lands in the step's run, and decides a sweep."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import Stack

PYTHON = f"{sys.executable} -P -c"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true"}


@pytest.fixture(scope="module")
def stack(open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack() as stack:
        stack.start_api()
        assert stack.api is not None
        stack.worker(api_url=str(stack.api.base_url).rstrip("/"))
        yield stack
        stack.assert_sound()


def test_a_steps_code_logs_to_its_own_run(stack: Stack) -> None:
    script = (
        "import mlflow; "
        "mlflow.log_param('lr', 0.1); "
        "[mlflow.log_metric('loss', 1 / (1 + step), step=step) for step in range(3)]; "
        "mlflow.log_text('hello', 'note.txt')"
    )
    job = stack.submit(
        {
            "type": "command",
            "display_name": "tracked",
            "command": f'{PYTHON} "{script}"',
            "environment_variables": QUIET,
        }
    )
    stack.wait(job, timeout_s=60)
    found = stack.api_get("/mlflow/api/2.0/mlflow/runs/get", run_id=job)["run"]
    assert found["info"]["status"] == "FINISHED"
    assert {one["key"]: one["value"] for one in found["data"]["params"]} == {"lr": "0.1"}
    assert stack.api_get(f"/v1/jobs/{job}")["metrics"]["loss"] == pytest.approx(1 / 3)
    below = found["info"]["artifact_uri"].partition(":/")[2]
    assert stack.api is not None
    listed = stack.api.get("/api/2.0/mlflow-artifacts/artifacts", params={"path": below})
    files = listed.json()["files"]
    assert [file["path"] for file in files] == ["note.txt"]


def test_what_trials_log_decides_the_sweep(stack: Stack) -> None:
    script = "import mlflow; mlflow.log_metric('score', -(${{search_space.x}} - 2) ** 2)"
    job = stack.submit(
        {
            "type": "sweep",
            "display_name": "tracked sweep",
            "trial": {"command": f'{PYTHON} "{script}"', "environment_variables": QUIET},
            "search_space": {"x": {"type": "choice", "values": [1, 2, 3]}},
            "sampling_algorithm": "grid",
            "objective": {"primary_metric": "score", "goal": "maximize"},
            "limits": {"max_concurrent_trials": 2},
        }
    )
    stack.wait(job, timeout_s=90)
    found = stack.api_get(f"/v1/jobs/{job}/trials", sort="number")["items"]
    assert [(one["params"]["x"], one["value"]) for one in found] == [(1, -1.0), (2, 0.0), (3, -1.0)]
