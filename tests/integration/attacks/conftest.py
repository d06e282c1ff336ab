"""A running API to attack, and a job that runs on it."""

from __future__ import annotations

import httpx
import pytest

from mlq.service import attempt_tokens, execution
from mlq.service.capacity import Windows
from mlq.service.execution import Attempt, Report, SpecCache
from tests.integration.api.conftest import Api, api, settings, shared_broker

__all__ = ["Api", "api", "settings", "shared_broker"]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What is refused is refused before the kind of the database matters."""
    return sqlite_url


class Running:
    """A job that is held as a worker would hold it."""

    def __init__(self, api: Api, job_id: str) -> None:
        self.api = api
        self.job_id = job_id
        api.database.transact(attempt_tokens.prepare)

    def begin(self) -> str:
        """Claim it; the token that its code gets."""
        attempt = self.api.database.transact_single(
            execution.begin, self.job_id, worker="w1", lease_s=600, spec_cache=SpecCache()
        )
        assert attempt is not None
        self.attempt: Attempt = attempt
        with self.api.database.read() as conn:
            signer = attempt_tokens.signer(conn)
        assert signer is not None
        return signer.token_for(self.job_id, attempt.claim.attempt)

    def release(self) -> None:
        """Hand the attempt back."""
        windows = Windows(per_slot=8)
        self.api.database.transact(execution.release, self.attempt, said=Report(), windows=windows)


def submit_job(api: Api, client: httpx.Client, *, name: str = "victim") -> Running:
    """Submit a command, which no worker takes."""
    document = {"type": "command", "command": "true", "display_name": name}
    answer = client.post("/v1/jobs", json=document)
    assert answer.status_code == 201, answer.text
    return Running(api, answer.json()["id"])


def bearer(token: str) -> dict[str, str]:
    """Headers of a caller."""
    return {"authorization": f"Bearer {token}"}
