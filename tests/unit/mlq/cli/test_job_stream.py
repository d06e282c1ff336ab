"""Following a job in plain lines."""

from __future__ import annotations

from typing import cast

from mlq.cli.job_stream import Lines
from mlq.client.documents import Job
from tests.unit.mlq.cli.test_job_view import PIPELINE, make


def test_each_change_is_said_once() -> None:
    lines = Lines()
    first = list(lines.of(PIPELINE))
    assert [line.split()[1] for line in first] == ["prep", "train", "tune", "inner"]
    assert list(lines.of(PIPELINE)) == []
    done = make("last", duration_s=1, finished_at="2026-11-23T08:00:05Z")
    again = cast(Job, {**PIPELINE, "children": [done]})
    assert [" ".join(line.split()) for line in lines.of(again)] == ["✓ last succeeded 1.0 s"]


def test_log_chunks_become_whole_lines() -> None:
    lines = Lines()
    chunk = {"job_id": "1", "stream": "stdout", "path": "prep", "content": "one\ntw"}
    assert list(lines.of_log(chunk)) == ["prep | one"]
    assert list(lines.of_log({**chunk, "content": "o\n"})) == ["prep | two"]
