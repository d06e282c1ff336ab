"""The command line against a whole `mlq up`, as somebody would type it."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlq.data import demo_file
from mlq.onemachine.home import find_holder
from mlq.onemachine.ports import find_free_port, is_free
from tests.acceptance.shell import Shell

JOBS = Path(__file__).parent / "jobs"
PIPELINE = Path(sys.modules["mlq"].__path__[0]) / "data" / "penguins.yml"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def mlq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell beside a running `mlq up`."""
    shell = Shell(tmp_path_factory.mktemp("up") / "home")
    with shell.up("--workers", "2"):
        yield shell


def write(folder: Path, *lines: str) -> str:
    """A job file of these lines."""
    file = folder / "job.yml"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


@pytest.fixture(scope="module")
def told(mlq: Shell) -> Any:
    """What the demo says that has run there: two versions of the model penguins, an endpoint."""
    return mlq.json("demo")


def test_the_demo_uses_what_runs(mlq: Shell, told: Any) -> None:
    assert told["ok"]
    assert told["server"]["started_for_the_demo"] is False
    assert told["versions"] == [1, 2]
    assert told["live_version"] == 1
    assert find_holder(mlq.home) is not None


def test_from_a_file_to_a_prediction_and_back(mlq: Shell) -> None:
    """Data, pipeline, promotion, deployment, question, second version, rollback."""
    file = str(demo_file("penguins.csv"))
    created = mlq.run("data", "create", "birds", "-p", file, "-o", "name")
    assert created.stdout == "mlq:birds:1\n"
    assert mlq.json("data", "create", "-n", "birds", "-p", file)["version"] == 1
    assert "birds" in [item["name"] for item in mlq.json("data", "list")]

    create = ["job", "create", "-f", str(PIPELINE), "-n", "birds", "--stream"]
    for override in (
        "inputs.data=mlq:birds:1",
        "jobs.evaluate.inputs.champion=models:/birds@production",
        "jobs.register.inputs.name=birds",
        "jobs.deploy.inputs.endpoint=birds",
    ):
        create += ["--set", override]
    streamed = mlq.run(*create).stdout.splitlines()
    job = mlq.json("job", "show", "@last")
    assert streamed[0].endswith(f"/jobs/{job['id']}")
    steps = ["preprocess", "train", "evaluate", "register", "deploy", "test"]
    for step in steps:
        assert any(f"✓ {step}" in line and "succeeded" in line for line in streamed)
    assert "accuracy" in next(line for line in streamed if "✓ evaluate" in line)
    assert [child["name"] for child in job["children"]] == steps
    shown = mlq.run("job", "show", job["id"][:16]).stdout
    assert all(step in shown for step in steps)
    listed = mlq.run("job", "list").stdout.splitlines()
    assert listed[1].split()[:3] == [job["id"][:16], "birds", "succeeded"]

    assert mlq.json("model", "promote", "birds", "-v", "staging")["version"] == 1
    mlq.run(
        *("online-deployment", "create", "production", "-e", "birds"),
        *("--model", "models:/birds@production", "--all-traffic"),
    )
    row = {
        "species": "Gentoo",
        "island": "Biscoe",
        "bill_length_mm": 46.1,
        "bill_depth_mm": 13.2,
        "flipper_length_mm": 211,
        "body_mass_g": 4500,
        "year": 2007,
    }
    ask = ["online-endpoint", "invoke", "birds", "--row", json.dumps(row)]
    answer = mlq.json(*ask, "--probabilities")
    assert answer["predictions"] == ["female"]
    assert answer["model"] == "models:/birds/1"
    assert answer["probabilities"][0]["female"] > 0.5
    assert mlq.run(*ask).stdout == "female\n"

    mlq.run(*create, "--set", "inputs.min_improvement=-1", "--set", "inputs.seed=1")
    assert mlq.json("model", "promote", "birds:2")["previous"] == 1
    assert "birds@production is now v1" in mlq.run("model", "rollback", "birds").stdout
    history = mlq.json("model", "history", "birds", "-a", "production")
    assert [move["version"] for move in history] == [1, 2, 1]
    assert "v2" in mlq.run("model", "show", "birds").stdout
    mlq.run("online-deployment", "delete", "staging", "-e", "birds")
    names = mlq.run("online-deployment", "list", "-e", "birds", "-o", "name").stdout.split()
    assert names == ["production"]


@pytest.mark.usefixtures("told")
def test_a_package_can_be_downloaded(mlq: Shell, tmp_path: Path) -> None:
    saved = mlq.json("model", "download", "penguins:2", "-p", str(tmp_path))
    assert (Path(saved["path"]) / "MLmodel").is_file()
    assert Path(saved["path"]) == tmp_path / "penguins-2"


def test_local_data_is_uploaded_and_outputs_come_back(mlq: Shell, tmp_path: Path) -> None:
    (tmp_path / "birds.csv").write_bytes(demo_file("penguins.csv").read_bytes())
    file = write(
        tmp_path,
        "type: pipeline",
        "display_name: local",
        "jobs:",
        "  prep:",
        "    component: mlq:preprocess",
        "    inputs: {data: {type: uri_file, path: ./birds.csv}, target: species}",
    )
    created = mlq.run("job", "create", "-f", file, "-o", "name")
    assert f"/jobs/{created.stdout.strip()}\n" in created.stderr
    mlq.run("job", "stream", "local")
    to = tmp_path / "out"
    saved = mlq.json("job", "download", "local", "--step", "prep", "-p", str(to))
    assert {item["output"] for item in saved} == {"train", "test", "recipe", "profile"}
    assert all(Path(item["path"]).is_file() for item in saved)
    wrong = mlq.run("job", "download", "local", "--step", "prepp", code=5)
    assert "Did you mean 'prep'?" in wrong.stderr


