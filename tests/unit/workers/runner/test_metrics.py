"""Reading what a command appends to its metrics file."""

from __future__ import annotations

from pathlib import Path

from mlq_workers.components.base import Metric
from mlq_workers.runner.metrics import MetricsFile


def test_each_line_is_read_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    assert list(file.read()) == []
    with file.path.open("w") as writer:
        writer.write('{"key": "loss", "value": 1.5, "step": 1}\n{"key": "lo')
        writer.flush()
        assert list(file.read()) == [Metric("loss", 1.5, 1)]
        assert list(file.read()) == []
        writer.write('ss", "value": 0.5}\n')
        writer.flush()
        assert list(file.read()) == [Metric("loss", 0.5, 0)]


def test_lines_that_are_no_metric_are_left_out(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.path.write_bytes(b'[1]\nnot json\n{"key": "a"}\n{"key": "a", "value": 2}\n\xff\xfe\n')
    assert list(file.read()) == [Metric("a", 2.0, 0)]
