"""How many messages a compute may have outstanding."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection

from mlq.db import workers

#: For a compute without a live worker: enough to start one quickly, little enough to reorder.
_LEAST = 16
_FRESH_S = 2.0


class Windows:
    """Window sizes from live slots, read again every two seconds."""

    def __init__(self, *, per_slot: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_slot = per_slot
        self._clock = clock
        self._slots: dict[str, int] = {}
        self._read_at = float("-inf")

    def size(self, conn: Connection, compute: str) -> int:
        """Messages that `compute` may have outstanding now."""
        if self._clock() - self._read_at > _FRESH_S:
            self._slots = workers.live_slots(conn)
            self._read_at = self._clock()
        slots = self._slots.get(compute, 0)
        return self.per_slot * slots if slots else _LEAST