def test_a_command_shows_what_it_prints(mlq: Shell, tmp_path: Path) -> None:
    done = mlq.run("job", "create", "-f", str(JOBS / "command.yml"), "--stream")
    assert "hello world" in done.stdout
    mlq.run("job", "download", "command", "--output-name", "answer", "-p", str(tmp_path))
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [file.read_text() for file in files] == ["hello world\n"]


def test_a_failure_says_why_and_exits_1(mlq: Shell, tmp_path: Path) -> None:
    file = write(tmp_path, "type: command", "command: 'echo about to fail; exit 3'")
    done = mlq.run("job", "create", "-f", file, "--stream", "-n", "sad", code=1)
    assert "failed" in done.stdout
    assert "about to fail" in done.stdout
    ended = mlq.json("job", "show", "sad")
    assert (ended["state"], ended["reason"]) == ("failed", "error")
    assert mlq.run("job", "resume", "sad", "--stream", code=1).stdout
    assert mlq.json("job", "show", "sad")["generation"] == ended["generation"] + 1
    mlq.run("job", "archive", "sad")
    assert "sad" not in mlq.run("job", "list").stdout
    assert "sad" in mlq.run("job", "list", "--archived").stdout


def test_looking_ends_and_the_job_goes_on(mlq: Shell, tmp_path: Path) -> None:
    loop = "for i in $(seq 300); do echo up; sleep 0.3; done"
    file = write(tmp_path, "type: command", "display_name: long", f"command: '{loop}'")
    late = mlq.run("job", "create", "-f", file, "--stream", "--timeout", "1", code=124)
    assert "mlq job stream" in late.stderr
    watcher = mlq.start("job", "stream", "long")
    assert watcher.stdout is not None
    for line in watcher.stdout:
        if "up" in line:
            break
    watcher.send_signal(signal.SIGINT)
    out, _ = watcher.communicate(timeout=150)
    assert watcher.returncode == 130
    assert "The job goes on." in out
    assert mlq.json("job", "show", "long")["state"] == "running"
    mlq.run("job", "cancel", "long")
    mlq.run("job", "stream", "long", code=1)
    assert mlq.json("job", "show", "long")["state"] == "canceled"


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["job", "show", "nothing-like-it"], 5, "nothing-like-it"),
        (["job", "show", "ffffffff"], 5, "ffffffff"),
        (["model", "show", "pengins"], 5, "penguins"),
        (["component", "show", "mlq:trian"], 5, "mlq:train"),
        (["online-endpoint", "show", "penguin"], 5, "penguins"),
        (["online-endpoint", "invoke", "penguins", "--row", '{"species": 1}'], 2, "bill"),
    ],
)
def test_what_is_not_there_is_named(
    mlq: Shell, arguments: Sequence[str], code: int, words: str
) -> None:
    assert words in mlq.run(*arguments, code=code).stderr


@pytest.mark.usefixtures("told")
def test_roles(mlq: Shell) -> None:
    made = mlq.json("token", "create", "reader", "--role", "viewer", "--expires-in-days", "1")
    reader = Shell(mlq.home, token=made["token"])
    reader.run("job", "list")
    refused = reader.run("model", "promote", "penguins", "-v", "1", code=4)
    assert "viewer" in refused.stderr
    assert "reader" in mlq.run("token", "list").stdout
    mlq.run("token", "revoke", "reader")
    reader.run("job", "list", code=4)


def test_the_rest_can_be_listed(mlq: Shell) -> None:
    assert "mlq:train" in mlq.run("component", "list").stdout
    assert "estimator" in mlq.run("component", "show", "mlq:train").stdout
    assert mlq.json("worker", "list")[0]["computes"] == ["cpu"]
    assert "cpu" in mlq.run("worker", "list").stdout
    assert mlq.json("queue", "list")[0]["slots"] == 2
    mlq.run("online-endpoint", "create", "spare", "-d", "for a while")
    assert mlq.json("online-endpoint", "show", "spare")["description"] == "for a while"
    mlq.run("online-endpoint", "delete", "spare", "--yes")
    assert "spare" not in mlq.run("online-endpoint", "list").stdout


def test_doctor_finds_all_well(mlq: Shell) -> None:
    told = mlq.run("doctor").stdout
    assert "FAIL" not in told
    found = mlq.json("doctor")
    assert found["ok"]
    assert {"server", "token", "database", "broker", "artifacts"} <= {
        check["name"] for check in found["checks"]
    }


def test_the_demo_alone_from_nothing(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        refused = shell.run("demo", "--port", str(port), code=1)
    assert f"Port {port} is taken" in refused.stderr
    assert f"pid {os.getpid()}" in refused.stderr
    port = find_free_port()
    told = shell.run("demo", "--port", str(port))
    assert "Everything held" in told.stdout
    assert "CC0" in told.stdout
    assert max(len(line) for line in told.stdout.splitlines() if "/" not in line) <= 100
    assert is_free("127.0.0.1", port)
    assert find_holder(shell.home) is None
