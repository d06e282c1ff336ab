"""Where and when jobs run: computes, priorities, and steps that need not run again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlq.data import demo_file
from mlq.db.queries import jobs as queries
from mlq.service.blueprint import draw
from mlq.service.forecast import foresee_reuse
from mlq.service.jobs import resolve_assets
from mlq.spec import compile_job, read_document
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import Stack
from tests.acceptance.test_endings import command

WINDOW = 2
NO_WORKER = "no live worker serves compute gpu"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack(request.param, window_per_slot=WINDOW) as stack:
        stack.worker(slots=1)
        yield stack
        stack.assert_sound()


def test_compute_without_worker_says_so(stack: Stack) -> None:
    wanted = command('test -z "$CUDA_VISIBLE_DEVICES"', compute="gpu")
    job = stack.submit(wanted)
    assert NO_WORKER in (stack.waiting_words(job) or "")
    gpu = stack.worker("gpu", slots=1, gpus="none")
    row = stack.wait(job)
    assert str(gpu.pid) in row["worker"]
    # a worker that has left is none
    assert gpu.stop() == 0
    job = stack.submit(wanted)
    assert NO_WORKER in (stack.waiting_words(job) or "")
    stack.cancel(job)


def test_higher_priority_goes_first(stack: Stack, tmp_path: Path) -> None:
    go = tmp_path / "go"
    blocker = stack.submit(command(f"until test -e {go}; do sleep 0.05; done"))
    stack.wait_running(blocker)
    plain = [stack.submit(command("true")) for _ in range(30)]
    urgent = stack.submit(command("true", priority=10))
    go.touch()
    for job in (*plain, urgent):
        stack.wait(job)
    started = sorted((stack.job(job)["started_at"], job) for job in (*plain, urgent))
    place = [job for _, job in started].index(urgent)
    # what was handed to the broker before it cannot be overtaken; nor can the one more that goes
    # where the end of a step and the reconciler fill the same place at once (window.py skips rows
    # that the other has locked)
    assert place <= WINDOW + 1


def test_equal_step_is_not_run_again(stack: Stack) -> None:
    data = stack.upload(
        "penguins", demo_file("penguins.csv").read_bytes(), file_name="penguins.csv"
    )
    document: dict[str, Any] = {
        "type": "pipeline",
        "display_name": "reuse",
        "jobs": {
            "prep": {
                "component": "mlq:preprocess",
                "inputs": {"data": {"type": "uri_file", "path": data}, "target": "sex"},
            },
            "train": {
                "component": "mlq:train",
                "inputs": {
                    "data": "${{parent.jobs.prep.outputs.train}}",
                    "recipe": "${{parent.jobs.prep.outputs.recipe}}",
                    "estimator": "sklearn.linear_model.LogisticRegression",
                    "cv": 2,
                },
            },
        },
    }

    def run(**options: Any) -> dict[str, Any]:
        job = stack.submit(document, **options)
        stack.wait(job)
        return {path: row for path, row in stack.tree(job).items() if path}

    def foresee() -> dict[str, str]:
        text = json.dumps(document)
        read = read_document(text, media_type="application/json")
        plan = compile_job(read, computes=None)
        blueprint = draw(plan, document="", media_type="application/json")
        found = stack.read(resolve_assets, plan)
        reused = stack.read(foresee_reuse, blueprint, found)
        return {plan.jobs[place].path: job for place, job in reused.items()}

    assert foresee() == {}
    first = run()
    assert foresee() == {path: row["id"] for path, row in first.items()}
    second, forced = run(), run(force=True)
    for path, row in first.items():
        assert row["reason"] is None
        assert second[path]["reason"] == "cached"
        assert second[path]["outputs"] == row["outputs"]
        assert forced[path]["reason"] is None
    results = [
        stack.read(queries.newest_metrics, [rows["train"]["id"]])[rows["train"]["id"]]
        for rows in (first, second, forced)
    ]
    assert results[0]["accuracy"] > 0.5
    assert results[0] == results[1]
    assert {k: v for k, v in results[2].items() if "time" not in k} == {
        k: v for k, v in results[0].items() if "time" not in k
    }, "the seed makes a run repeat itself"
    document["jobs"]["train"]["inputs"]["C"] = 0.5
    assert foresee().keys() == {"prep"}
    other = run()
    assert (other["prep"]["reason"], other["train"]["reason"]) == ("cached", None)
