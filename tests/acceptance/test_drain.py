"""SIGTERM to a worker: what it runs is finished within the grace, or handed back unburned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import RowMapping

from mlq.db import workers
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import Stack, gone, wait_for
from tests.acceptance.test_endings import command, kinds, slow_training


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack(request.param) as stack:
        yield stack
        stack.assert_sound()


def test_what_does_not_end_is_handed_back(stack: Stack, tmp_path: Path) -> None:
    flag, done = tmp_path / "flag", tmp_path / "done"
    first = stack.worker(drain_grace_s=1)
    job = stack.submit(command(f"if mkdir {flag}; then sleep 30; fi; touch {done}"))
    training = stack.submit(slow_training(stack))
    stack.wait_running(job)
    built_in = stack.wait_running(training, "train")["id"]
    wait_for(flag.exists)
    family = first.family()
    assert first.stop() == 0
    assert gone(family)
    assert not done.exists()
    for leaf in (job, built_in):
        row = stack.job(leaf)
        assert (row["state"], row["attempt"]) == ("queued", 1)
        assert (row["failure_count"], row["lost_count"]) == (0, 0)
        assert kinds(stack, leaf)[-1] == "job.release"
    stack.cancel(training)
    second = stack.worker()
    row = stack.wait(job)
    assert (row["attempt"], row["failure_count"], row["lost_count"]) == (2, 0, 0)
    assert str(second.pid) in row["worker"]


def test_what_ends_within_the_grace_is_finished(stack: Stack) -> None:
    """What the worker had not begun waits for the next one."""
    worker = next(part for part in stack.parts if part.is_running)
    running = [stack.submit(command("sleep 1.5")) for _ in range(2)]
    for job in running:
        stack.wait_running(job)
    waiting = [stack.submit(command("true")) for _ in range(3)]
    assert worker.stop() == 0
    for job in running:
        row = stack.job(job)
        assert (row["state"], row["attempt"]) == ("succeeded", 1)
    for job in waiting:
        row = stack.job(job)
        assert (row["state"], row["attempt"]) == ("queued", 0)


def test_a_drained_worker_ends_what_it_runs_and_takes_nothing_until_it_is_resumed(
    stack: Stack, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    stack.worker(heartbeat_s=0.5)
    running = stack.submit(command(f"until [ -e {gate} ]; do sleep 0.1; done"))
    name = stack.wait_running(running)["worker"]

    def reported() -> RowMapping:
        return stack.read(workers.find, name)

    stack.write(workers.request_drain, reported()["id"], actor="ann")
    assert reported()["state"] == "draining"
    for _ in range(2):  # the worker is told with a beat, and knows by the next one
        seen = reported()["seen_at"]
        wait_for(lambda seen=seen: reported()["seen_at"] > seen)
    waiting = [stack.submit(command("true")) for _ in range(4)]
    gate.touch()
    row = stack.wait(running)
    assert (row["state"], row["attempt"]) == ("succeeded", 1)
    wait_for(lambda: reported()["busy"] == 0)
    assert {stack.job(job)["attempt"] for job in waiting} == {0}
    stack.write(workers.resume, reported()["id"], actor="ann")
    for job in waiting:
        row = stack.wait(job)
        assert (row["state"], row["attempt"], row["worker"]) == ("succeeded", 1, name)
