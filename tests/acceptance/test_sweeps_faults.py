"""Sweeps whose workers are killed, silent or cut off: each trial has one outcome."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from tests.acceptance.conftest import PAIRS, OpenStack, usually
from tests.acceptance.stack import Part, Stack, gone, wait_for
from tests.acceptance.sweeps import (
    BOWL,
    assert_undisturbed,
    assert_whole,
    bowl,
    done,
    importable,
    runners,
    summary,
    sweep,
    trials,
    up_to,
)


@pytest.fixture(scope="module", params=usually(PAIRS[1:]), ids="-".join)
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with importable(), open_stack(*request.param, sweep_slice_s=0.5) as stack:
        yield stack


def test_pool_children_are_killed_again_and_again(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    for threshold in range(15, BOWL, 60):
        wait_for(lambda at=threshold: done(stack, job) >= at)  # type: ignore[misc]
        with suppress(psutil.NoSuchProcess, IndexError):
            worker.pool()[threshold % 2].kill()
    assert_undisturbed(stack, job)
    rows = trials(stack, job)
    assert 0 < sum(row["lost_count"] for row in rows) <= 9, "only what was in progress is charged"
    # a kill between two trials is the runner's, until it gets on: the last one's may remain
    assert max(row["lost_count"] for row in runners(stack, job)) <= 1
    wait_for(lambda: len(worker.pool()) == 2, what="the pool is whole again")


def test_worker_parent_is_killed(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    wait_for(lambda: done(stack, job) >= 20)
    family = worker.family()
    worker.kill()
    wait_for(lambda: gone(family), what="all of the worker is gone")
    assert done(stack, job) < BOWL
    stack.worker()
    assert_undisturbed(stack, job)


def test_broker_loses_every_message(stack: Stack, worker: Part) -> None:
    job = stack.submit(bowl())
    for threshold in (0, 40, 80, 120):
        wait_for(lambda at=threshold: done(stack, job) >= at)  # type: ignore[misc]
        stack.broker_server.flush()
    assert_undisturbed(stack, job)


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
