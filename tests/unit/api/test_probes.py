from __future__ import annotations

import asyncio

from mlq.errors import UnavailableError
from mlq_api.probes import Probe


class Part:
    """Something to check: counts, waits at its gate, and fails while it is broken."""

    def __init__(self) -> None:
        self.checks = 0
        self.broken = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def check(self) -> None:
        self.checks += 1
        await self.gate.wait()
        if self.broken:
            raise UnavailableError("host-17 is away", code="store_unavailable")


def test_an_outcome_is_kept_for_a_while() -> None:
    async def scenario() -> None:
        part, now = Part(), [0.0]
        probe = Probe(part.check, keep_s=3, clock=lambda: now[0])
        assert await probe.outcome() == "ok"
        part.broken = True
        now[0] = 2.9
        assert (await probe.outcome(), part.checks) == ("ok", 1)
        now[0] = 3.0
        assert (await probe.outcome(), part.checks) == ("store_unavailable", 2)

    asyncio.run(scenario())


def test_callers_at_the_same_time_share_a_check() -> None:
    async def scenario() -> None:
        part = Part()
        part.gate.clear()
        probe = Probe(part.check)
        callers = [asyncio.create_task(probe.outcome()) for _ in range(5)]
        await asyncio.sleep(0)
        callers[0].cancel()
        part.gate.set()
        answers = await asyncio.gather(*callers, return_exceptions=True)
        assert answers[1:] == ["ok"] * 4
        assert part.checks == 1

    asyncio.run(scenario())
