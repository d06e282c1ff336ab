"""Steps that wait for a person, on a database of each kind; the worker is the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mlq.db.engine import Database
from mlq.db.reports import MetricValue
from mlq.service import execution, jobs
from mlq.service.execution import Report
from mlq.testing import invariants
from tests.integration.api.conftest import Api
from tests.integration.db.queue import Queue


def pipeline(**approve: Any) -> dict[str, Any]:
    """check -> approve -> deploy."""
    return {
        "type": "pipeline",
        "display_name": "churn",
        "jobs": {
            "check": {"component": "mlq:pass", "inputs": {"value": "models:/churn/4"}},
            "approve": {
                "component": "mlq:approve",
                "inputs": {
                    "message": "Put it into production?",
                    "result": "${{parent.jobs.check.outputs.value}}",
                    "version": "models:/churn/4",
                    **approve.pop("inputs", {}),
                },
                **approve,
            },
            "deploy": {
                "component": "mlq:deploy",
                "inputs": {
                    "model": "${{parent.jobs.approve.outputs.version}}",
                    "endpoint": "churn",
                },
            },
        },
    }


class World:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.client = api.as_role("submitter")
        self.queue = Queue(api.database)

    def submit(self, **approve: Any) -> str:
        answer = self.client.post("/v1/jobs", json=pipeline(**approve))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def run(self, job_id: str, step: str, **metrics: float) -> None:
        """As a worker does it."""
        attempt = self.queue.claim(self.step(job_id, step)["id"])
        assert attempt is not None
        said = Report(metrics=[MetricValue(key, value, 0) for key, value in metrics.items()])
        self.api.database.transact(
            execution.succeed,
            attempt,
            {"value": {"type": "object", "value": 1}},
            said=said,
            windows=self.queue.windows,
            refill=True,
        )

    def step(self, job_id: str, name: str) -> dict[str, Any]:
        children = self.client.get(f"/v1/jobs/{job_id}").json()["children"]
        return next(child for child in children if child["name"] == name)

    def states(self, job_id: str) -> list[str]:
        job = self.client.get(f"/v1/jobs/{job_id}").json()
        return [job["state"], *(child["state"] for child in job["children"])]

    def decide(self, ref: str, act: str, *, by: str = "submitter", **body: Any) -> httpx.Response:
        return self.api.as_role(by).post(f"/v1/approvals/{ref}/{act}", json=body)


@pytest.fixture
def world(api: Api) -> Iterator[World]:
    yield World(api)
    assert invariants.audit(api.database) == []


def test_a_step_waits_for_a_person_with_the_numbers_and_holds_no_worker(world: World) -> None:
    job_id = world.submit()
    assert world.states(job_id) == ["running", "queued", "pending", "pending"]
    world.run(job_id, "check", roc_auc=0.93)
    assert world.states(job_id) == ["running", "succeeded", "waiting", "pending"]
    step = world.step(job_id, "approve")
    assert (step["waiting_for"], step["compute"], step["worker"]) == (
        "a person must decide",
        None,
        None,
    )
    (waiting,) = world.client.get("/v1/approvals").json()["items"]
    assert waiting["numbers"] == {"check": {"roc_auc": 0.93}}
    assert waiting["subject"]["version"]["value"] == "models:/churn/4"
    assert waiting["message"] == "Put it into production?"

    # the job that it is in names it as well
    decided = world.decide(job_id, "approve", comment="fine").json()
    assert (decided["id"], decided["state"]) == (waiting["id"], "succeeded")
    assert decided["outputs"]["decision"]["value"]["by"] == "submitter"
    assert world.states(job_id) == ["running", "succeeded", "succeeded", "queued"]
    attempt = world.queue.claim(world.step(job_id, "deploy")["id"])
    assert attempt is not None
    assert attempt.inputs["model"].value == "models:/churn/4"
    again = world.decide(waiting["id"], "reject")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert world.client.get("/v1/approvals").json()["items"] == []


def test_what_is_rejected_ends_the_pipeline_and_can_be_resumed(world: World) -> None:
    job_id = world.submit()
    world.run(job_id, "check")
    assert world.decide(job_id, "reject", comment="too slow").status_code == 200
    job = world.client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["reason"]) == ("failed", "rejected")
    assert job["error"]["message"] == "submitter rejected it: too slow"
    assert world.states(job_id) == ["failed", "succeeded", "failed", "skipped"]

    assert world.client.post(f"/v1/jobs/{job_id}/resume").status_code == 200
    assert world.states(job_id) == ["running", "succeeded", "waiting", "pending"]
    assert world.decide(job_id, "approve").status_code == 200


@pytest.mark.parametrize(
    ("terms", "by", "status"),
    [
        ({}, "viewer", 403),
        ({"role": "admin"}, "submitter", 403),
        ({"role": "admin"}, "admin", 200),
        ({"approvers": ["boss"]}, "admin", 403),
        ({"approvers": ["boss", "submitter"]}, "submitter", 200),
        ({"four_eyes": True}, "submitter", 403),
        ({"four_eyes": True}, "admin", 200),
    ],
)
def test_who_may_approve(world: World, terms: dict[str, Any], by: str, status: int) -> None:
    job_id = world.submit(inputs=terms)
    world.run(job_id, "check")
    assert world.decide(job_id, "approve", by=by).status_code == status


def test_nobody_in_time(world: World, database: Database) -> None:
    from sqlalchemy import update

    from mlq.db import recovery
    from mlq.db.tables import jobs as table
    from mlq.db.types import now_plus

    job_id = world.submit(timeout=3600)
    world.run(job_id, "check")
    waiting = world.step(job_id, "approve")["id"]
    assert world.client.get(f"/v1/approvals/{waiting}").json()["expires_at"]
    with database.write() as conn:
        assert recovery.timed_out(conn) == []
        conn.execute(
            update(table).where(table.c.id == waiting).values(started_at=now_plus(-3601.0))
        )
        assert recovery.timed_out(conn) == [waiting]
        jobs.time_out(conn, waiting, windows=world.queue.windows)
    job = world.client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["reason"]) == ("failed", "timeout")
    assert world.states(job_id)[2:] == ["failed", "skipped"]


def test_a_cancel_ends_it_at_once(world: World) -> None:
    job_id = world.submit()
    world.run(job_id, "check")
    world.client.post(f"/v1/jobs/{job_id}/cancel")
    assert world.states(job_id) == ["canceled", "succeeded", "canceled", "canceled"]
    assert world.decide(job_id, "approve").status_code == 409


def test_a_job_may_begin_with_it(world: World) -> None:
    document = {"type": "pipeline", "jobs": {"ask": {"component": "mlq:approve"}}}
    job_id = world.client.post("/v1/jobs", json=document).json()["id"]
    assert world.states(job_id) == ["running", "waiting"]
    assert world.decide(job_id, "approve").status_code == 200
    assert world.states(job_id) == ["succeeded", "succeeded"]


def test_where_nobody_can_decide_it_is_refused(world: World) -> None:
    trial = {"type": "pipeline", "jobs": {"ask": {"component": "mlq:approve"}}}
    sweep = {
        "type": "sweep",
        "search_space": {"x": {"type": "choice", "values": [1, 2]}},
        "sampling_algorithm": "grid",
        "objective": {"primary_metric": "m", "goal": "maximize"},
    }
    for document in (
        {**sweep, "trial": trial},
        {**sweep, "trial": "mlq:approve"},
        pipeline(retries={"max_retries": 1}),
    ):
        answer = world.client.post("/v1/jobs", json=document)
        assert answer.status_code == 422, document


@pytest.fixture
def database(api: Api) -> Database:
    return api.database
