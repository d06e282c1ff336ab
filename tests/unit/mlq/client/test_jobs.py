"""Submitting and waiting."""

from __future__ import annotations

import httpx
import pytest

from mlq.client.jobs import Jobs
from mlq.client.problems import TimedOutError
from tests.unit.mlq.client.test_session import Clock, Server, connect

ID = "0199f2c81a2b7c3d8e4f5a6b7c8d9e0f"


def job(state: str) -> httpx.Response:
    return httpx.Response(200, json={"id": ID, "state": state, "type": "command"})


def test_a_repeated_submit_is_one_job() -> None:
    server = Server(httpx.ReadError("broken"), job("queued"))
    Jobs(connect(server, Clock())).create("type: command")
    first, second = server.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert len(first.headers["Idempotency-Key"]) == 32
    assert second.headers["Content-Type"] == "application/yaml"


def test_each_submit_has_a_key_of_its_own() -> None:
    server = Server(job("queued"), job("queued"))
    jobs = Jobs(connect(server, Clock()))
    jobs.create({"type": "command"}, force_rerun=True)
    jobs.create({"type": "command"})
    first, second = server.requests
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]
    assert first.headers["Content-Type"] == "application/json"
    assert first.url.params["force_rerun"] == "true"
    assert "force_rerun" not in second.url.params


def test_wait_ends_with_the_job() -> None:
    server = Server(job("queued"), job("running"), job("failed"))
    assert Jobs(connect(server, Clock())).wait(ID)["state"] == "failed"


def test_wait_gives_up_and_says_how_to_come_back() -> None:
    clock = Clock()
    server = Server(*[job("running") for _ in range(99)])
    with pytest.raises(TimedOutError, match="is running after 3 s") as caught:
        Jobs(connect(server, clock)).wait(ID, timeout_s=3, clock=lambda: clock.now)
    assert clock.now <= 3
    assert f"mlq job stream {ID[:16]}" in caught.value.hint


def test_of_a_log_the_last_lines() -> None:
    server = Server(httpx.Response(200, text="one\ntwo\nthree\n"))
    assert Jobs(connect(server, Clock())).last_lines(ID, count=2) == ["two", "three"]
    assert server.requests[0].url.path == f"/v1/jobs/{ID}/logs"
