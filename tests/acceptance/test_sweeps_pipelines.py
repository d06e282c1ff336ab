"""Sweeps of pipelines, sweeps in pipelines, and sweeps that share their workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mlq.data import demo_file
from tests.acceptance.conftest import PAIRS, OpenStack, usually
from tests.acceptance.stack import Stack, wait_for
from tests.acceptance.sweeps import (
    OBJECTIVE,
    assert_whole,
    choice,
    commands,
    done,
    importable,
    summary,
    sweep,
    trials,
    up_to,
)


@pytest.fixture(scope="module", params=usually(PAIRS[1:]), ids="-".join)
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with importable(), open_stack(*request.param, sweep_slice_s=0.5) as stack:
        stack.worker()
        penguins = demo_file("penguins.csv").read_bytes()
        stack.upload("penguins", penguins, file_name="penguins.csv")
        yield stack
        stack.assert_sound()


def pipelines(jobs: dict[str, Any], space: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A sweep of a pipeline whose inputs are what is swept."""
    inputs = {name: {"type": "object"} for name in space}
    return {
        "type": "sweep",
        "display_name": "pipelines",
        "trial": {"type": "pipeline", "inputs": inputs, "jobs": jobs},
        "search_space": space,
        "sampling_algorithm": "grid",
        "objective": OBJECTIVE,
        **more,
    }


def call(function: str, **inputs: Any) -> dict[str, Any]:
    return {"component": "mlq:call", "inputs": {"function": f"objectives:{function}", **inputs}}


def steps(stack: Stack, sweep_id: str) -> dict[str, Any]:
    """The steps of a sweep's trials by path."""
    above = {row["id"] for row in trials(stack, sweep_id)}
    tree = stack.tree(stack.job(sweep_id)["root_id"])
    return {path: row for path, row in tree.items() if row["parent_id"] in above}


def test_grid_over_training(stack: Stack) -> None:
    document = {
        "type": "pipeline",
        "display_name": "tuned",
        "jobs": {
            "prep": {
                "component": "mlq:preprocess",
                "inputs": {
                    "data": {"type": "uri_file", "path": "mlq:penguins:1"},
                    "target": "sex",
                    "test_size": 0.25,
                },
            },
            "tune": {
                "type": "sweep",
                "trial": "mlq:train",
                "inputs": {
                    "data": "${{parent.jobs.prep.outputs.train}}",
                    "recipe": "${{parent.jobs.prep.outputs.recipe}}",
                    "estimator": "sklearn.tree.DecisionTreeClassifier",
                },
                "search_space": {"max_depth": choice(1, 2, 5), "random_state": choice(0)},
                "sampling_algorithm": "grid",
                "objective": {"primary_metric": "accuracy", "goal": "maximize"},
                "outputs": {"model": {"type": "mlflow_model"}},
            },
            "validate": {
                "component": "mlq:evaluate",
                "inputs": {
                    "model": "${{parent.jobs.tune.outputs.model}}",
                    "data": "${{parent.jobs.prep.outputs.test}}",
                    "threshold": "accuracy >= 0.7",
                },
            },
            "again": {
                "component": "mlq:pass",
                "inputs": {"value": "${{parent.jobs.tune.outputs.best_params}}"},
            },
        },
    }
    job = stack.submit(document)
    stack.wait(job)
    tree = stack.tree(job)
    rows = assert_whole(stack, tree["tune"]["id"], count=3)
    best = max(rows, key=lambda row: row["value"])
    assert summary(rows) == {"succeeded": 3}
    assert tree["tune"]["value"] == best["value"]
    assert tree["again"]["outputs"]["value"]["value"] == best["params"]
    model = tree["tune"]["outputs"]["model"]
    with stack.store.read(tree["tune.best"]["outputs"]["model"]["digest"]) as found:
        assert found.read()
    assert model["kind"] == "tree"
    assert tree["validate"]["started_at"] > tree["tune"]["finished_at"]


def test_equal_steps_of_trials_run_once(stack: Stack) -> None:
    jobs = {
        "prep": {
            "component": "mlq:preprocess",
            "inputs": {
                "data": {"type": "uri_file", "path": "mlq:penguins:1"},
                "target": "sex",
                "seed": "${{parent.inputs.seed}}",
            },
        },
        "measure": {
            "component": "mlq:call",
            "inputs": {
                "function": "objectives:measured",
                "x": "${{parent.inputs.x}}",
                "data": "${{parent.jobs.prep.outputs.train}}",
            },
        },
    }
    space = {"seed": choice(1, 2), "x": choice(1, 5, 3)}
    document = pipelines(jobs, space, limits={"max_concurrent_trials": 1})
    row = stack.wait(stack.submit(document))
    rows = assert_whole(stack, row["id"], count=6)
    assert summary(rows) == {"succeeded": 6}
    assert row["outputs"]["best_params"]["value"]["x"] == 5
    prepared = [step for path, step in steps(stack, row["id"]).items() if path.endswith("prep")]
    assert summary(prepared) == {"succeeded": 2, "succeeded/cached": 4}


