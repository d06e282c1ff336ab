"""Every way in which a job ends before it is done, and what resuming it runs again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlq.errors import ConflictError
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import Part, Stack, gone, wait_for

NOBODY = "nobody"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack(request.param) as stack:
        stack.worker()
        yield stack
        stack.assert_sound()


@pytest.fixture
def worker(stack: Stack) -> Part:
    return stack.parts[0]


def command(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "command", "display_name": "command", "command": text, **more}


def slow_training(stack: Stack, **more: Any) -> dict[str, Any]:
    """A built-in step that takes minutes."""
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(4000, 20))
    lines = [",".join([*(f"x{n}" for n in range(20)), "y"])]
    lines += [",".join([*(f"{x:.3f}" for x in row), "ab"[int(row[0] > 0)]]) for row in rows]
    data = stack.upload("slow", "\n".join(lines).encode())
    return {
        "type": "pipeline",
        "display_name": "slow",
        "jobs": {
            "train": {
                "component": "mlq:train",
                "inputs": {
                    "data": {"type": "uri_file", "path": data},
                    "target": "y",
                    "estimator": "sklearn.ensemble.GradientBoostingClassifier",
                    "n_estimators": 3000,
                },
                **more,
            },
            "after": {
                "component": "mlq:register",
                "inputs": {"model": "${{parent.jobs.train.outputs.model}}", "name": "slow"},
            },
        },
    }


def states(stack: Stack, root_id: str) -> dict[str, str]:
    return {path: row["state"] for path, row in stack.tree(root_id).items()}


def kinds(stack: Stack, job_id: str) -> list[str]:
    return [
        row["kind"] for row in stack.events(stack.job(job_id)["root_id"]) if row["job_id"] == job_id
    ]


def test_cancel_queued_and_pending(stack: Stack) -> None:
    job = stack.submit(
        {
            "type": "pipeline",
            "display_name": "waits",
            "settings": {"default_compute": NOBODY},
            "jobs": {
                "first": {"component": "mlq:pass", "inputs": {"value": 1}},
                "second": {
                    "component": "mlq:pass",
                    "inputs": {"value": "${{parent.jobs.first.outputs.value}}"},
                },
            },
        }
    )
    assert states(stack, job) == {"": "running", "first": "queued", "second": "pending"}
    stack.cancel(job)
    assert set(states(stack, job).values()) == {"canceled"}
    stack.cancel(job)
    assert kinds(stack, job).count("job.cancel") == 1


def test_cancel_running_command(stack: Stack, worker: Part, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    job = stack.submit(command(f"sleep 600 & setsid sh -c 'touch {ready}; sleep 600' & wait"))
    stack.wait_running(job)
    wait_for(ready.exists)
    running = worker.commands()
    assert len(running) >= 4, "guard, shell, its children and grandchildren"
    stack.cancel(job)
    stack.wait(job, "canceled")
    wait_for(lambda: gone(running), what="the command and all that it started is gone")
    assert kinds(stack, job).count("job.cancel") == 1
    assert stack.job(job)["attempt"] == 1


def test_cancel_running_builtin(stack: Stack, worker: Part) -> None:
    job = stack.submit(slow_training(stack))
    stack.wait_running(job, "train")
    stack.cancel(job)
    stack.wait(job, "canceled")
    assert set(states(stack, job).values()) == {"canceled"}
    wait_for(lambda: len(worker.pool()) == 2, what="the pool is whole again")
    stack.wait(stack.submit(command("true")))


def test_cancel_one_step(stack: Stack, tmp_path: Path) -> None:
    """What waits for it is skipped; its sibling goes on."""
    job = stack.submit(
        {
            "type": "pipeline",
            "display_name": "part",
            "jobs": {
                "stopped": command("sleep 600", outputs={"out": {"type": "uri_folder"}}),
                "sibling": command("true"),
                "after": {
                    "component": "mlq:pass",
                    "inputs": {"value": 1, "out": "${{parent.jobs.stopped.outputs.out}}"},
                },
            },
        }
    )
    stack.cancel(stack.wait_running(job, "stopped")["id"])
    stack.wait(job, "canceled")
    assert states(stack, job) == {
        "": "canceled",
        "stopped": "canceled",
        "sibling": "succeeded",
        "after": "skipped",
    }


def test_resume_keeps_what_succeeded(stack: Stack, tmp_path: Path) -> None:
    flag = tmp_path / "mended"
    job = stack.submit(
        {
            "type": "pipeline",
            "display_name": "resumed",
            "jobs": {
                "a": {"component": "mlq:pass", "inputs": {"value": 1}},
                "b": command(
                    f"test -e {flag}; echo ok > ${{{{outputs.out}}}}",
                    inputs={"value": "${{parent.jobs.a.outputs.value}}"},
                    outputs={"out": {"type": "uri_file"}},
                ),
                "c": {
                    "component": "mlq:pass",
                    "inputs": {"value": 1, "out": "${{parent.jobs.b.outputs.out}}"},
                },
            },
        }
    )
    failed = stack.wait(job, "failed")
    assert failed["reason"] == "error"
    assert failed["error"]["step"] == "b"
    assert states(stack, job) == {"": "failed", "a": "succeeded", "b": "failed", "c": "skipped"}
    flag.touch()
    stack.resume(job)
    stack.wait(job)
    tree = stack.tree(job)
    assert {path: (row["attempt"], row["generation"]) for path, row in tree.items()} == {
        "": (0, 2),
        "a": (1, 1),
        "b": (2, 2),
        "c": (1, 2),
    }
    with pytest.raises(ConflictError):
        stack.resume(job)


def test_resume_of_what_was_canceled(stack: Stack, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    job = stack.submit(command(f"if mkdir {flag}; then sleep 600; fi"))
    stack.wait_running(job)
    with pytest.raises(ConflictError):
        stack.resume(job)
    wait_for(flag.exists)
    stack.cancel(job)
    stack.wait(job, "canceled")
    stack.resume(job)
    row = stack.wait(job)
    assert (row["attempt"], row["generation"], row["cancel_requested_at"]) == (2, 2, None)


def test_retries_back_off(stack: Stack, tmp_path: Path) -> None:
    job = stack.submit(
        command(
            f"mkdir {tmp_path}/1 || mkdir {tmp_path}/2 || exit 0; exit 3",
            retries={"max_retries": 5, "delay": 0.3, "backoff": 3},
        )
    )
    row = stack.wait(job)
    assert (row["attempt"], row["failure_count"], row["lost_count"]) == (3, 2, 0)
    retried = [event["at"] for event in stack.events(job) if event["kind"] == "job.retry"]
    claimed = [event["at"] for event in stack.events(job) if event["kind"] == "job.claim"]
    pauses = [(after - at).total_seconds() for at, after in zip(retried, claimed[1:], strict=True)]
    assert pauses[0] >= 0.3
    assert pauses[1] >= 0.9


def test_retries_run_out(stack: Stack) -> None:
    job = stack.submit(command("echo no >&2; exit 3", retries={"max_retries": 1, "delay": 0}))
    row = stack.wait(job, "failed")
    assert (row["attempt"], row["failure_count"], row["reason"]) == (2, 2, "error")
    assert row["error"]["exit_code"] == 3
    assert row["error"]["last_lines"] == ["no"]


def test_timeout_of_a_command(stack: Stack, worker: Part) -> None:
    job = stack.submit(command("sleep 600 & sleep 600", timeout=1))
    stack.wait_running(job)
    row = stack.wait(job, "failed")
    assert (row["reason"], row["attempt"]) == ("timeout", 1)
    assert "1 s" in row["error"]["message"]
    assert worker.commands() == []


def test_timeout_of_a_builtin(stack: Stack) -> None:
    job = stack.submit(slow_training(stack, timeout=1))
    row = stack.wait(job, "failed")
    assert row["reason"] == "timeout"
    assert states(stack, job)["after"] == "skipped"


def test_command_that_crashes(stack: Stack) -> None:
    row = stack.wait(stack.submit(command("kill -SEGV $$")), "failed")
    assert row["reason"] == "error"
    assert "signal 11" in row["error"]["message"]


def test_step_that_kills_its_worker(stack: Stack, worker: Part) -> None:
    """Lost `max_lost` times, then it is given up; the worker serves on."""
    poison = {"component": "mlq:call", "inputs": {"function": "os:abort"}}
    job = stack.submit({"type": "pipeline", "display_name": "poison", "jobs": {"step": poison}})
    stack.wait(job, "failed")
    row = stack.tree(job)["step"]
    assert row["reason"] == "lost"
    assert (row["attempt"], row["lost_count"], row["failure_count"]) == (3, 3, 0)
    assert row["error"]["message"]
    wait_for(lambda: len(worker.pool()) == 2, what="the pool is whole again")
    stack.wait(stack.submit(command("true")))
