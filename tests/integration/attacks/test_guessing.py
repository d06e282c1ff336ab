"""Tokens are not found by trying, through no entrance, and a guesser locks out nobody."""

from __future__ import annotations

import httpx
import pytest

from mlq.settings import Settings
from tests.integration.api.conftest import Api
from tests.integration.attacks.conftest import bearer

LIMIT = 5


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With few failures allowed."""
    return settings.model_copy(update={"failed_logins_per_minute": LIMIT})


@pytest.mark.parametrize("entrance", ["bearer", "cookie", "form", "link"])
def test_guesses_are_slowed_down_and_good_tokens_are_not(api: Api, entrance: str) -> None:
    def guess(number: int) -> httpx.Response:
        token = f"mlq_{number}"
        if entrance == "bearer":
            return stranger.get("/v1/jobs", headers=bearer(token))
        if entrance == "cookie":
            return stranger.get("/v1/jobs", headers={"cookie": f"mlq_session={token}"})
        if entrance == "form":
            return stranger.post("/login", data={"token": token})
        return stranger.get("/login", params={"token": token})

    good = api.as_role("viewer")
    token = good.headers["authorization"].partition(" ")[2]
    with httpx.Client(base_url=api.url) as stranger:
        assert [guess(number).status_code for number in range(LIMIT)] == [401] * LIMIT
        limited = guess(LIMIT)
        assert limited.status_code == 429
        assert 1 <= int(limited.headers["retry-after"]) <= 60 / LIMIT
        assert stranger.get("/v1/jobs").status_code == 401, "without a token nothing is guessed"
        assert stranger.get("/healthz").status_code == 200
        assert stranger.post("/login", data={"token": token}).status_code == 303
    assert good.get("/v1/jobs").status_code == 200
