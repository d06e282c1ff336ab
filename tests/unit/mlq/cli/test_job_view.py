"""The tree of a job as text."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any, cast

from rich.console import Console, RenderableType

from mlq.cli.job_view import find_failed, render_job, render_steps
from mlq.client.documents import Job

NOW = datetime(2026, 11, 23, 8, 0, 10, tzinfo=UTC)


def make(name: str, state: str = "succeeded", **more: Any) -> Job:
    job = {
        "id": f"0199f2c81a2b7c3d8e4f5a6b7c8d{abs(hash(name)) % 10000:04d}",
        "type": "command",
        "name": name,
        "state": state,
        "created_at": "2026-11-23T08:00:00Z",
        "started_at": "2026-11-23T08:00:02Z",
        "attempt": 1,
        **more,
    }
    return cast(Job, job)


def draw(renderable: RenderableType, *, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(renderable)
    return [line.rstrip() for line in out.getvalue().splitlines()]


PIPELINE = make(
    "churn",
    "running",
    type="pipeline",
    submitted_by="ann",
    children=[
        make("prep", duration_s=0.42, finished_at="2026-11-23T08:00:02Z", reason="cached"),
        make(
            "train",
            "failed",
            duration_s=3,
            finished_at="2026-11-23T08:00:05Z",
            error={"code": "fit_failed", "message": "Boom.\nline 2"},
            attempt=2,
        ),
        make("tune", "running", type="pipeline", children=[make("inner", metrics={"r2": 0.5})]),
        make("last", "pending", started_at=None, waiting_for="waiting for tune"),
    ],
)


def test_steps_say_state_duration_and_why() -> None:
    assert draw(render_steps(PIPELINE, now=NOW)) == [
        "✓ prep     succeeded (cached)  0.42 s",
        "✗ train    failed #2            3.0 s  Boom.",
        "● tune     running              8.0 s",
        "  ✓ inner  succeeded            8.0 s  r2 0.5",
        "○ last     pending                     waiting for tune",
    ]


def test_many_steps_are_counted_and_trouble_is_shown() -> None:
    children = [make(f"s{number}", duration_s=1, finished_at="x") for number in range(200)]
    children[150] = make("bad", "failed", error={"code": "x", "message": "No."})
    lines = draw(render_steps(make("wide", children=children), now=NOW, max_rows=6))
    assert len(lines) == 6
    assert any("bad" in line and "No." in line for line in lines)
    assert lines[-1].split() == ["…", "195", "more", "195", "succeeded"]


def test_a_long_end_is_cut_where_the_tree_is_redrawn() -> None:
    job = make("p", children=[make("a", "queued", started_at=None, waiting_for="word " * 40)])
    assert len(draw(render_steps(job, now=NOW, fold=False))) == 1
    assert len(draw(render_steps(job, now=NOW))) > 1


def test_show_fits_80_columns_and_ends_with_whole_errors() -> None:
    lines = draw(render_job(PIPELINE, url="http://h:8420/jobs/" + PIPELINE["id"], now=NOW))
    assert max(len(line) for line in lines) <= 80
    assert any(line.endswith("10 s ago by ann") for line in lines)
    assert [line.strip() for line in lines[-3:]] == ["train:", "Boom.", "line 2"]


def test_the_failure_to_look_at_is_the_leaf() -> None:
    assert find_failed(PIPELINE)["name"] == "train"
    assert find_failed(make("alone", "failed"))["name"] == "alone"
