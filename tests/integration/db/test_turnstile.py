"""Writers of one SQLite file take turns; heartbeats go first."""

from __future__ import annotations

import multiprocessing
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mlq.db import events
from mlq.db.engine import Database
from mlq.db.turnstile import Turnstile
from mlq.errors import UnavailableError
from tests.integration.db.queue import race

SATURATED_S = 1.2


def saturate(url: str, ready: Any, until: Any) -> int:
    """Commit as often as it goes; how often it did."""
    database = Database.open(url)
    commits = 0
    ready.wait(20)
    while not until.is_set():
        with database.write() as conn:
            events.record(conn, "test.event")
        commits += 1
    database.close()
    return commits


def fairness(counts: list[int]) -> str:
    return f"commits per writer: {counts}"


def test_four_threads_get_their_share(sqlite_url: str) -> None:
    barrier, until = threading.Barrier(4), threading.Event()
    stopper = threading.Timer(SATURATED_S, until.set)
    stopper.start()
    counts = [
        n for n in race(*[lambda: saturate(sqlite_url, barrier, until)] * 4) if type(n) is int
    ]

    assert len(counts) == 4
    assert min(counts) * 3 >= max(counts), fairness(counts)


def test_four_processes_get_their_share(sqlite_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(4) as pool:
        barrier, until = manager.Barrier(5), manager.Event()
        running = [pool.apply_async(saturate, (sqlite_url, barrier, until)) for _ in range(4)]
        barrier.wait(30)
        time.sleep(SATURATED_S)  # the load itself
        until.set()
        counts = [result.get(20) for result in running]

    assert min(counts) * 3 >= max(counts), fairness(counts)


def test_a_heartbeat_walks_past_the_queue(tmp_path: Path) -> None:
    turnstile = Turnstile(tmp_path / "mlq.db")
    until = threading.Event()
    turns: list[float] = []
    waited: list[int] = []

    def ordinary() -> None:
        while not until.is_set():
            with turnstile.turn(timeout_s=10):
                turns.append(time.monotonic())
                time.sleep(0.002)  # the transaction

    def heartbeat() -> None:
        for _ in range(40):
            before = len(turns)
            with turnstile.turn(timeout_s=10, urgent=True):
                waited.append(len(turns) - before)
        until.set()

    for result in race(*[ordinary] * 3, heartbeat):
        assert result is None

    # one of four equals would wait for three turns each time
    assert sum(waited) <= 2 * len(waited), waited


def test_waiting_has_an_end(tmp_path: Path) -> None:
    turnstile = Turnstile(tmp_path / "mlq.db")
    with turnstile.turn(timeout_s=1):
        for urgent in (False, True):
            with pytest.raises(UnavailableError) as caught:
                turnstile.turn(timeout_s=0.01, urgent=urgent).__enter__()
            assert caught.value.code == "database_busy"
    with turnstile.turn(timeout_s=1):
        pass


def test_a_holder_that_dies_gives_the_turn_back(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_die_inside, args=(tmp_path / "mlq.db",))
    process.start()
    process.join(30)
    assert process.exitcode == -9

    with Turnstile(tmp_path / "mlq.db").turn(timeout_s=1):
        pass


def _die_inside(path: Path) -> None:
    import os
    import signal

    Turnstile(path).turn(timeout_s=1).__enter__()
    os.kill(os.getpid(), signal.SIGKILL)
