from __future__ import annotations

import asyncio

from mlq.service.tokens import Principal, digest_of
from mlq_api.auth import Principals

ANN = Principal(token_id="1", name="ann", role="viewer", kind="api")


def test_a_principal_is_looked_up_again_after_two_seconds() -> None:
    asked: list[str] = []
    known: dict[str, Principal] = {digest_of("secret"): ANN}
    now = [0.0]

    async def lookup(digest: str) -> Principal | None:
        asked.append(digest)
        return known.get(digest)

    async def scenario() -> None:
        principals = Principals(lookup, clock=lambda: now[0])
        assert await principals.find("secret") == ANN
        known.clear()  # revoked
        now[0] = 1.9
        assert await principals.find("secret") == ANN
        now[0] = 2.0
        assert await principals.find("secret") is None
        assert len(asked) == 2
        known[digest_of("secret")] = ANN
        principals.forget()
        assert await principals.find("secret") == ANN

    asyncio.run(scenario())


def test_strangers_cannot_fill_the_memory() -> None:
    async def lookup(digest: str) -> Principal | None:
        return None

    async def scenario() -> int:
        principals = Principals(lookup)
        for number in range(Principals.SIZE + 50):
            await principals.find(str(number))
        return len(principals._known)

    assert asyncio.run(scenario()) == Principals.SIZE
