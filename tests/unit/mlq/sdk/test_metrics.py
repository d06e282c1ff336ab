"""`mlq.log_metric` in a job and outside of one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mlq
from mlq.errors import MlqError
from mlq.sdk.metrics import METRICS_VARIABLE


def test_values_go_to_the_file_of_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "metrics.jsonl"
    monkeypatch.setenv(METRICS_VARIABLE, str(file))
    mlq.log_metric("loss", 0.5, step=1)
    mlq.log_metric("loss", 0.25, step=2)
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"key": "loss", "value": 0.5, "step": 1},
        {"key": "loss", "value": 0.25, "step": 2},
    ]


def test_outside_a_job_they_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(METRICS_VARIABLE, raising=False)
    mlq.log_metric("loss", 0.5, step=3)
    assert "loss = 0.5 at step 3" in capsys.readouterr().err


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(MlqError, match="'loss' must be a number; got 'low'"):
        mlq.log_metric("loss", "low")  # type: ignore[arg-type]


def test_importing_mlq_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import mlq; print(set(sys.modules) - before)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "pydantic" not in loaded.stdout
    assert "json" not in loaded.stdout
