"""Pipelines of Python functions, and scripts, on a real worker."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlq.cli.job_file import prepare
from mlq.client import Client
from mlq.db.copies import dump
from mlq.errors import MlqError
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import JOBS, WAIT_S, Stack
from tests.wheels import make_wheel


@pytest.fixture(scope="module")
def stack(open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack() as stack:
        stack.worker(slots=1)
        stack.start_api()
        yield stack
        stack.assert_sound()


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    assert stack.api is not None
    token = stack.api.headers["Authorization"].removeprefix("Bearer ")
    with Client(str(stack.api.base_url), token) as client:
        yield client


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    frame["y"] = (frame.a + frame.b > 0).astype(int)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


def test_a_server_does_what_a_local_run_does(
    client: Client, stack: Stack, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(JOBS))
    monkeypatch.chdir(rows.parent)  # where a component leaves its file
    import flowers

    job = flowers.flowers(rows, c=0.5)
    here = job.run_locally()
    there = job.submit(client).wait(timeout_s=90)
    report = there.result("report")
    assert report == here.outputs["report"]
    assert report["title"] == "it's $HOME"
    page = here.outputs["page"].read_text()
    assert page == "it's $HOME: True\n"
    tree = stack.tree(there.id)
    assert set(tree) == {"", "split", "train", "predict", "report", "page"}
    metrics = client.jobs.metrics(str(tree["report"]["id"]))
    assert [(one["key"], one["value"]) for one in metrics] == [("accuracy", report["accuracy"])]
    with pytest.raises(MlqError, match="no output 'none'"):
        there.result("none")
    sys.modules.pop("flowers")


def test_scripts_start_warm_and_say_the_same(stack: Stack, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys, time, pandas, sklearn.svm\n"
        "command = open('/proc/self/cmdline').read()\n"
        "print('prepared' in command, sys.argv[1:], __name__)\n"
    )
    job = {"type": "command", "command": f"python {script} --x 1", "display_name": "script"}
    seen = []
    for _ in range(30):  # the first of a slot is executed while the process is prepared
        job_id = stack.submit(job)
        stack.wait(job_id)
        seen.append(stack.log_of(job_id))
        if seen[-1].startswith("True"):
            break
    assert seen[0] == "False ['--x', '1'] __main__\n"
    assert seen[-1] == "True ['--x', '1'] __main__\n"
    off = stack.submit({**job, "warm_start": False})
    stack.wait(off)
    assert stack.log_of(off).startswith("False")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job file with its code: a module, a setting, a program, and data that stay here."""
    src = tmp_path / "src"
    (src / "lib").mkdir(parents=True)
    (src / "lib" / "__init__.py").write_text("def double(x): return 2 * x\n")
    (src / "factor.txt").write_text("21")
    (src / "tell.sh").write_text("#!/bin/sh\necho told\n")
    (src / "tell.sh").chmod(0o755)
    (src / "data.csv").write_text("1,2")
    (src / ".amlignore").write_text("*.csv\n")
    (src / "train.py").write_text(
        "import os, sys, pathlib\n"
        "from lib import double\n"
        "value = double(int(pathlib.Path('factor.txt').read_text()))\n"
        "print(value, sorted(os.listdir()))\n"
        "pathlib.Path('factor.txt').write_text('spoilt')\n"
        "pathlib.Path('new').mkdir()\n"
        "if len(sys.argv) > 1:\n"
        "    import mlq\n"
        "    mlq.log_metric('value', value + float(sys.argv[1]))\n"
    )
    (tmp_path / "job.yml").write_text(
        "type: pipeline\n"
        "jobs:\n"
        "  plain:\n"
        "    type: command\n"
        "    code: ./src\n"
        "    command: ./tell.sh && python train.py\n"
        "    is_deterministic: true\n"
        "  sweep:\n"
        "    type: sweep\n"
        "    trial: {code: src, command: 'python train.py ${{search_space.x}}'}\n"
        "    search_space: {x: {type: choice, values: [1, 2]}}\n"
        "    sampling_algorithm: grid\n"
        "    objective: {primary_metric: value, goal: maximize}\n"
        "  component:\n"
        "    component: ./parts/part.yml\n"
    )
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "part.yml").write_text(
        "command: python train.py\ncode: ../src\nis_deterministic: true\n"
    )
    return tmp_path


def test_commands_run_in_a_copy_of_their_code(client: Client, stack: Stack, folder: Path) -> None:
    def run() -> dict[str, Any]:
        text, media_type, *_ = prepare(folder / "job.yml", client=client)
        job_id = client.jobs.create(text, media_type=media_type)["id"]
        assert client.jobs.wait(job_id, timeout_s=WAIT_S)["state"] == "succeeded"
        return stack.tree(job_id)

    listed = "['.amlignore', 'factor.txt', 'lib', 'tell.sh', 'train.py']"
    tree = run()
    assert stack.log_of(tree["plain"]["id"]) == f"told\n42 {listed}\n"
    assert stack.log_of(tree["component"]["id"]) == f"42 {listed}\n"
    assert tree["sweep"]["value"] == 44.0
    again = run()
    assert {again[name]["reason"] for name in ("plain", "component")} == {"cached"}
    (folder / "src" / "factor.txt").write_text("10")
    changed = run()
    assert changed["plain"]["reason"] is None
    assert changed["sweep"]["value"] == 22.0


def test_a_secret_reaches_the_command_and_no_record(
    client: Client, stack: Stack, tmp_path: Path
) -> None:
    value = "hunter2-and-more"
    client.secrets.set("API_KEY", value)
    script = tmp_path / "use.py"
    script.write_text(
        "import os, sys, time, hashlib\n"
        "key = os.environ['API_KEY']\n"
        "print(hashlib.sha256(key.encode()).hexdigest())\n"
        "sys.stdout.write('key ' + key[:7]); sys.stdout.flush(); time.sleep(0.6)\n"
        "print(key[7:])\n"
        "sys.exit('refused: ' + key)\n"
    )
    job = client.jobs.create(
        {"type": "command", "command": f"python {script}", "secrets": ["API_KEY"]}
    )
    ended = client.jobs.wait(job["id"], timeout_s=WAIT_S)
    assert ended["state"] == "failed"
    seen = hashlib.sha256(value.encode()).hexdigest()
    assert stack.log_of(job["id"]) == f"{seen}\nkey ***\nrefused: ***\n"
    error: Any = ended["error"]
    assert error["last_lines"][-1] == "refused: ***"
    with stack.database.read() as conn:
        assert value not in "".join(dump(conn))
    assert (stack.settings.home / "secret.key").stat().st_mode & 0o777 == 0o600


def test_a_step_runs_in_the_environment_that_it_names(stack: Stack, tmp_path: Path) -> None:
    job = {
        "type": "command",
        "display_name": "environment",
        "command": "python -c 'import mlq_probe; print(mlq_probe.ANSWER)'",
        "environment": {"requirements": [make_wheel(tmp_path)]},
    }
    first, second = stack.submit(job), stack.submit(job)
    stack.wait(first, timeout_s=60)
    stack.wait(second, timeout_s=60)
    assert "building the environment" in stack.log_of(first)
    assert stack.log_of(first).endswith("42\n")
    assert stack.log_of(second) == "42\n"

    bad = stack.submit({**job, "environment": {"requirements": ["mlq-probe @ file:///none.whl"]}})
    stack.wait_until(bad, lambda row: row["state"] == "failed", timeout_s=60)
    error = stack.job(bad)["error"]
    assert error["code"] == "environment_failed"
    assert "'mlq-probe @ file:///none.whl'" in error["message"]
