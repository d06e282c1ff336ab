"""Whatever is killed, wiped or restarted, each accepted job ends with one outcome."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlq.errors import UnavailableError
from tests.acceptance.conftest import PAIRS, OpenStack
from tests.acceptance.stack import Part, Stack, gone, survivors, wait_for
from tests.servers import Valkey


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack(*request.param) as stack:
        yield stack


def once(flag: Path) -> str:
    """A command that hangs, with a child, the first time, and ends at once from then on."""
    return f"if mkdir {flag}; then sleep 600 & sleep 600; fi"


def pipeline(first: str) -> dict[str, Any]:
    """`first` as a command, then two steps."""
    return {
        "type": "pipeline",
        "display_name": "faulty",
        "jobs": {
            "before": {"component": "mlq:pass", "inputs": {"value": 1}},
            "hangs": {
                "type": "command",
                "command": first,
                "inputs": {"value": "${{parent.jobs.before.outputs.value}}"},
                "outputs": {"done": {"type": "uri_folder"}},
            },
            "after": {
                "component": "mlq:pass",
                "inputs": {"value": 2, "done": "${{parent.jobs.hangs.outputs.done}}"},
            },
        },
    }


def commands(count: int) -> list[dict[str, Any]]:
    """Short jobs that take a moment each."""
    one = {"type": "command", "display_name": "short", "command": "sleep 0.05"}
    return [one] * count


def outcomes(stack: Stack, root_id: str) -> dict[str, int]:
    """How often each job of a tree got an outcome."""
    ends = {"job.succeed", "job.fail", "job.cancel", "job.skip"}
    kinds = [(row["job_id"], row["kind"]) for row in stack.events(root_id)]
    return {
        path: sum(1 for job_id, kind in kinds if job_id == row["id"] and kind in ends)
        for path, row in stack.tree(root_id).items()
    }


def test_worker_parent_is_killed(stack: Stack, worker: Part, tmp_path: Path) -> None:
    job = stack.submit(pipeline(once(tmp_path / "flag")))
    stack.wait_running(job, "hangs")
    wait_for(lambda: (tmp_path / "flag").exists())
    family = worker.family()
    assert len(family) >= 6, "parent, keeper, two pool processes, guard and shell"
    worker.kill()
    wait_for(lambda: gone(family), what=f"all of the worker is gone: {survivors(family)}")
    stack.worker()
    stack.wait(job)
    leaf = stack.tree(job)["hangs"]
    assert (leaf["attempt"], leaf["lost_count"], leaf["failure_count"]) == (2, 1, 0)
    assert set(outcomes(stack, job).values()) == {1}
    stack.assert_sound()


def test_pool_child_is_killed(stack: Stack, worker: Part, tmp_path: Path) -> None:
    job = stack.submit(pipeline(once(tmp_path / "flag")))
    stack.wait_running(job, "hangs")
    wait_for(lambda: (tmp_path / "flag").exists())
    wait_for(lambda: len(worker.commands()) >= 3, what="guard, shell and sleep")
    below = worker.commands()
    child = next(child for child in worker.pool() if below[0] in child.children())
    child.kill()
    stack.wait(job)
    wait_for(lambda: gone(below), what="the command is gone")
    leaf = stack.tree(job)["hangs"]
    assert (leaf["attempt"], leaf["lost_count"], leaf["failure_count"]) == (2, 1, 0)
    assert set(outcomes(stack, job).values()) == {1}
    wait_for(lambda: len(worker.pool()) == 2, what="the pool is whole again")
    stack.assert_sound()


def test_broker_loses_every_message(stack: Stack, worker: Part) -> None:
    jobs = [stack.submit(job) for job in commands(24)]
    stack.wait(jobs[1])
    assert stack.broker.depth("cpu") > 0, "there is something to lose"
    stack.broker_server.flush()
    for job in jobs:
        stack.wait(job)
        assert stack.job(job)["attempt"] == 1
        assert outcomes(stack, job) == {"": 1}
    stack.assert_sound()


def test_api_is_killed_and_starts_again(stack: Stack, worker: Part) -> None:
    """Clients repeat what was not answered, with the key that they used before."""
    api = stack.start_api()
    keys = [f"restart-{number}" for number in range(40)]
    answered: dict[str, str] = {}
    document = {
        "type": "pipeline",
        "display_name": "api",
        "jobs": {
            "a": {"component": "mlq:pass", "inputs": {"value": 1}},
            "b": {"component": "mlq:pass", "inputs": {"value": "${{parent.jobs.a.outputs.value}}"}},
        },
    }

    def submit(key: str) -> str | None:
        try:
            return stack.submit(document, key=key)
        except httpx.TransportError:
            return None

    def client() -> None:
        for key in keys:
            found = wait_for(lambda key=key: submit(key), 60, what=f"{key} is accepted")
            assert found is not None, "wait_for returns what is true"
            answered[key] = found

    thread = threading.Thread(target=client)
    thread.start()
    wait_for(lambda: len(answered) >= 10)
    api.kill()
    api = stack.start_api()
    thread.join(timeout=150)
    assert list(answered) == keys
    assert len(set(answered.values())) == len(keys)
    for key, job in answered.items():
        stack.wait(job)
        assert set(outcomes(stack, job).values()) == {1}
        assert stack.submit(document, key=key) == job
    named = stack.api_get("/v1/jobs", name="api", limit=200)["items"]
    assert sorted(job["id"] for job in named) == sorted(answered.values())
    assert api.stop() in (0, -signal.SIGTERM)  # uvicorn ends by the signal that it was sent
    stack.forget_api()
    stack.assert_sound()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_broker_restarts(open_stack: OpenStack, database: str) -> None:
    with open_stack(database, "valkey") as stack:
        worker = stack.worker()
        server = stack.broker_server
        assert isinstance(server, Valkey)
        jobs = [stack.submit(job) for job in commands(12)]
        stack.wait(jobs[1])
        server.kill()
        jobs += [stack.submit(job) for job in commands(1)]  # accepted while it is away
        with pytest.raises(UnavailableError):
            stack.broker.depth("cpu")
        server.start()
        for job in jobs:
            stack.wait(job)
            assert stack.job(job)["attempt"] == 1
            assert outcomes(stack, job) == {"": 1}
        stack.assert_sound()
        assert worker.stop() == 0
