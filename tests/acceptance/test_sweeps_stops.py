"""Sweeps that are stopped: drained, canceled as a whole or trial by trial, and resumed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import PAIRS, OpenStack, usually
from tests.acceptance.stack import Part, Stack, gone, wait_for
from tests.acceptance.sweeps import (
    BOWL,
    assert_undisturbed,
    assert_whole,
    bowl,
    commands,
    done,
    importable,
    runners,
    summary,
    sweep,
    trials,
    up_to,
)


@pytest.fixture(scope="module", params=usually(PAIRS[:1]), ids="-".join)
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with importable(), open_stack(*request.param, sweep_slice_s=0.5) as stack:
        yield stack


def test_a_draining_worker_hands_its_trials_on(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    wait_for(lambda: done(stack, job) >= 20)
    assert worker.stop() == 0
    assert done(stack, job) < BOWL
    assert stack.job(job)["state"] == "running"
    stack.worker()
    assert_undisturbed(stack, job)
    for row in [*runners(stack, job), *trials(stack, job)]:
        assert (row["failure_count"], row["lost_count"]) == (0, 0)


def test_a_command_that_does_not_end_in_time_is_handed_on(
    open_stack: OpenStack, tmp_path: Path
) -> None:
    with open_stack() as stack:
        worker = stack.worker(drain_grace_s=0.5)
        hang = f"if mkdir {tmp_path}/${{{{inputs.x}}}}; then sleep 600; fi"
        job = stack.submit(commands(hang, 3))
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        family = worker.family()
        assert worker.stop() == 0
        assert gone(family)
        assert stack.job(job)["state"] == "running"
        (tmp_path / "2").mkdir()
        stack.worker()
        stack.wait(job)
        rows = assert_whole(stack, job, count=3)
        assert summary(rows) == {"succeeded": 3}
        assert [row["attempt"] for row in rows] == [2, 2, 1]
        assert {(row["failure_count"], row["lost_count"]) for row in rows} == {(0, 0)}


def test_cancel(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    wait_for(lambda: done(stack, job) >= 10)
    stack.cancel(job)
    stack.wait(job, "canceled")
    counts = summary(assert_whole(stack, job))
    assert counts["succeeded"] >= 10
    assert set(counts) == {"succeeded", "canceled"}
    wait_for(lambda: len(worker.pool()) == 2, what="the pool is whole again")


def test_cancel_of_commands(stack: Stack, worker: Part) -> None:
    document = {
        **sweep("line", {"x": up_to(50)}, limits={"max_concurrent_trials": 2}),
        "trial": {"command": "echo ${{inputs.x}}; sleep 600 & sleep 600"},
        "inputs": {},
    }
    job = stack.submit(document)
    wait_for(lambda: len(worker.commands()) >= 6)
    running = worker.commands()
    stack.cancel(job)
    stack.wait(job, "canceled")
    assert set(summary(assert_whole(stack, job))) == {"canceled"}
    wait_for(lambda: gone(running), what="the commands are gone")


def test_cancel_of_one_trial(stack: Stack, worker: Part) -> None:
    job = stack.submit(commands("if [ ${{inputs.x}} = 1 ]; then sleep 600; fi", 3))
    wait_for(lambda: done(stack, job) == 2)
    stack.cancel(trials(stack, job)[1]["id"])
    stack.wait(job)
    rows = assert_whole(stack, job, count=3)
    assert [row["state"] for row in rows] == ["succeeded", "canceled", "succeeded"]


def test_cancel_of_one_trial_in_process(stack: Stack, worker: Part) -> None:
    job = stack.submit(sweep("fussy", {"x": up_to(6)}, {"bad": "hang", "at": 4, "seconds": 0.4}))
    wait_for(lambda: [row["state"] for row in trials(stack, job)][4:5] == ["running"])
    wait_for(lambda: done(stack, job) >= 4)
    stack.cancel(trials(stack, job)[4]["id"])
    stack.wait(job)
    rows = assert_whole(stack, job, count=6)
    assert summary(rows) == {"succeeded": 5, "canceled": 1}


def test_resume_of_what_was_canceled(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    wait_for(lambda: done(stack, job) >= 30)
    stack.cancel(job)
    stack.wait(job, "canceled")
    kept = {row["id"] for row in trials(stack, job) if row["state"] == "succeeded"}
    stack.resume(job)
    row = stack.wait(job)
    rows = trials(stack, job)
    assert summary(rows) == {"succeeded": BOWL}
    assert row["outputs"]["best_params"]["value"] == {"x": 3, "y": 1}
    assert {one["generation"] for one in rows if one["id"] in kept} == {1}
    stack.assert_sound()


def test_resume_of_what_failed(stack: Stack, worker: Part, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    job = stack.submit(commands(f"test -e {mended} || exit 7", 3))
    failed = stack.wait(job, "failed")
    assert "None of the 3 trials succeeded; 3 failed alike" in failed["error"]["message"]
    assert "exit code 7" in failed["error"]["message"]
    mended.touch()
    stack.resume(job)
    row = stack.wait(job)
    rows = trials(stack, job)
    assert summary(rows) == {"succeeded": 3}
    assert [(one["attempt"], one["generation"]) for one in rows] == [(2, 2)] * 3
    assert row["outputs"]["best_params"]["value"] == {"x": 2}
    stack.assert_sound()
