"""Processes that end at a commit, a publish or an acknowledgement: each job has its one outcome.

Every point must be reached: one that nothing comes to any more would tell nothing.
"""

from __future__ import annotations

import ast
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

import mlq_workers
from mlq import crash
from mlq.db.tables import jobs
from mlq.lifecycle import TERMINAL
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import wait_for
from tests.acceptance.sweeps import assert_whole, importable, sweep, up_to

#: What works in the transactions of a worker that runs steps, commands and sweeps.
WORKS = (
    "begin",
    "succeed",
    "fail",
    "advance",
    "begin_trial",
    "report",
    "commit_ending",
    "beat_and_renew",
    "plant",
)
#: Works of other occasions. Their boundaries are those of any transaction, and who dies there is
#: noticed in the same way.
ELSEWHERE = {
    "end_early", "end_canceled", "end", "retire", "join", "note", "take", "tend", "fire",
    "settle", "forget_counts", "drive_rollout", "make_deliveries", "fire_waiting", "release",
    "lead", "lose", "time_out", "republish", "dispatch", "forget", "begin_limited", "wake_blocked",
    "take_back", "add_artifacts",
}  # fmt: skip
AT_COMMITS = tuple(f"{work}.{side}_commit" for work in WORKS for side in ("before", "after"))


@pytest.mark.timeout(600)  # some twenty processes die and start again
def test_each_job_has_one_outcome_wherever_a_worker_ends(
    open_stack: OpenStack, tmp_path: Path
) -> None:
    points = (*AT_COMMITS, *crash.MESSAGES)
    with importable(), open_stack("postgresql", max_lost=100) as stack:
        settings = {"crash_at": f"{','.join(points)}:{tmp_path}"}
        worker = stack.worker(**settings)
        line = sweep("line", {"x": up_to(30)}, {"seconds": 0.01})
        documents = (_chain(), line, _slow_sweep(), _for_each())
        jobs = []

        def all_reached() -> bool:
            nonlocal worker
            if not worker.is_running:  # the keeper went, and the worker with it
                worker = stack.worker(**settings)
            if all(stack.job(job)["state"] in TERMINAL for job in jobs):
                jobs.extend(stack.submit(document) for document in documents)
            return len(list(tmp_path.iterdir())) == len(points)

        try:
            wait_for(all_reached, 420)
        except TimeoutError:
            reached = {path.name for path in tmp_path.iterdir()}
            raise AssertionError(f"never reached: {sorted(set(points) - reached)}") from None
        for job in jobs:
            stack.wait_until(job, lambda row: row["state"] in TERMINAL)
            if stack.job(job)["type"] == "sweep":
                assert_whole(stack, job)
        stack.assert_sound()


def test_every_transaction_of_a_worker_is_listed() -> None:
    found = set()
    for path in Path(mlq_workers.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("transact", "transact_single")
            ):
                work = node.args[0]
                name = work.attr if isinstance(work, ast.Attribute) else getattr(work, "id", "?")
                found.add(name.strip("_"))
    # begin_trial is imported under the name of `begin`, in a module of its own
    assert found | {"begin_trial"} == {*WORKS, *ELSEWHERE}


def _chain() -> dict[str, object]:
    """Two components, a command that prints, and one that fails once in a while."""
    value = "${{parent.jobs.%s.outputs.value}}"
    return {
        "type": "pipeline",
        "display_name": "chain",
        "jobs": {
            "a": {"component": "mlq:pass", "inputs": {"value": 1}},
            "b": {"component": "mlq:pass", "inputs": {"value": value % "a"}},
            "says": {
                "type": "command",
                "command": "for i in 1 2 3 4 5 6; do echo ${{inputs.value}}; sleep 0.3; done",
                "inputs": {"value": value % "b"},
            },
            "fails": {"type": "command", "command": "exit 1"},
        },
    }


def _one_step() -> dict[str, object]:
    only = {"component": "mlq:pass", "inputs": {"value": 1}}
    return {"type": "pipeline", "display_name": "one", "jobs": {"only": only}}


def _for_each() -> dict[str, object]:
    """Children that a leaf adds while the tree runs."""
    body = {"type": "command", "command": "echo ${{inputs.n}}", "inputs": {"n": 0}}
    each = {"type": "parallel_for", "body": "${{parent.jobs.body}}", "items": [{"n": 1}, {"n": 2}]}
    return {"type": "pipeline", "display_name": "each", "jobs": {"body": body, "each": each}}


def _slow_sweep() -> dict[str, object]:
    """Trials that are long enough to be shown while they run."""
    return sweep("line", {"x": up_to(3)}, {"seconds": 0.4})


#: What an API comes to when it takes a job: the functions that `server.write` is given.
API_POINTS = (
    "submit.before_commit",
    "submit.after_commit",
    "message.before_publish",
    "message.after_publish",
)


@pytest.mark.timeout(600)
def test_each_accepted_job_has_one_outcome_wherever_the_api_ends(
    open_stack: OpenStack, tmp_path: Path
) -> None:
    """Clients that got no answer ask again with the same key: it is the same job."""
    with open_stack("sqlite") as stack:
        settings = {"crash_at": f"{','.join(API_POINTS)}:{tmp_path}"}
        api = stack.start_api(**settings)
        stack.worker(slots=1)
        accepted: dict[str, str] = {}

        def ask(key: str) -> str:
            """Submit the job of `key`, however often it takes: any answer may be cut off."""

            def submit() -> str | None:
                nonlocal api
                if not api.is_running:
                    api = stack.start_api(**settings)
                try:
                    return stack.submit(_one_step(), key=key)
                except httpx.TransportError:
                    wait_for(lambda: not api.is_running, what="the API has ended")
                    return None

            return wait_for(submit, what="the job is accepted") or ""

        def all_reached() -> bool:
            """One more job; it was accepted when the API said so."""
            key = f"crash-{len(accepted)}"
            accepted[key] = ask(key)
            stack.wait(accepted[key])  # what was not published, the reconciler publishes
            return {path.name for path in tmp_path.iterdir()} == set(API_POINTS)

        wait_for(all_reached, 420, what="every point is reached")
        assert len(set(accepted.values())) == len(accepted)
        for key, job in accepted.items():
            assert ask(key) == job
        with stack.database.read() as conn:
            roots = conn.scalars(select(jobs.c.id).where(jobs.c.parent_id.is_(None))).all()
        assert set(roots) == set(accepted.values()), "no job was made twice"
        stack.assert_sound()
