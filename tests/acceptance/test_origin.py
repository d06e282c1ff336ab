"""Where a model came from, on real processes: lineage, card, once more, a container, deletion."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, func, select

from mlq.data import demo_file
from mlq.db.tables import jobs
from mlq.onemachine.ports import find_free_port
from mlq.service import data
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import JOBS, Stack
from tests.servers import wait_until


@pytest.mark.timeout(300)
def test_where_a_model_came_from(open_stack: OpenStack, tmp_path: Path) -> None:
    with open_stack() as stack:
        stack.worker()
        stack.start_api()
        content = demo_file("penguins.csv").read_bytes()
        stack.upload("penguins", content, file_name="penguins.csv")
        job = stack.submit((JOBS / "penguins.yml").read_text())
        stack.wait(job, timeout_s=90)
        stack.upload("penguins", content + b"\n", file_name="penguins.csv")  # nobody's yet
        mlq = Cli(stack, tmp_path)

        upstream = mlq.json("model", "lineage", "penguins:1")
        assert "mlq:penguins:1" in {row["uri"] for row in upstream if row["side"] == "from"}
        assert [row["uri"] for row in upstream if row["side"] == "to"] == ["penguins/staging"]
        downstream = mlq.json("data", "lineage", "penguins:1")
        assert {"models:/penguins/1", "penguins/staging"} <= {row["uri"] for row in downstream}

        card = mlq.run("model", "card", "penguins:1")
        for fact in ("mlq:penguins:1", "accuracy", "scikit-learn", "staging", "## Parameters"):
            assert fact in card, card
        mlq.run("model", "card", "penguins:1", "--format", "html", "--file", "card.html")
        assert "data:image/png;base64," in (tmp_path / "card.html").read_text()

        # on the data of then, though there is newer
        found = mlq.json("model", "reproduce", "penguins:1")
        assert found["equal"], found
        assert {step["path"] for step in found["steps"]} == {"prep", "train", "validate"}
        assert all(step["state"] == "succeeded" for step in found["steps"])
        again = stack.tree(found["job"])
        assert "register" not in again
        assert again["train"]["reason"] is None, "it ran, it was not taken from before"

        trained = "models:/penguins/1, which was trained on it"
        assert trained in mlq.refused("data", "delete", "penguins:1")
        assert "alias staging" in mlq.refused("model", "delete", "penguins:1")
        follows = "deployment staging of endpoint penguins"
        assert follows in mlq.refused("model", "delete", "penguins")
        assert "models:/penguins/1, which it made" in mlq.refused("job", "delete", job)
        mlq.run("data", "delete", "penguins:2")
        stack.upload("penguins", content + b"\n\n", file_name="penguins.csv")
        assert stack.read(data.find, "penguins").version == 3, "no number is given twice"

        answers_from_a_container(mlq, tmp_path)

        mlq.run("job", "delete", found["job"])
        mlq.run("online-endpoint", "delete", "penguins")
        mlq.run("model", "delete", "penguins")
        mlq.run("job", "delete", job)
        mlq.run("data", "delete", "penguins:1")
        assert stack.read(jobs_left) == 0


def jobs_left(conn: Connection) -> int:
    return int(conn.scalar(select(func.count()).select_from(jobs)) or 0)


def answers_from_a_container(mlq: Cli, folder: Path) -> None:
    """The entry command of the image, run as the image would."""
    mlq.run("model", "package", "penguins:1", "--output-path", "image")
    context = folder / "image"
    lines = (context / "Dockerfile").read_text().splitlines()
    command = json.loads(next(line for line in lines if line.startswith("CMD")).removeprefix("CMD"))
    port = find_free_port()
    command[0] = sys.executable
    command[command.index("--host") + 1] = "127.0.0.1"
    command[command.index("--port") + 1] = str(port)
    assert "requirements.txt" in {path.name for path in (context / "model").iterdir()}
    with subprocess.Popen(command, cwd=context, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            word, token = server.stdout.readline().split()
            assert word == "token"
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {token}"}
            ) as client:

                def is_ready() -> bool:
                    try:
                        return client.get("/v2/health/ready").is_success
                    except httpx.TransportError:
                        return False

                wait_until(is_ready, timeout_s=60)
                example = json.loads((context / "model" / "input_example.json").read_text())
                rows = [dict(zip(example["columns"], row, strict=True)) for row in example["data"]]
                answer = client.post("/endpoints/penguins/score", json={"rows": rows})
                assert answer.json()["model"] == "models:/penguins/1", answer.text
                assert client.get("/v2/models/penguins").json()["versions"] == ["1"]
                stranger = httpx.get(f"http://127.0.0.1:{port}/v2/models/penguins")
                assert stranger.status_code == 401
        finally:
            server.terminate()


class Cli:
    """`mlq` against the API of a stack."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._folder = folder
        assert stack.api is not None
        env = {key: value for key, value in os.environ.items() if not key.startswith("MLQ_")}
        self._environment = {
            **env,
            "MLQ_API_URL": str(stack.api.base_url),
            "MLQ_TOKEN": stack.api.headers["authorization"].removeprefix("Bearer "),
        }

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        if "delete" in words:
            words = (*words, "--yes")
        return subprocess.run(
            [sys.executable, "-m", "mlq.cli", *words],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def run(self, *words: str) -> str:
        done = self._call(*words)
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}"
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "-o", "json"))

    def refused(self, *words: str) -> str:
        done = self._call(*words)
        assert done.returncode == 1, done.stderr
        return done.stderr
