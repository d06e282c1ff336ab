"""What the sweeps of the tests minimise and maximise; imported by the workers."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Report = Callable[[str, float, int], None]


def bowl(x: float, y: float = 0.0, seconds: float = 0.0) -> dict[str, float]:
    """Best (0) at x = 3, y = 1."""
    time.sleep(seconds)
    return {"score": -((x - 3) ** 2) - (y - 1) ** 2}


def line(x: float, seconds: float = 0.0) -> float:
    """x itself."""
    time.sleep(seconds)
    return float(x)


def patient(x: int, after: int, flag: str) -> float:
    """x itself; from `after` on once the file `flag` is there."""
    while x >= after and not Path(flag).exists():
        time.sleep(0.05)
    return float(x)


def measured(x: float, data: Path) -> dict[str, float]:
    """x itself, given data that are there."""
    assert data.stat().st_size > 0
    return {"score": float(x)}


def fussy(x: int, bad: str, at: int, seconds: float = 0.0) -> Any:
    """x itself, but at `at` something goes wrong."""
    time.sleep(seconds)
    return _BAD[bad]() if x == at else {"score": float(x)}


def climb(x: float, report: Report, steps: int = 8, seconds: float = 0.02) -> float:
    """Comes nearer to x with every step, and says so."""
    value = 0.0
    for step in range(1, steps + 1):
        time.sleep(seconds)
        value = x * step / steps
        report("score", value, step)
    return value


def kind(kind: str, depth: int | None = None, rate: float | None = None) -> dict[str, float]:
    """What a nested search space gives: a tree has a depth, a line has a rate."""
    assert (kind == "tree") == (depth is not None)
    assert (kind == "line") == (rate is not None)
    return {"score": float(depth if depth is not None else rate or 0.0)}


def _raise() -> None:
    raise RuntimeError("the reactor is too hot")


def _crash() -> None:
    ctypes.string_at(0)


def _hang() -> None:
    while True:
        time.sleep(60)


def _exhaust() -> None:
    raise MemoryError


def _exit() -> None:
    raise SystemExit(3)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


_BAD: dict[str, Callable[[], Any]] = {
    "raise": _raise,
    "crash": _crash,
    "kill": _kill,
    "exit": _exit,
    "hang": _hang,
    "oom": _exhaust,
    "nan": lambda: {"score": math.nan},
    "endless": lambda: {"score": math.inf},
    "missing": lambda: {"scroe": 1.0},
    "text": lambda: "high",
}
