"""Ten thousand trials of a millisecond: whether the last ones cost more than the first.

Beside it how many messages the broker holds and, in a second sweep like the first, the memory of
API and worker: PSS, with all that they started. Between the two as many trials are stored as fill
SQLite's page caches, 16 MB for each connection, which would count as growth else.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

from benchmarks.idle import read_pss_mb
from benchmarks.sweeps.report import Check, print_table
from benchmarks.sweeps.system import Run, System, running_system
from mlq.onemachine.processes import descendants

TRIALS = 10_000
FILLING_TRIALS = 25_000
OBJECTIVE_S = 0.001
CONCURRENT = 4
#: Trials that are left out at the start, and those that make up a figure: shares of all.
_WARM = 0.05
_COMPARED = 0.1
MAX_SLOWDOWN = 1.2
#: Growth between the first and the last quarter of the run that still counts as flat.
MAX_GROWTH_MB = 5.0
_QUEUE_POLL_S = 0.02
_MEMORY_POLL_S = 0.25


class Watch:
    """Looks at memory and queue while a sweep runs."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._api = system.open_api() if system.api_url is not None else None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.longest_queue = 0
        #: (seconds, MB of the API, MB of the worker)
        self.memory: list[tuple[float, float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._api is not None:
            self._api.close()

    def _look(self) -> None:
        began = time.monotonic()
        looked = float("-inf")
        while not self._ended.wait(_QUEUE_POLL_S):
            self.longest_queue = max(self.longest_queue, self._system.queue_length())
            if time.monotonic() - looked >= _MEMORY_POLL_S:
                looked = time.monotonic()
                if self._api is not None:  # somebody looks at what runs
                    self._api.get("/v1/jobs").raise_for_status()
                api, worker = (
                    _family_mb(pid) for pid in (self._system.api_pid, self._system.worker_pid)
                )
                self.memory.append((looked - began, api, worker))


def run(*, is_quick: bool = False) -> dict[str, Any]:
    """Measure; prints tables and returns all figures."""
    count = TRIALS // 5 if is_quick else TRIALS
    filling = FILLING_TRIALS // 10 if is_quick else FILLING_TRIALS
    with (
        tempfile.TemporaryDirectory(prefix="mlq-bench-") as folder,
        running_system(Path(folder), with_api=True) as system,
    ):
        system.run(_document(100))  # warm
        with Watch(system) as watch:
            done = system.run(_document(count))
        system.run(_document(filling, seconds=0))
        with Watch(system) as later:
            system.run(_document(count))
    first_ms, last_ms = _paces(done)
    longest = max(watch.longest_queue, later.longest_queue)
    print(
        f"\n{count} trials of {1e3 * OBJECTIVE_S:g} ms, two slots: {first_ms:.3f} ms each at the "
        f"beginning, {last_ms:.3f} ms at the end; the broker held at most {longest} messages."
    )
    for title, memory in (("fresh", watch.memory), ("filled", later.memory)):
        shown = memory[:: max(1, len(memory) // 8)]
        print_table(
            [f"PSS in MB after s, {title}", *(f"{row[0]:.0f}" for row in shown)],
            [
                [name, *(f"{row[at]:.1f}" for row in shown)]
                for at, name in ((1, "API"), (2, "worker"))
            ],
        )
    growth = {
        name: _growth([row[at] for row in later.memory]) for at, name in ((1, "API"), (2, "worker"))
    }
    return {
        "figures": {
            "trials": count,
            "first_ms": first_ms,
            "last_ms": last_ms,
            "longest_queue": longest,
            "memory_mb": {"fresh": watch.memory, "filled": later.memory},
        },
        "checks": [
            Check("time per trial, end / beginning", last_ms / first_ms, "<=", MAX_SLOWDOWN),
            Check("messages in the broker", longest, "<=", CONCURRENT),
            *(
                Check(f"{name}: MB gained", value, "<=", MAX_GROWTH_MB)
                for name, value in growth.items()
            ),
        ],
    }


def _document(count: int, *, seconds: float = OBJECTIVE_S) -> dict[str, Any]:
    uniform = {"type": "uniform", "min_value": -1, "max_value": 1}
    return {
        "type": "sweep",
        "trial": "mlq:call",
        "inputs": {"function": "benchmarks.sweeps.objectives:bowl", "seconds": seconds},
        "search_space": {"x": uniform, "y": uniform},
        "sampling_algorithm": "random",
        "objective": {"primary_metric": "value", "goal": "minimize"},
        "limits": {"max_total_trials": count, "max_concurrent_trials": CONCURRENT},
    }


def _paces(run: Run) -> tuple[float, float]:
    """Milliseconds from one trial's end to the next one's: at the beginning, and at the end."""
    ends = sorted(row["finished_at"].timestamp() for row in run.trials())
    warm, compared = int(_WARM * len(ends)), int(_COMPARED * len(ends))
    first = (ends[warm + compared] - ends[warm]) / compared
    last = (ends[-1] - ends[-1 - compared]) / compared
    return 1e3 * first, 1e3 * last


def _growth(values: list[float]) -> float:
    """From the median of the first quarter to that of the last."""
    quarter = max(1, len(values) // 4)
    return statistics.median(values[-quarter:]) - statistics.median(values[:quarter])


def _family_mb(pid: int | None) -> float:
    return 0.0 if pid is None else sum(read_pss_mb(one) for one in (pid, *descendants(pid)))
