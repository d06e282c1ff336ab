"""The tree of a job as text."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any, cast

from rich.console import Console, RenderableType

from mlq.cli.job_stream import Lines
from mlq.cli.job_view import find_failed, render_canceled, render_job, render_steps
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


def test_what_to_try_next_is_said() -> None:
    error = {"code": "unknown_metric", "message": "No.", "hint": "Did you mean 'f1'?"}
    lines = draw(render_job(make("alone", "failed", error=error), url="http://h/j", now=NOW))
    assert any(line.split()[:1] == ["hint"] and "Did you mean 'f1'?" in line for line in lines)


def test_a_cancel_says_what_is_still_to_come() -> None:
    _, words, look = draw(render_canceled(PIPELINE))
    assert "Cancel was requested" in words
    assert look == f"Follow it: mlq job stream {PIPELINE['id'][:16]}"
    assert len(draw(render_canceled(make("a", "canceled")))) == 1


def test_of_a_failed_job_the_last_lines_and_where_the_others_are() -> None:
    bad = make("train", "failed")
    job = make("churn", "failed", type="pipeline", children=[make("prep"), bad])
    lines = draw(render_job(job, url="http://h/j", now=NOW, last_lines=["epoch 1", "[boom]"]))
    assert lines[-5:] == [
        "train printed last:",
        "  epoch 1",
        "  [boom]",
        "",
        f"The whole log: mlq job stream {bad['id'][:16]} --logs",
    ]
    lines = draw(render_job(job, url="http://h/j", now=NOW))
    assert "train printed last:" not in lines
    assert lines[-1].startswith("The whole log")


def test_why_a_step_was_skipped() -> None:
    bad = make("bad", "failed", error={"code": "x", "message": "No."})
    told = {"started_at": None, "reason": "upstream"}
    after = make("after", "skipped", upstreams=[bad["id"]], **told)
    later = make("later", "skipped", upstreams=[after["id"]], **told)
    apart = make("apart", "skipped", upstreams=[], **told)
    job = make("p", "failed", type="pipeline", children=[bad, after, later, apart])
    ends = [" ".join(line.split()) for line in draw(render_steps(job, now=NOW), width=160)]
    assert ends[1:] == [
        "– after skipped needs bad, which failed",
        "– later skipped needs after, which was skipped",
        "– apart skipped stopped: step bad failed; set continue_on_step_failure to let "
        "independent steps go on",
    ]
    lines = list(Lines().of(job))
    assert "stopped: step bad failed" in lines[-1]
