"""Lanes: a few threads of our own for what may block, so that nothing blocks the event loop.

A lane is short on purpose. When the database hangs, what waits for it waits here, `/healthz` still
answers, and a caller beyond the lane's capacity is told to come again at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from mlq.errors import UnavailableError

P = ParamSpec("P")
T = TypeVar("T")


class Lane:
    """Threads for one kind of work.

    capacity: calls running and waiting at most. timeout_s: how long a caller waits for its answer;
    work that is running by then goes on, and its outcome is not known to the caller.
    """

    def __init__(self, name: str, *, threads: int, capacity: int, timeout_s: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"mlq-{name}")
        self._name = name
        self._capacity = capacity
        self._timeout_s = timeout_s
        self._taken = 0

    async def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a thread of the lane.

        Raises UnavailableError: `overloaded` when too many wait, `timeout` when it takes too long.
        """
        future = self.start(work, *args, **kwargs)
        done, _ = await asyncio.wait((future,), timeout=self._timeout_s)
        if not done:
            future.cancel()
            raise UnavailableError(
                f"No answer within {self._timeout_s:g} s.",
                code="timeout",
                hint="Whether a change was made is not known: look before you repeat it.",
            )
        return future.result()

    def start(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Run `work` without waiting for it. Raises UnavailableError when too many wait."""
        if self._taken >= self._capacity:
            raise UnavailableError(
                f"Too many requests wait for the {self._name} of this server.",
                code="overloaded",
                hint="Try again in a second.",
            )
        self._taken += 1
        future = asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: work(*args, **kwargs)
        )
        future.add_done_callback(self._release)
        return future

    def close(self) -> None:
        """Let running work end, drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _release(self, future: asyncio.Future[T]) -> None:
        self._taken -= 1
        if not future.cancelled():
            future.exception()  # whoever waits gets it too; nobody waiting is no warning
