"""The Open Inference Protocol and its refusals, over HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import httpx
import pytest

from mlq import __version__
from mlq.onemachine.ports import find_free_port
from mlq.service import models
from tests.integration.serving.conftest import World
from tests.servers import wait_until

INPUTS = [
    {"name": "months", "shape": [2], "datatype": "FP64", "data": [1, 60]},
    {"name": "plan", "shape": [2], "datatype": "BYTES", "data": ["basic", "plus"]},
]


@pytest.fixture
def serving(sqlite_world: World) -> World:
    """churn/1 says `one`, churn/2 looks at its rows; staging is on 1, production on nothing."""
    sqlite_world.register("one")
    sqlite_world.register("real")
    with sqlite_world.database.write() as conn:
        models.set_alias(conn, name="churn", alias="staging", version=1, actor="ann")
    sqlite_world.start()
    return sqlite_world


def test_every_route_of_the_protocol(serving: World) -> None:
    http = serving.http
    assert http.get("/v2").json() == {
        "name": "mlq",
        "version": __version__,
        "extensions": ["binary_tensor_data"],
    }
    assert http.get("/v2/health/live").json() == {"live": True}
    ready = http.get("/v2/health/ready").json()
    assert (ready["ready"], ready["problems"]) == (True, [])
    metadata = {
        "name": "churn",
        "versions": ["1", "2"],
        "platform": "mlflow_sklearn",
        "inputs": [
            {"name": "months", "datatype": "FP64", "shape": [-1]},
            {"name": "plan", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "predict", "datatype": "BYTES", "shape": [-1]},
            {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]},
        ],
    }
    asked = {
        "/v2/models/churn": ("2", ["yes", "no"]),  # no production yet: the newest
        "/v2/models/churn/versions/1": ("1", ["one", "one"]),
        "/v2/models/churn/versions/2": ("2", ["yes", "no"]),
        "/v2/models/churn/versions/staging": ("1", ["one", "one"]),
        "/v2/models/churn/versions/latest": ("2", ["yes", "no"]),
    }
    for path, (version, answers) in asked.items():
        assert http.get(path).json() == metadata
        assert http.get(f"{path}/ready").json() == {"name": "churn", "ready": True}
        answer = http.post(f"{path}/infer", json={"id": "7", "inputs": INPUTS})
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {
            "model_name": "churn",
            "model_version": version,
            "id": "7",
            "outputs": [{"name": "predict", "shape": [2], "datatype": "BYTES", "data": answers}],
        }
    with serving.database.write() as conn:
        models.set_alias(conn, name="churn", alias="production", version=1, actor="ann")
    serving.wait(
        lambda: (
            http.post("/v2/models/churn/infer", json={"inputs": INPUTS}).json()["model_version"]
            == "1"
        )
    )


def test_refusals_are_problems_with_the_protocols_error(serving: World) -> None:
    def refusal(response: httpx.Response) -> tuple[int, str]:
        assert response.headers["content-type"] == "application/problem+json"
        body = response.json()
        assert body["status"] == response.status_code
        assert body["error"] == body["detail"]
        return body["status"], body["code"]

    http = serving.http
    short: dict[str, Any] = {"inputs": INPUTS[:1]}
    assert refusal(http.post("/v2/models/churn/infer", json=short)) == (400, "invalid_rows")
    assert refusal(http.post("/v2/models/churn/infer", content=b"{")) == (400, "invalid_rows")
    assert refusal(
        http.post(
            "/v2/models/churn/infer",
            content=b"{}",
            headers={"inference-header-content-length": "2"},
        )
    ) == (400, "invalid_rows")
    for path in (
        "chrun",
        "churn/versions/9",
        "churn/versions/nowhere",
        "churn/versions/" + "9" * 99,
    ):
        assert refusal(http.get(f"/v2/models/{path}")) == (404, "not_found")
    assert "'churn'" in http.get("/v2/models/chrun").json()["hint"]
    for headers in ({"authorization": ""}, {"authorization": "Bearer wrong"}):
        answer = http.get("/v2", headers=headers)
        assert refusal(answer) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert http.get("/v2/health/ready", headers={"authorization": ""}).json() == {
        "live": True,
        "ready": True,
    }


def test_scores_name_what_is_wrong(serving: World) -> None:
    serving.deploy(2)
    serving.wait(lambda: serving.score().status_code == 200)
    http = serving.http
    wrong = http.post("/endpoints/shop/score", json={"rows": [{"months": "many", "plan": "basic"}]})
    assert wrong.status_code == 422
    assert wrong.json()["problems"][0]["path"] == "months[0]"
    assert "error" not in wrong.json()
    for headers in ({}, {"transfer-encoding": "chunked"}):
        large = b'{"rows": [' + b" " * 70_000 + b"]}"
        content: Any = iter([large]) if headers else large
        refused = http.post("/endpoints/shop/score", content=content)
        assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
    assert http.post("/endpoints/shp/score", json={"rows": []}).status_code == 404
    assert http.get("/endpoints/shop/score").status_code == 405


def test_the_process_starts_without_the_scientific_stack_and_ends_on_sigterm(
    sqlite_world: World,
) -> None:
    port = find_free_port()
    environment = {
        **os.environ,
        "MLQ_HOME": str(sqlite_world.settings.home),
        "MLQ_DATABASE_URL": sqlite_world.settings.database,
    }
    code = (
        "import sys, mlq_api.serving.app;"
        "sys.exit(str([n for n in ('numpy', 'pandas', 'sklearn', 'celery') if n in sys.modules]) "
        "if {'numpy', 'pandas', 'sklearn', 'celery'} & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    command = [sys.executable, "-m", "mlq_api.serving", "--port", str(port)]
    process = subprocess.Popen(command, env=environment)
    try:

        def is_ready() -> bool:
            assert process.poll() is None
            try:
                return httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(is_ready)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
