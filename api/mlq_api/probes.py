"""Checks of what the server needs, which anybody may ask for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from mlq.errors import MlqError

CHECK_S = 4.0
KEEP_S = 3.0


async def outcome_of(check: Awaitable[Any]) -> str:
    """`ok`, or why not: open to all, so never more than an error's code."""
    try:
        await asyncio.wait_for(check, CHECK_S)
    except TimeoutError:
        return f"no answer within {CHECK_S:g} s"
    except MlqError as error:
        return error.code  # the message may name hosts
    return "ok"


class Probe:
    """A check whose outcome is kept for a while, so that many callers cost one check.

    Use on one event loop.
    """

    def __init__(
        self,
        check: Callable[[], Awaitable[Any]],
        *,
        keep_s: float = KEEP_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._keep_s = keep_s
        self._clock = clock
        self._task: asyncio.Task[str] | None = None
        self._until = 0.0

    async def outcome(self) -> str:
        """As `outcome_of`, at most `keep_s` old. Callers at the same time share one check."""
        if self._task is None or (self._task.done() and self._clock() >= self._until):
            self._task = asyncio.create_task(self._ask())
        # a caller that goes away must not take the answer from the others
        return await asyncio.shield(self._task)

    async def _ask(self) -> str:
        outcome = await outcome_of(self._check())
        self._until = self._clock() + self._keep_s
        return outcome
