"""The curve of what a command uses: of bounded length, however long it takes."""

from __future__ import annotations

import os

import psutil
import pytest

from mlq_workers.runner.meter import FIRST_INTERVAL_S, MAX_SAMPLES, Meter


def test_a_long_curve_is_thinned_out() -> None:
    meter, at_s = Meter(lambda: (0.5, 7)), 0.0
    mine = [psutil.Process(os.getpid())]
    for number in range(10 * MAX_SAMPLES):
        at_s += meter.interval_s
        meter.look(mine, at_s=at_s, rss_bytes=number)
        assert len(meter.samples) < MAX_SAMPLES
    assert meter.interval_s > 8 * FIRST_INTERVAL_S
    times = [sample.at_s for sample in meter.samples]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(at_s, abs=meter.interval_s)
    assert {(sample.gpu, sample.gpu_memory_bytes) for sample in meter.samples} == {(0.5, 7)}
    held = [sample.rss_bytes for sample in meter.samples]
    assert held == sorted(held)  # the highest of each stretch


def test_busy_processes_show_as_cpus() -> None:
    meter = Meter()
    mine = psutil.Process(os.getpid())
    times = mine.cpu_times()
    before = times.user + times.system + times.children_user + times.children_system
    meter.look([mine], at_s=1.0, rss_bytes=0)
    (sample,) = meter.samples
    assert sample.cpu > before - 0.005  # clock ticks, summed in another order
    assert sample.gpu is None
