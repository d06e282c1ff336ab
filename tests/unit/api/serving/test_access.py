from __future__ import annotations

import asyncio

import pytest

from mlq.errors import UnavailableError
from mlq.service.tokens import Principal
from mlq_api.serving.access import Outliving

ANN = Principal(token_id="1", name="ann", role="viewer", kind="api")


class Lookup:
    """A database with one token, which can go away."""

    def __init__(self) -> None:
        self.answers: dict[str, Principal] = {"digest": ANN}
        self.is_away = False
        self.is_seen_away = False
        self.now = 0.0
        self.outliving = Outliving(
            self.find, is_away=lambda: self.is_seen_away, clock=lambda: self.now
        )

    async def find(self, digest: str) -> Principal | None:
        assert not self.is_seen_away or digest == "other", "waited for a database that is away"
        if self.is_away:
            raise UnavailableError("The database does not answer.")
        return self.answers.get(digest)

    def ask(self, digest: str = "digest") -> Principal | None:
        return asyncio.run(self.outliving.find(digest))


def test_a_known_token_outlives_the_database() -> None:
    lookup = Lookup()
    assert lookup.ask() == ANN
    lookup.is_away = True
    assert lookup.ask() == ANN
    lookup.is_seen_away = True
    assert lookup.ask() == ANN


def test_an_unknown_token_does_not_get_in_while_the_database_is_away() -> None:
    lookup = Lookup()
    assert lookup.ask() == ANN
    lookup.is_away = lookup.is_seen_away = True
    with pytest.raises(UnavailableError):
        lookup.ask("other")


def test_a_revoked_token_is_forgotten() -> None:
    lookup = Lookup()
    assert lookup.ask() == ANN
    lookup.answers.clear()
    assert lookup.ask() is None
    lookup.is_away = True
    with pytest.raises(UnavailableError):
        lookup.ask()


def test_nobody_outlives_it_for_ever() -> None:
    lookup = Lookup()
    assert lookup.ask() == ANN
    lookup.is_away = True
    lookup.now = Outliving.LIMIT_S + 1
    with pytest.raises(UnavailableError):
        lookup.ask()
