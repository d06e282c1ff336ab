"""`mlq import mlflow`: from another mlq, which is an MLflow server too, read by MLflow's client.

The same against MLflow's own server: test_mlflow_compare.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlq.client import Client, UnreachableError
from mlq.client.mlflow_import import MlflowImport, Summary
from mlq.client.mlflow_source import MlflowSource
from mlq.db.engine import Database
from mlq.db.migrate import upgrade
from mlq.errors import MlqError, NotFoundError, UnauthorizedError
from mlq.settings import Settings
from tests.acceptance.mlflow_inventory import take
from tests.integration.api.conftest import Api, api, settings, shared_broker
from tests.servers import Valkey

__all__ = ["api", "settings", "shared_broker"]

BASE = "/mlflow/api/2.0"


def call(client: httpx.Client, method: str, path: str, **values: Any) -> dict[str, Any]:
    how: dict[str, Any] = {"params" if method == "GET" else "json": values}
    answer = client.request(method, f"{BASE}/mlflow/{path}", **how)
    assert answer.status_code == 200, (path, answer.text)
    return dict(answer.json())


def token_of(client: httpx.Client) -> str:
    return str(client.headers["authorization"]).removeprefix("Bearer ")


@pytest.fixture
def source(tmp_path: Path, shared_broker: Valkey) -> Iterator[Api]:
    """The server that is read."""
    home = tmp_path / "source"
    home.mkdir(mode=0o700)
    made = Settings(home=home, broker_url=shared_broker.url)
    upgrade(made.database)
    database = Database.open(made.database, pool_size=6)
    running = Api(made, database)
    yield running
    running.close()
    database.close()


class Filled:
    """What the source holds."""

    def __init__(self, api: Api) -> None:
        self.client = client = api.as_role("submitter")
        self.experiment = call(client, "POST", "experiments/create", name="trees")["experiment_id"]
        call(
            client,
            "POST",
            "experiments/set-experiment-tag",
            experiment_id=self.experiment,
            key="team",
            value="a",
        )
        self.parent = self.run("parent", steps=1500)
        self.child = self.run("child", steps=2, parent=self.parent)
        self.file(self.parent, "m/MLmodel", b"flavors: {}\n")
        self.file(self.parent, "m/deep/a b.bin", os.urandom(3 * 2**20))
        self.file(self.child, "note.txt", b"hello")
        call(client, "POST", "registered-models/create", name="pine", description="a tree")
        self.version("first")
        self.version("second")
        call(client, "POST", "registered-models/alias", name="pine", alias="champion", version="1")

    def run(self, name: str, *, steps: int, parent: str = "") -> str:
        tags = [{"key": "mlflow.parentRunId", "value": parent}] if parent else []
        made = call(
            self.client,
            "POST",
            "runs/create",
            experiment_id=self.experiment,
            run_name=name,
            start_time=1_700_000_000_123,
            user_id="ann",
            tags=[*tags, {"key": "kind", "value": name}],
        )
        run_id = str(made["run"]["info"]["run_id"])
        for start in range(0, steps, 1000):
            call(
                self.client,
                "POST",
                "runs/log-batch",
                run_id=run_id,
                metrics=[
                    {"key": "loss", "value": 1 / (1 + step), "step": step, "timestamp": 1 + step}
                    for step in range(start, min(start + 1000, steps))
                ],
            )
        call(
            self.client,
            "POST",
            "runs/log-batch",
            run_id=run_id,
            params=[{"key": "lr", "value": "0.1"}, {"key": "long", "value": "x" * 6000}],
        )
        self.end(run_id)
        return run_id

    def end(self, run_id: str) -> None:
        call(
            self.client,
            "POST",
            "runs/update",
            run_id=run_id,
            status="FINISHED",
            end_time=1_700_000_009_456,
        )

    def file(self, run_id: str, path: str, content: bytes) -> None:
        address = f"{self.experiment}/{run_id}/artifacts/{path}"
        answer = self.client.put(f"{BASE}/mlflow-artifacts/artifacts/{address}", content=content)
        assert answer.status_code == 200, answer.text

    def version(self, description: str) -> None:
        call(
            self.client,
            "POST",
            "model-versions/create",
            name="pine",
            source=f"runs:/{self.parent}/m",
            run_id=self.parent,
            description=description,
            tags=[{"key": "checked", "value": "yes"}],
        )


def bring(source: Api, target: Api, *, said: list[str] | None = None) -> Summary:
    reader = MlflowSource(source.url, token=token_of(source.as_role("viewer")))
    with Client(target.url, token_of(target.as_role("submitter"))) as client:
        say = [].append if said is None else said.append
        return MlflowImport(reader, client.tracking, say=say).run()


def inventory(api: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token_of(api.as_role("viewer")))
    return take(api.url)


def test_all_of_it_comes_and_only_once(
    api: Api, source: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled, said = Filled(source), []
    done = bring(source, api, said=said)
    assert done.problems == []
    assert (done.runs_new, done.models, done.versions, done.aliases) == (2, 1, 2, 1)
    assert (done.files, done.bytes > 3 * 2**20) == (3, True)
    assert "experiment trees: 2 runs, 2 to bring" in said
    assert inventory(api, monkeypatch) == inventory(source, monkeypatch)

    again = bring(source, api)
    assert again == Summary(experiments=2, runs_same=2)

    # What is new comes, what was changed follows, and what was decided here stays.
    target = api.as_role("submitter")
    call(target, "POST", "registered-models/alias", name="pine", alias="champion", version="2")
    later = filled.run("later", steps=1)
    call(
        filled.client, "POST", "runs/log-metric", run_id=filled.child, key="loss", value=9,
        step=2, timestamp=3,
    )  # fmt: skip
    filled.file(filled.child, "more.txt", b"more")
    filled.version("third")
    done = bring(source, api)
    assert (done.runs_new, done.runs_changed, done.runs_same) == (1, 1, 1)
    assert (done.versions, done.aliases, done.files, done.problems) == (1, 0, 1, [])
    here, there = inventory(api, monkeypatch), inventory(source, monkeypatch)
    assert here["trees"] == there["trees"]
    assert later in here["trees"]["runs"]
    assert here["models:/pine"]["aliases"] == {"champion": "2"}


def test_an_import_that_broke_off_is_taken_up(
    api: Api, source: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = Filled(source)
    reader = MlflowSource(source.url, token=token_of(source.as_role("viewer")))
    with Client(api.url, token_of(api.as_role("submitter"))) as client:

        class Breaking(MlflowImport):
            def _file(self, *given: Any, **named: Any) -> None:
                if self.summary.files == 1:
                    raise UnreachableError("cut")
                super()._file(*given, **named)

        with pytest.raises(UnreachableError):
            Breaking(reader, client.tracking, say=lambda text: None).run()
    done = bring(source, api)
    assert done.problems == []
    assert inventory(api, monkeypatch) == inventory(source, monkeypatch)
    assert filled.parent in inventory(api, monkeypatch)["trees"]["runs"]


def test_a_run_that_is_not_an_import_is_left_alone(api: Api, source: Api) -> None:
    filled = Filled(source)
    target = api.as_role("submitter")
    number = call(target, "POST", "experiments/create", name="trees")["experiment_id"]
    call(target, "POST", "runs/create", experiment_id=number, run_id=filled.parent)
    done = bring(source, api)
    assert f"run {filled.parent}: there is a run of this id that was not imported" in done.problems
    assert done.runs_new == 1


def test_ids_of_others_are_not_taken(api: Api) -> None:
    client = api.as_role("submitter")
    run = call(client, "POST", "runs/create", experiment_id="0")["run"]["info"]["run_id"]
    job = client.post("/v1/jobs", json={"type": "command", "command": "true"}).json()["id"]
    for taken in (run, job):
        for path, name in (("runs/create", "run_id"), ("logged-models", "model_id")):
            answer = client.post(f"{BASE}/mlflow/{path}", json={"experiment_id": "0", name: taken})
            assert answer.status_code == 400, answer.text
            assert answer.json()["error_code"] == "RESOURCE_ALREADY_EXISTS"
    answer = client.post(
        f"{BASE}/mlflow/runs/create", json={"experiment_id": "0", "run_id": "../../x"}
    )
    assert "is no id" in answer.json()["message"]


@pytest.mark.parametrize("uri", ["sqlite:///m.db", "./mlruns", "ftp://host", "http://u:p@host"])
def test_an_address_that_is_no_servers(uri: str) -> None:
    with pytest.raises(MlqError) as refused:
        MlflowSource(uri)
    assert refused.value.code == "invalid"
    assert refused.value.hint


def test_who_does_not_answer_is_named(source: Api) -> None:
    with pytest.raises(UnreachableError, match=r"No answer from http://127\.0\.0\.1:9"):
        MlflowSource("http://127.0.0.1:9").check()
    with pytest.raises(UnauthorizedError) as refused:
        MlflowSource(source.url, token="wrong").check()
    assert "MLFLOW_TRACKING_TOKEN" in refused.value.hint
    with pytest.raises(NotFoundError, match="does not answer as an MLflow server"):
        MlflowSource(f"{source.url}/nowhere", token=token_of(source.as_role("submitter"))).check()


def test_the_command_says_what_it_did(api: Api, source: Api, tmp_path: Path) -> None:
    Filled(source)
    environment = {
        "PATH": os.environ["PATH"],
        "MLQ_HOME": str(tmp_path),
        "MLQ_API_URL": api.url,
        "MLQ_TOKEN": token_of(api.as_role("submitter")),
        "MLFLOW_TRACKING_TOKEN": token_of(source.as_role("viewer")),
    }

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mlq.cli", "import", "mlflow", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = command(source.url, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs_new"] == 2
    assert "model pine: 2 versions, 2 to bring" in done.stderr
    assert "2 same" in command(source.url).stdout
    assert command(source.url, "-e", "bushes").returncode == 5
    assert command("sqlite:///m.db").returncode == 2
    itself = command(f"{api.url}/mlflow")
    assert "would be imported to" in itself.stderr
