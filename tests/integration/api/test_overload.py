"""An API that cannot keep up: who is told to come later, and what goes on all the same."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

import mlq_api.server
from mlq.db import workers
from mlq.db.engine import Database
from mlq.db.tables import events, jobs
from mlq.ids import new_id
from mlq.settings import Settings
from tests.integration.api.conftest import Api
from tests.servers import wait_until

_CAPACITY = 24
_CLIENTS = 40
_JOB = {"type": "command", "command": "true", "display_name": "flood"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """With one writer at a time, which a test can be."""
    return sqlite_url


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With short lanes."""
    monkeypatch.setattr(mlq_api.server, "_CAPACITY", _CAPACITY)
    return settings


def test_an_overloaded_server_says_when_to_come_again_and_still_cancels(api: Api) -> None:
    client = api.as_role("submitter")
    victim = client.post("/v1/jobs", json={**_JOB, "display_name": "victim"}).json()["id"]
    lanes: Any = api.app.state.server
    answers: list[httpx.Response] = []

    def submit(_: int) -> None:
        with httpx.Client(base_url=api.url, headers=client.headers, timeout=120) as own:
            answers.append(own.post("/v1/jobs", json=_JOB))

    def cancel() -> int:
        return client.post(f"/v1/jobs/{victim}/cancel", timeout=120).status_code

    heart = Database.open(api.settings.database, urgent=True)
    with ThreadPoolExecutor(_CLIENTS + 2) as pool:
        with api.database.write():  # somebody writes for long
            flood = [pool.submit(submit, number) for number in range(_CLIENTS)]
            wait_until(
                lambda: len(answers) >= _CLIENTS - _CAPACITY, what="some are told to come later"
            )
            refused = list(answers)
            assert httpx.get(f"{api.url}/healthz").status_code == 200
            assert client.get(f"/v1/jobs/{victim}").json()["state"] == "queued"
            canceled = pool.submit(cancel)
            beat = pool.submit(heart.transact, workers.beat, new_id(), busy=0, state="online")
            wait_until(lambda: lanes._cancels._taken, what="the cancel waits for its turn")
        status = canceled.result()
        assert beat.result() is None  # of no worker; it was written all the same
        for one in flood:
            one.result()
    heart.close()
    statuses = Counter(answer.status_code for answer in refused)
    assert set(statuses) == {503}, statuses
    for answer in refused:
        assert answer.json()["code"] == "overloaded"
        assert int(answer.headers["retry-after"]) >= 1
    assert status == 200
    assert client.get(f"/v1/jobs/{victim}").json()["state"] == "canceled"
    accepted = sum(answer.status_code == 201 for answer in answers)
    assert count(api.database) == accepted + 1
    assert accepted <= _CAPACITY
    with api.database.read() as conn:
        last = {
            kind: conn.scalar(select(func.max(events.c.id)).where(events.c.kind == kind))
            for kind in ("job.cancel", "job.submit")
        }
    assert last["job.cancel"] < last["job.submit"], "the cancel waited for all that queued before"


def count(database: Database) -> int:
    with database.read() as conn:
        return int(conn.scalar(select(func.count()).select_from(jobs)) or 0)
