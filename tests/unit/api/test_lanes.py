from __future__ import annotations

import asyncio
import threading

import pytest

from mlq.errors import UnavailableError
from mlq_api.lanes import Lane


def test_a_blocked_lane_leaves_the_loop_free_and_turns_others_away() -> None:
    release = threading.Event()

    async def scenario() -> list[object]:
        lane = Lane("test", threads=1, capacity=2, timeout_s=30)
        running = lane.start(release.wait)
        waiting = lane.start(lambda: "second")
        with pytest.raises(UnavailableError) as refused:
            await lane.call(lambda: "third")
        release.set()
        outcomes: list[object] = [refused.value.code, await running, await waiting]
        outcomes.append(await lane.call(lambda: "room again"))
        lane.close()
        return outcomes

    assert asyncio.run(scenario()) == ["overloaded", True, "second", "room again"]


def test_who_waits_too_long_is_told_that_the_outcome_is_unknown() -> None:
    release = threading.Event()

    async def scenario() -> str:
        lane = Lane("test", threads=1, capacity=2, timeout_s=0.01)
        with pytest.raises(UnavailableError) as late:
            await lane.call(release.wait)
        release.set()
        lane.close()
        return late.value.code

    assert asyncio.run(scenario()) == "timeout"


def test_errors_come_back_as_they_are() -> None:
    def fail() -> None:
        raise KeyError("x")

    async def scenario() -> None:
        lane = Lane("test", threads=1, capacity=2, timeout_s=30)
        with pytest.raises(KeyError):
            await lane.call(fail)
        lane.close()

    asyncio.run(scenario())
