"""`mlq job` on sweeps, against a running API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlq.cli import main
from tests.integration.api.conftest import Api
from tests.integration.api.test_sweeps import SWEEP, Runner


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What a database answers is tested elsewhere: one kind will do."""
    return sqlite_url


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(SWEEP))
    return file


class Shell:
    """Runs commands in this process; keeps what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said = ""

    def run(self, *arguments: str, code: int = 0) -> str:
        """Stdout of one command, which must end with `code`; stderr is in `said`."""
        assert main(arguments) == code
        out, self.said = self._capsys.readouterr()
        return out

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "-o", "json"))


@pytest.fixture
def shell(api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A shell that knows the server, as a submitter."""
    token = api.as_role("submitter").headers["authorization"].removeprefix("Bearer ")
    monkeypatch.setenv("MLQ_API_URL", api.url)
    monkeypatch.setenv("MLQ_TOKEN", token)
    return Shell(capsys)


def test_trials_are_listed_saved_and_added(
    api: Api, shell: Shell, job_file: Path, tmp_path: Path
) -> None:
    sweep = shell.run("job", "create", "-f", str(job_file), "-o", "name").strip()
    Runner(api, sweep, count=4).finish(0.5, "failed", 0.75)

    table = shell.run("job", "trials", "@last", "--sort", "best").splitlines()
    assert [line.split()[:3] for line in table] == [
        ["TRIAL", "STATE", "R2"],
        ["2", "succeeded", "0.75"],
        ["0", "succeeded", "0.5"],
    ]
    rows = shell.run("job", "trials", "@last", "--state", "failed", "-o", "csv").splitlines()
    assert rows[1].startswith("1,failed,error,,2,0.1,")

    assert rows[0].split(",")[-4:] == ["started_at", "finished_at", "duration_s", "error"]

    for name in ("trials.csv", "study.db"):
        shell.run("job", "trials", "@last", "--export", str(tmp_path / name))
        assert (tmp_path / name).stat().st_size
    listed = shell.run("job", "trials", "@last", "-o", "csv")
    assert (tmp_path / "trials.csv").read_text() == listed

    shell.run("job", "trials", "@last", "--add", "lr=3,depth=9", "--add", '{"lr": 4, "depth": 9}')
    assert shell.said == "Added: trial 4, trial 5.\n"
    assert [trial["params"] for trial in shell.json("job", "trials", "@last")][4:] == [
        {"lr": 3, "depth": 9},
        {"lr": 4, "depth": 9},
    ]
    shell.run("job", "trials", "@last", "--add", "lr=3,dept=9", code=2)
    assert "no parameter 'dept'" in shell.said
    assert "Did you mean 'depth'?" in shell.said


def test_show_has_the_best_trials(api: Api, shell: Shell, job_file: Path) -> None:
    sweep = shell.run("job", "create", "-f", str(job_file), "-o", "name").strip()
    Runner(api, sweep, count=13).finish(*(number / 10 for number in range(12)))
    shown = shell.run("job", "show", "@last").splitlines()
    assert "  trials      13 of 40: 1 queued, 12 succeeded" in shown
    assert [line.split()[0] for line in shown[-10:]] == [str(n) for n in range(11, 1, -1)]


def test_a_sweep_is_paused_limited_and_goes_on(shell: Shell, job_file: Path) -> None:
    # without a target, which would end it as well
    shell.run("job", "create", "-f", str(job_file), "--set", "objective.target=null")
    assert shell.run("job", "pause", "@last").splitlines()[1] == "  0/40 trials  paused"
    changed = shell.json(
        "job", "limits", "@last", "--max-total-trials", "none", "--timeout", "60",
        "--max-concurrent-trials", "5",
    )  # fmt: skip
    assert changed["sweep"]["limits"] == {
        "max_total_trials": None,
        "max_concurrent_trials": 5,
        "timeout": 60,
        "trial_timeout": 60,
    }
    assert shell.json("job", "resume", "@last")["sweep"]["paused_at"] is None
    shell.run("job", "limits", "@last", "--timeout", "none", code=2)
    assert "Nothing would end this sweep" in shell.said


def test_a_pipeline_stands_for_its_only_sweep(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.json"
    file.write_text(json.dumps({"type": "pipeline", "jobs": {"tune": SWEEP}}))
    shell.run("job", "create", "-f", str(file))
    assert shell.json("job", "pause", "@last")["path"] == "tune"

    file.write_text(json.dumps({"type": "pipeline", "jobs": {"a": SWEEP, "b": SWEEP}}))
    shell.run("job", "create", "-f", str(file))
    shell.run("job", "trials", "@last", code=1)
    assert "The job has 2 sweeps" in shell.said

    file.write_text(json.dumps({"type": "command", "command": "true"}))
    shell.run("job", "create", "-f", str(file))
    shell.run("job", "trials", "@last", code=1)
    assert "The job is a command without a sweep" in shell.said


def test_streaming_ends_with_the_sweep(shell: Shell, job_file: Path) -> None:
    shell.run("job", "create", "-f", str(job_file))
    shell.run("job", "cancel", "@last")
    out = shell.run("job", "stream", "@last", code=1)
    assert out.startswith("■ tune  canceled")
    assert "0/40 trials" in out
