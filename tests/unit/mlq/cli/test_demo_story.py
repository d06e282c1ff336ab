"""The demo's own pieces; the story as a whole is an acceptance test."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mlq.cli.demo_story import _OBSERVED, _PIPELINE, _ROLLOUT, _ROWS, say_how_to_find_mlq
from mlq.data import demo_file
from mlq.spec import compile_job, find_local_paths, read_document
from mlq.spec.rollout import read_policy


def test_the_shipped_pipeline_compiles() -> None:
    document = read_document(_PIPELINE.read_text(), file=_PIPELINE.name)
    plan = compile_job(document, computes=frozenset({"cpu"}))
    names = [job.name for job in plan.jobs[1:]]
    assert names == ["preprocess", "train", "evaluate", "register", "deploy", "test"]
    assert find_local_paths(document) == []


def test_the_shipped_rollout_reads() -> None:
    policy = read_policy(read_document(_ROLLOUT.read_text(), file=_ROLLOUT.name).data)
    assert [(stage.kind, stage.percent) for stage in policy.stages] == [("canary", 30)]


def test_the_penguins_that_are_asked_about_are_in_the_data() -> None:
    with demo_file("penguins-2007-2008.csv").open(newline="") as lines:
        known = list(csv.DictReader(lines))
    for row, observed in zip(_ROWS, _OBSERVED, strict=True):
        whole = {name: str(value) for name, value in {**row, "sex": observed}.items()}
        assert whole in known


def test_where_the_shell_would_not_find_mlq_it_is_told_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert say_how_to_find_mlq() == ""  # no virtual environment
    (folder / "activate").touch()
    assert say_how_to_find_mlq() == "source .venv/bin/activate"
    (folder / "mlq").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert say_how_to_find_mlq() == ""
