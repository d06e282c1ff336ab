"""How many messages a compute may have outstanding, and how projects share them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from mlq.db import limits, workers

#: For a compute without a live worker: enough to start one quickly, little enough to reorder.
_LEAST = 16
_FRESH_S = 2.0


class Windows:
    """Window sizes from live slots, and quotas, read again every two seconds."""

    def __init__(self, *, per_slot: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_slot = per_slot
        self._clock = clock
        self._slots: dict[str, int] = {}
        self._quotas: Mapping[str, int | None] | None = None
        self._read_at = float("-inf")

    def size(self, conn: Connection, compute: str) -> int:
        """Messages that `compute` may have outstanding now."""
        self._read(conn)
        slots = self._slots.get(compute, 0)
        return self.per_slot * slots if slots else _LEAST

    def quotas(self, conn: Connection) -> Mapping[str, int | None] | None:
        """Every project, with its quota where it has one; None where nobody has any of these."""
        self._read(conn)
        return self._quotas

    def _read(self, conn: Connection) -> None:
        if self._clock() - self._read_at > _FRESH_S:
            self._slots = workers.live_slots(conn)
            self._quotas = limits.shares(conn)
            self._read_at = self._clock()
