"""Schedulers that are killed: run by test_schedules.py as a process of its own.

`python -m tests.integration.workers.scheduler_simulation URL SEED BEGIN END` forks three schedulers
on one database and one clock, which is moved from BEGIN to END; at random moments one is killed
with SIGKILL and another forked in its place. All exit once everything that is due has fired.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import sys
import time
from datetime import UTC, datetime, timedelta

from mlq.db import Database
from mlq.db import schedules as rows
from mlq.errors import UnavailableError
from mlq.service.capacity import Windows
from mlq.settings import Settings
from mlq_workers.scheduler import Scheduler

SCHEDULERS = 3
STEP = timedelta(minutes=7)
PAUSE_S = 0.004
KILL_EVERY = 12  # steps, on average
PATIENCE_S = 240


def main(url: str, seed: int, begin: datetime, end: datetime) -> int:
    """Returns how many schedulers were killed."""
    dice = random.Random(seed)
    clock = mmap.mmap(-1, 8)
    _set(clock, begin)
    alive = [_start(url, clock) for _ in range(SCHEDULERS)]
    killed = 0
    moment = begin
    while moment < end:
        moment = min(moment + STEP, end)
        _set(clock, moment)
        time.sleep(PAUSE_S * dice.random() * 2)
        if dice.random() < 1 / KILL_EVERY:
            victim = dice.randrange(SCHEDULERS)
            os.kill(alive[victim], signal.SIGKILL)
            os.waitpid(alive[victim], 0)
            alive[victim] = _start(url, clock)
            killed += 1
    database = Database.open(url)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with database.read() as conn:
            if not rows.due(conn, now=end, limit=1):
                break
        time.sleep(0.05)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return killed


def _start(url: str, clock: mmap.mmap) -> int:
    pid = os.fork()
    if pid:
        return pid
    database = Database.open(url, pool_size=2)
    scheduler = Scheduler(Settings(), database, windows=Windows(per_slot=8))
    while True:
        try:
            scheduler.run(now=_now(clock))
        except UnavailableError as error:  # a neighbour was killed in the middle of its turn
            print(error, file=sys.stderr)
        time.sleep(0.002)


def _set(clock: mmap.mmap, moment: datetime) -> None:
    clock[:8] = struct.pack("d", moment.timestamp())


def _now(clock: mmap.mmap) -> datetime:
    (seconds,) = struct.unpack("d", clock[:8])
    return datetime.fromtimestamp(seconds, UTC)


if __name__ == "__main__":
    _, address, seed_, *span = sys.argv
    print(main(address, int(seed_), *(datetime.fromisoformat(text) for text in span)))
