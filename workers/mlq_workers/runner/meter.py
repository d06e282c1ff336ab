"""What a command uses while it runs: a curve of bounded length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import psutil

from mlq.db.usage import Sample

#: Of a curve. When it is full, neighbours become one and samples are taken half as often.
MAX_SAMPLES = 120
FIRST_INTERVAL_S = 1.0
#: Utilization (0 to 1) and used bytes of the GPUs that a command sees; None where unknown.
AskGpus = Callable[[], tuple[float | None, int | None]]


class Meter:
    """Takes samples of a group of processes. interval_s: how far apart they are to be."""

    def __init__(self, ask_gpus: AskGpus | None = None) -> None:
        self.interval_s = FIRST_INTERVAL_S
        self.samples: list[Sample] = []
        self._ask_gpus = ask_gpus
        self._at_s = 0.0
        self.cpu_s = 0.0  # of the processes that the last look saw

    def look(self, processes: Sequence[psutil.Process], *, at_s: float, rss_bytes: int) -> None:
        """Add a sample. at_s: since the command began; rss_bytes: of `processes` together."""
        cpu_s = sum(map(_cpu_s, processes))
        passed_s = at_s - self._at_s
        if passed_s <= 0:
            return
        gpu, gpu_memory_bytes = self._ask_gpus() if self._ask_gpus else (None, None)
        cpu = max(0.0, cpu_s - self.cpu_s) / passed_s  # what ended meanwhile is not seen
        self.samples.append(Sample(at_s, cpu, rss_bytes, gpu, gpu_memory_bytes))
        self._at_s, self.cpu_s = at_s, cpu_s
        if len(self.samples) >= MAX_SAMPLES:
            pairs = zip(self.samples[::2], self.samples[1::2], strict=False)
            self.samples = [_merge(one, other) for one, other in pairs]
            self.interval_s *= 2


def _cpu_s(process: psutil.Process) -> float:
    """Of a process and of those that it waited for."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    waited = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(times.user + times.system + waited)


def _merge(one: Sample, other: Sample) -> Sample:
    """Two neighbours as one: the mean of rates, the highest of what is held."""
    return replace(
        other,
        cpu=(one.cpu + other.cpu) / 2,
        rss_bytes=max(one.rss_bytes, other.rss_bytes),
        gpu=_mean(one.gpu, other.gpu),
        gpu_memory_bytes=max(one.gpu_memory_bytes or 0, other.gpu_memory_bytes or 0) or None,
    )


def _mean(one: float | None, other: float | None) -> float | None:
    known = [value for value in (one, other) if value is not None]
    return sum(known) / len(known) if known else None