def test_max_concurrent_trials_of_pipelines(stack: Stack) -> None:
    jobs = {"measure": call("line", x="${{parent.inputs.x}}", seconds=0.1, metric="score")}
    document = pipelines(jobs, {"x": up_to(8)}, limits={"max_concurrent_trials": 2})
    job = stack.submit(document)
    most = 0

    def ended() -> bool:
        nonlocal most
        live = [row for row in trials(stack, job) if row["finished_at"] is None]
        most = max(most, len(live))
        return stack.job(job)["finished_at"] is not None

    wait_for(ended)
    row = stack.wait(job)
    assert most == 2
    assert summary(assert_whole(stack, job, count=8)) == {"succeeded": 8}
    assert row["outputs"]["best_params"]["value"] == {"x": 7}


def test_a_trial_with_a_failing_step(stack: Stack) -> None:
    jobs = {
        "first": call("fussy", x="${{parent.inputs.x}}", bad="raise", at=2),
        "then": {
            "component": "mlq:pass",
            "inputs": {"value": "${{parent.jobs.first.outputs.result}}"},
        },
    }
    row = stack.wait(stack.submit(pipelines(jobs, {"x": up_to(4)})))
    rows = assert_whole(stack, row["id"], count=4)
    assert [one["state"] for one in rows] == ["succeeded", "succeeded", "failed", "succeeded"]
    assert "the reactor is too hot" in rows[2]["error"]["message"]
    assert rows[2]["error"]["step"] == f"{rows[2]['path']}.first"
    assert row["outputs"]["best_params"]["value"] == {"x": 3}


def test_pipelines_that_report_no_metric(stack: Stack) -> None:
    jobs = {"only": call("fussy", x="${{parent.inputs.x}}", bad="missing", at=0)}
    row = stack.wait(stack.submit(pipelines(jobs, {"x": choice(0)})), "failed")
    rows = assert_whole(stack, row["id"], count=1)
    assert {one["error"]["code"] for one in rows} == {"metric_missing"}
    assert row["error"]["code"] == "no_successful_trial"
    assert "'score'" in row["error"]["message"]


def test_a_pipeline_that_takes_too_long(stack: Stack) -> None:
    jobs = {"only": call("fussy", x="${{parent.inputs.x}}", bad="hang", at=1)}
    document = pipelines(jobs, {"x": up_to(3)}, limits={"trial_timeout": 1})
    row = stack.wait(stack.submit(document))
    rows = assert_whole(stack, row["id"], count=3)
    assert summary(rows) == {"succeeded": 2, "failed/timeout": 1}


def test_cancel_of_pipelines(stack: Stack) -> None:
    jobs = {"only": call("line", x="${{parent.inputs.x}}", seconds=0.3)}
    job = stack.submit(pipelines(jobs, {"x": up_to(50)}, limits={"max_concurrent_trials": 4}))
    wait_for(lambda: len(trials(stack, job)) >= 4)
    stack.cancel(job)
    stack.wait(job, "canceled")
    assert "canceled" in summary(assert_whole(stack, job))


def test_target_of_pipelines(stack: Stack) -> None:
    jobs = {"only": call("line", x="${{parent.inputs.x}}", seconds=0.05, metric="score")}
    document = pipelines(
        jobs,
        {"x": up_to(60)},
        objective={**OBJECTIVE, "target": 5},
        limits={"max_concurrent_trials": 2},
    )
    row = stack.wait(stack.submit(document))
    rows = assert_whole(stack, row["id"])
    assert row["reason"] == "target"
    assert len(rows) < 20
    assert row["value"] >= 5


def test_resume_of_pipelines(stack: Stack) -> None:
    jobs = {"only": call("line", x="${{parent.inputs.x}}", seconds=0.1, metric="score")}
    document = pipelines(jobs, {"x": up_to(12)}, limits={"max_concurrent_trials": 2})
    job = stack.submit(document)
    wait_for(lambda: done(stack, job) >= 3)
    stack.cancel(job)
    stack.wait(job, "canceled")
    stack.resume(job)
    row = stack.wait(job)
    rows = trials(stack, job)
    assert summary(rows) == {"succeeded": 12}
    assert row["outputs"]["best_params"]["value"] == {"x": 11}


def test_two_sweeps_and_a_pipeline_share_two_slots(stack: Stack) -> None:
    space = {"x": choice(*range(20)), "y": choice(*range(10))}
    document = sweep("bowl", space, {"seconds": 0.03}, limits={"max_concurrent_trials": 2})
    both = [stack.submit(document) for _ in range(2)]
    wait_for(lambda: all(done(stack, job) for job in both))
    job = stack.submit(
        {
            "type": "pipeline",
            "display_name": "between",
            "jobs": {
                "a": {"component": "mlq:pass", "inputs": {"value": 1}},
                "b": {
                    "component": "mlq:pass",
                    "inputs": {"value": "${{parent.jobs.a.outputs.value}}"},
                },
            },
        }
    )
    stack.wait(job)
    assert all(stack.job(one)["state"] == "running" for one in both)
    wait_for(lambda: any(done(stack, one) >= 150 for one in both))
    shares = [done(stack, one) for one in both]
    assert min(shares) >= 75
    for one in both:
        stack.wait(one)
        assert summary(assert_whole(stack, one, count=200)) == {"succeeded": 200}


def test_max_concurrent_trials_holds_across_workers(stack: Stack) -> None:
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
