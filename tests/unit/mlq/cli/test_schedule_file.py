"""What is sent for a schedule file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlq.cli.schedule import say_trigger
from mlq.cli.schedule_file import prepare_schedule
from mlq.errors import SpecError
from mlq.spec import find_builtin, find_no_environment

JOB = """\
type: command
command: cat ${{inputs.data}} ${{inputs.when}}
inputs:
  data: {type: uri_file, path: ./rows.csv}
  when: never
"""


@pytest.fixture
def client() -> Any:
    sent: list[Path] = []
    blobs = SimpleNamespace(upload=lambda path, progress: sent.append(path))
    return SimpleNamespace(
        blobs=blobs,
        components=SimpleNamespace(find=find_builtin),
        environments=SimpleNamespace(find=find_no_environment),
        sent=sent,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "job.yml").write_text(JOB)
    (tmp_path / "jobs" / "rows.csv").write_text("a,b\n")
    return tmp_path


def schedule(folder: Path, create_job: str) -> Path:
    file = folder / "schedule.yml"
    file.write_text(
        "name: nightly\ntrigger: {type: cron, expression: '0 2 * * *'}\n"
        f"create_job: {create_job}\n"
    )
    return file


@pytest.mark.parametrize(
    "create_job",
    [
        "./jobs/job.yml",
        "{job: ./jobs/job.yml, inputs: {when: '${{creation_context.trigger_time}}'}}",
    ],
)
def test_the_job_is_written_out_and_its_data_uploaded(
    folder: Path, client: Any, create_job: str
) -> None:
    sent = prepare_schedule(schedule(folder, create_job), client=client).document.data
    job = sent["create_job"]
    assert job["inputs"]["data"]["path"].startswith("artifact:sha256:")
    assert client.sent == [folder / "jobs" / "rows.csv"]
    changed = "creation_context" in create_job
    assert job["inputs"]["when"] == ("${{creation_context.trigger_time}}" if changed else "never")


def test_overrides_reach_the_trigger(folder: Path, client: Any) -> None:
    file = schedule(folder, "./jobs/job.yml")
    overrides = ["trigger.expression=0 3 * * *"]
    sent = prepare_schedule(file, client=client, overrides=overrides).document.data
    assert say_trigger(sent["trigger"]) == "0 3 * * * (UTC)"


@pytest.mark.parametrize(
    ("create_job", "message"),
    [
        ("./gone.yml", "There is no file ./gone.yml"),
        ("azureml:registered", "Jobs are not registered here"),
        ("[1]", "A schedule needs a job"),
        ("{type: command}", "'command' is required"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    folder: Path, client: Any, create_job: str, message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        prepare_schedule(schedule(folder, create_job), client=client)
    assert client.sent == []
