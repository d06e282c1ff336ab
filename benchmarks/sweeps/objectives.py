"""Functions that the sweeps of these benchmarks call by `mlq:call`."""

from __future__ import annotations

import time


def bowl(x: float, y: float, seconds: float = 0.001) -> float:
    """A bowl with its bottom, 0, at (0.3, -0.2), after so many seconds of a busy processor."""
    spin(seconds)
    return (x - 0.3) ** 2 + (y + 0.2) ** 2


def spin(seconds: float) -> float:
    """Keep the processor busy; returns the seconds that it took."""
    began = time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        pass
    return took


def step(seconds: float, after: object = None) -> float:
    """A step of a pipeline that keeps the processor busy. after: what the one before returned."""
    return spin(seconds)
