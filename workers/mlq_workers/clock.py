"""The clock that leases are watched by: it goes on while the machine sleeps."""

from __future__ import annotations

import time

# macOS has no CLOCK_BOOTTIME; there CLOCK_MONOTONIC goes on during sleep.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time() -> float:
    """Seconds since the machine started, sleep included; the same for all its processes."""
    return time.clock_gettime(_CLOCK)
