"""Sweeps whose workers are killed, stopped, drained or cut off: each trial has one outcome."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import Part, Stack, gone, wait_for
from tests.acceptance.sweeps import (
    assert_whole,
    choice,
    done,
    importable,
    summary,
    sweep,
    trials,
    up_to,
)
from tests.acceptance.test_faults import PAIRS


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with importable(), open_stack(*request.param, sweep_slice_s=0.5) as stack:
        yield stack


@pytest.fixture
def worker(stack: Stack) -> Part:
    """A worker, started if the test before ended it."""
    alive = [part for part in stack.parts if part.name.startswith("worker") and part.is_running]
    return alive[0] if alive else stack.worker()


def bowl(**more: Any) -> dict[str, Any]:
    """A grid of 200 trials of 20 ms; the best is number 31."""
    space = {"x": choice(*range(20)), "y": choice(*range(10))}
    return sweep("bowl", space, {"seconds": 0.02}, **more)


def assert_undisturbed(stack: Stack, sweep_id: str) -> None:
    """Assert that a `bowl` has come to what it comes to when nothing happens."""
    row = stack.wait(sweep_id)
    rows = assert_whole(stack, sweep_id, count=200)
    assert summary(rows) == {"succeeded": 200}
    assert len({(one["params"]["x"], one["params"]["y"]) for one in rows}) == 200
    assert row["outputs"]["best_params"]["value"] == {"x": 3, "y": 1}
    assert row["value"] == 0


def runners(stack: Stack, sweep_id: str) -> list[Any]:
    tree = stack.tree(stack.job(sweep_id)["root_id"])
    return [row for row in tree.values() if row["role"] == "runner"]


def test_pool_children_are_killed_again_and_again(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    for threshold in range(15, 200, 30):
        wait_for(lambda at=threshold: done(stack, job) >= at)  # type: ignore[misc]
        with suppress(psutil.NoSuchProcess, IndexError):
            worker.pool()[threshold % 2].kill()
    assert_undisturbed(stack, job)
    rows = trials(stack, job)
    assert 0 < sum(row["lost_count"] for row in rows) <= 7, "only what was in progress is charged"
    assert {row["lost_count"] for row in runners(stack, job)} == {0}
    wait_for(lambda: len(worker.pool()) == 2, 5, what="the pool is whole again")


def test_worker_parent_is_killed(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    wait_for(lambda: done(stack, job) >= 20)
    family = worker.family()
    worker.kill()
    wait_for(lambda: gone(family), 15, what="all of the worker is gone")
    assert done(stack, job) < 200
    stack.worker()
    assert_undisturbed(stack, job)


def test_a_draining_worker_hands_its_trials_on(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    wait_for(lambda: done(stack, job) >= 20)
    assert worker.stop() == 0
    assert done(stack, job) < 200
    assert stack.job(job)["state"] == "running"
    stack.worker()
    assert_undisturbed(stack, job)
    for row in [*runners(stack, job), *trials(stack, job)]:
        assert (row["failure_count"], row["lost_count"]) == (0, 0)


def test_broker_loses_every_message(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    for threshold in (0, 40, 80, 120):
        wait_for(lambda at=threshold: done(stack, job) >= at)  # type: ignore[misc]
        stack.broker_server.flush()
    assert_undisturbed(stack, job)


def test_cancel(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    wait_for(lambda: done(stack, job) >= 10)
    stack.cancel(job)
    stack.wait(job, "canceled", timeout_s=5)
    counts = summary(assert_whole(stack, job))
    assert counts["succeeded"] >= 10
    assert set(counts) == {"succeeded", "canceled"}
    wait_for(lambda: len(worker.pool()) == 2, 5, what="the pool is whole again")


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
    stack.wait(job, "canceled", timeout_s=5)
    assert set(summary(assert_whole(stack, job))) == {"canceled"}
    wait_for(lambda: gone(running), 5, what="the commands are gone")


def test_resume_of_what_was_canceled(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    wait_for(lambda: done(stack, job) >= 30)
    stack.cancel(job)
    stack.wait(job, "canceled", timeout_s=5)
    kept = {row["id"] for row in trials(stack, job) if row["state"] == "succeeded"}
    stack.resume(job)
    row = stack.wait(job)
    rows = trials(stack, job)
    assert summary(rows) == {"succeeded": 200}
    assert row["outputs"]["best_params"]["value"] == {"x": 3, "y": 1}
    assert {one["generation"] for one in rows if one["id"] in kept} == {1}
    stack.assert_sound()


def test_a_silent_host_loses_its_trials_to_another(open_stack: OpenStack) -> None:
    with importable(), open_stack("postgresql", sweep_slice_s=0.5) as stack:
        silent = stack.worker()
        job = stack.submit(bowl())
        wait_for(lambda: done(stack, job) >= 20)
        family = silent.family()
        for process in family:
            process.send_signal(signal.SIGSTOP)
        stack.worker()
        assert_undisturbed(stack, job)
        for process in family:
            process.send_signal(signal.SIGCONT)
        again = stack.submit(bowl())
        assert_undisturbed(stack, again)
        assert_undisturbed(stack, job)
        assert {row["lost_count"] for row in trials(stack, job)} == {0}, "nobody knows which it was"


def commands(script: str, count: int, **more: Any) -> dict[str, Any]:
    """A sweep of shell commands that say `score`."""
    say = "${{inputs.x}}"
    log = f"{sys.executable} -P -c 'import mlq; mlq.log_metric(\"score\", {say})'"
    return {
        **sweep("line", {"x": up_to(count)}, limits={"max_concurrent_trials": 2}),
        "trial": {"command": f"{script}; {log}"},
        "inputs": {},
        **more,
    }


def test_a_command_that_does_not_end_in_time_is_handed_on(stack: Stack, tmp_path: Path) -> None:
    for part in stack.parts:
        if part.is_running:
            part.stop()
    worker = stack.worker(drain_grace_s=1)
    flag = tmp_path / "flag"
    job = stack.submit(commands(f"if mkdir {flag}-${{{{inputs.x}}}}; then sleep 600; fi", 3))
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    family = worker.family()
    assert worker.stop() == 0
    assert gone(family)
    assert stack.job(job)["state"] == "running"
    (tmp_path / "flag-2").mkdir()
    stack.worker()
    stack.wait(job)
    rows = assert_whole(stack, job, count=3)
    assert summary(rows) == {"succeeded": 3}
    assert [row["attempt"] for row in rows] == [2, 2, 1]
    assert {(row["failure_count"], row["lost_count"]) for row in rows} == {(0, 0)}


def test_a_command_that_kills_its_worker(stack: Stack, worker: Part) -> None:
    pool = "$(awk '/^PPid/ {print $2}' /proc/$PPID/status)"
    script = f"if [ ${{{{inputs.x}}}} = 1 ]; then kill -9 {pool}; sleep 600; fi"
    job = stack.submit(commands(script, 3))
    stack.wait(job)
    rows = assert_whole(stack, job, count=3)
    assert summary(rows) == {"succeeded": 2, "failed/lost": 1}
    assert rows[1]["lost_count"] == 3
    assert rows[1]["params"] == {"x": 1}


def test_max_concurrent_trials_holds_across_workers(stack: Stack, worker: Part) -> None:
    second = stack.worker()
    job = stack.submit(commands("sleep 0.3", 8))
    most = 0

    def ended() -> bool:
        nonlocal most
        running = [row for row in trials(stack, job) if row["state"] == "running"]
        most = max(most, len(running))
        return stack.job(job)["finished_at"] is not None

    wait_for(ended)
    rows = assert_whole(stack, job, count=8)
    assert summary(rows) == {"succeeded": 8}
    assert most == 2
    assert second.stop() == 0


def test_cancel_of_one_trial(stack: Stack, worker: Part) -> None:
    job = stack.submit(commands("if [ ${{inputs.x}} = 1 ]; then sleep 600; fi", 3))
    wait_for(lambda: done(stack, job) == 2)
    stack.cancel(trials(stack, job)[1]["id"])
    stack.wait(job, timeout_s=10)
    rows = assert_whole(stack, job, count=3)
    assert [row["state"] for row in rows] == ["succeeded", "canceled", "succeeded"]


def test_cancel_of_one_trial_in_process(stack: Stack, worker: Part) -> None:
    job = stack.submit(sweep("fussy", {"x": up_to(6)}, {"bad": "hang", "at": 4, "seconds": 0.4}))
    wait_for(lambda: [row["state"] for row in trials(stack, job)][4:5] == ["running"])
    wait_for(lambda: done(stack, job) >= 4)
    stack.cancel(trials(stack, job)[4]["id"])
    stack.wait(job, timeout_s=10)
    rows = assert_whole(stack, job, count=6)
    assert summary(rows) == {"succeeded": 5, "canceled": 1}


def test_pool_children_are_killed_below_pipelines(stack: Stack, worker: Part) -> None:
    step = {"function": "objectives:line", "x": "${{parent.inputs.x}}", "seconds": 0.1}
    document = {
        **sweep("line", {"x": up_to(16)}, limits={"max_concurrent_trials": 3}),
        "inputs": {},
        "trial": {
            "type": "pipeline",
            "inputs": {"x": {"type": "integer"}},
            "jobs": {"only": {"component": "mlq:call", "inputs": {**step, "metric": "score"}}},
        },
    }
    job = stack.submit(document)
    for threshold in (2, 6, 10):
        wait_for(lambda at=threshold: done(stack, job) >= at)  # type: ignore[misc]
        with suppress(psutil.NoSuchProcess, IndexError):
            worker.pool()[threshold // 4 % 2].kill()
        if threshold == 6:
            stack.broker_server.flush()
    row = stack.wait(job)
    assert summary(assert_whole(stack, job, count=16)) == {"succeeded": 16}
    assert row["outputs"]["best_params"]["value"] == {"x": 15}
