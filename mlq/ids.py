"""Identifiers: time-ordered UUIDs (version 7), written as 32 hex digits everywhere.

One spelling for jobs, runs, tokens and events keeps a job's id equal to its MLflow run id.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable

ID_LENGTH = 32
#: Enough of an id to tell apart jobs of the same millisecond: 48 bits of time, 12 of order.
SHORT_ID_LENGTH = 16

_HEX_ID = re.compile(r"[0-9a-f]{32}")
_HEX_PREFIX = re.compile(r"[0-9a-f]{6,32}")

_last_ticks = 0
_ticking = threading.Lock()


def new_id(
    *, clock_ns: Callable[[], int] = time.time_ns, random: Callable[[int], bytes] = os.urandom
) -> str:
    """Make an id that sorts after every id made before it in this process.

    Layout of RFC 9562, section 6.2, method 3: 48 bits of Unix milliseconds, then 12 bits of the
    sub-millisecond fraction, which a step back of the clock or a burst advances by one tick.
    """
    global _last_ticks
    with _ticking:
        ticks = (clock_ns() << 12) // 1_000_000  # 1/4096 ms
        if ticks <= _last_ticks:
            ticks = _last_ticks + 1
        _last_ticks = ticks
    milliseconds, fraction = ticks >> 12, ticks & 0xFFF
    tail = int.from_bytes(random(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    number = (milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | tail
    return f"{number:032x}"


def parse_id(text: str) -> str | None:
    """Return the 32 hex digits of `text` (dashes allowed), or None if it is not an id."""
    plain = text.replace("-", "").lower()
    return plain if _HEX_ID.fullmatch(plain) else None


def parse_prefix(text: str) -> str | None:
    """Return `text` as a prefix of an id (six digits or more), or None if it cannot be one."""
    plain = text.replace("-", "").lower()
    return plain if _HEX_PREFIX.fullmatch(plain) else None
