"""`mlq run --local`: a file of Python functions, without any server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlq.cli.run import run
from mlq.errors import MlqError

PIPELINE = """
import mlq

@mlq.component
def double(x: int) -> int:
    mlq.log_metric("x", x, step=2)
    return 2 * x

@mlq.pipeline
def doubled(x: int = 4):
    return {"twice": double(double(x))}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    import sys

    path = tmp_path / f"flow_{tmp_path.name}.py"
    path.write_text(PIPELINE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return str(path)


def test_a_local_run_prints_its_outputs(file: str, tmp_path: Path) -> None:
    keep = tmp_path / "k"
    done = CliRunner().invoke(run, [file, "--local", "--set", "x=5", "--keep", str(keep), "-ojson"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "outputs": {"twice": 20},
        "metrics": {
            "double": [{"key": "x", "value": 5, "step": 2}],
            "double_2": [{"key": "x", "value": 10, "step": 2}],
        },
    }
    assert (keep / "double_2" / "output" / "value.json").read_text() == "20"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "y=1"], "no argument 'y'"),
        (["--set", "x"], "write NAME=VALUE"),
        (["--set", 'x="a"'], "takes integer"),
    ],
)
def test_bad_arguments_are_named(file: str, arguments: list[str], message: str) -> None:
    with pytest.raises(MlqError, match=message):
        run.main([file, "--local", *arguments], standalone_mode=False)


def test_files_and_pipelines_that_are_not_there(file: str, tmp_path: Path) -> None:
    with pytest.raises(MlqError, match="There is no file"):
        run.main([str(tmp_path / "none.py")], standalone_mode=False)
    with pytest.raises(MlqError, match="has no pipeline 'other'"):
        run.main([f"{file}:other"], standalone_mode=False)


def test_a_job_file_is_sent_to_the_command_that_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "job.yml"
    path.write_text("type: command\n")
    done = CliRunner().invoke(run, [str(path)])
    assert isinstance(done.exception, MlqError)
    assert f"mlq job create -f {path}" in done.exception.hint
