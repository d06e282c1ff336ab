"""A simulated fleet: `python -m benchmarks.fleet`.

Worker parents as processes, with fake executors (a step only takes time) on real claims, leases,
outcomes and reconciliation, in PostgreSQL. A queue between processes stands in for the broker. For
each number of slots, doubling: claims a second, what a claim, an outcome, a heartbeat and a pass of
the reconciler cost, and the most that a limit and a quota ever had in use, counted by an onlooker.
Exit code 1 when one of them was exceeded, or a step was lost.
"""

from __future__ import annotations

import argparse
import heapq
import json
import multiprocessing as mp
import os
import queue
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from mlq.db import Database, migrate, workers
from mlq.db.tables import jobs
from mlq.db.transitions import StaleAttempt
from mlq.db.window import Delivery
from mlq.ids import new_id
from mlq.service import execution, limits, projects
from mlq.service import jobs as jobs_service
from mlq.service.capacity import Windows
from mlq.service.execution import Report, SpecCache
from mlq.settings import Settings
from mlq.spec import compile_job, read_document
from mlq_workers.reconciler import Reconciler
from tests.servers import EmbeddedPostgres, Postgres

LIMIT, QUOTA = "store", "busy"
SLOTS_PER_WORKER = 10
HEARTBEAT_S = 5.0
LEASE_S = 30.0


@dataclass(frozen=True)
class Stage:
    """What one number of slots showed; times in ms, medians."""

    slots: int
    steps: int
    seconds: float
    claims_per_s: float
    claim_ms: float
    limited_claim_ms: float
    commit_ms: float
    beat_ms: float
    leases_per_beat: float
    reconcile_ms: float
    limit: int
    most_of_limit: int
    quota: int
    most_of_quota: int
    lost: int


class Wire:
    """The broker's place: what the reconciler and workers need of one."""

    def __init__(self, messages: Any) -> None:
        self._messages = messages

    def publish(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._messages.put(delivery.links[0].id)

    def depth(self, compute: str) -> int:
        return int(self._messages.qsize())


def work(
    url: str, messages: Any, said: Any, stop: Any, number: int, slots: int, step_s: float
) -> None:
    """One process with several worker parents' slots, until `stop`."""
    database = Database.open(url, pool_size=2)
    windows, specs, wire = Windows(per_slot=8), SpecCache(), Wire(messages)
    names = [f"worker-{number}-{place}" for place in range(max(1, slots // SLOTS_PER_WORKER))]
    parents = {name: new_id() for name in names}
    for name, worker_id in parents.items():
        database.transact(workers.register, _worker(worker_id, name, slots // len(parents)))
    held: list[tuple[float, int, Any]] = []
    times: dict[str, list[float]] = defaultdict(list)
    leases: list[int] = []
    beat_at = time.monotonic() + HEARTBEAT_S * number / 8
    count = 0

    def timed(kind: str, call: Any, *args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            times[kind].append((time.perf_counter() - began) * 1000)

    given: dict[str, Any] = {"lease_s": LEASE_S, "spec_cache": specs}
    while not stop.is_set():
        while held and held[0][0] <= time.monotonic():
            _, _, attempt = heapq.heappop(held)
            try:
                done = timed(
                    "commit",
                    database.transact,
                    execution.succeed,
                    attempt,
                    {},
                    said=Report(),
                    windows=windows,
                    refill=count % 4 == 0,
                )
            except StaleAttempt:
                continue
            wire.publish(done.deliveries)
        if time.monotonic() >= beat_at:
            beat_at += HEARTBEAT_S
            for place, worker_id in enumerate(parents.values()):
                mine = [(a.claim.id, a.claim.attempt) for _, _, a in held[place :: len(parents)]]
                leases.append(len(mine))
                timed("beat", database.transact, _beat, worker_id, mine)
        if len(held) >= slots:
            time.sleep(max(0.0, min(held[0][0], beat_at) - time.monotonic()))
            continue
        try:
            job_id = messages.get(timeout=0.02)
        except queue.Empty:
            continue
        worker = names[count % len(names)]
        attempt = timed(
            "claim", database.transact_single, execution.begin, job_id, worker=worker, **given
        )
        if attempt is None:
            times["claim"].pop()
            attempt = timed(
                "limited",
                database.transact,
                execution.begin_limited,
                job_id,
                ask_gpus=lambda memory_bytes: [],
                **given,
            )
        if attempt is not None:
            count += 1
            heapq.heappush(held, (time.monotonic() + step_s, count, attempt))
    said.put((dict(times), leases, count))
    database.close()


def _worker(worker_id: str, name: str, slots: int) -> dict[str, Any]:
    return {
        "id": worker_id, "name": name, "host": name, "pid": os.getpid(), "version": "bench",
        "computes": ["cpu"], "slots": slots, "cores": slots, "memory_bytes": 0, "gpus": [],
    }  # fmt: skip


def _beat(conn: Connection, worker_id: str, held: list[tuple[str, int]]) -> None:
    workers.renew(conn, held, lease_s=LEASE_S)
    workers.beat(conn, worker_id, busy=len(held), state="online")


def reconcile(url: str, messages: Any, said: Any, stop: Any, home: str) -> None:
    """The real reconciler, on the wire in place of a broker."""
    settings = Settings(home=Path(home), database_url=url)
    reconciler = Reconciler(
        holder="bench",
        settings=settings,
        database=Database.open(url, pool_size=2),
        broker=Wire(messages),  # type: ignore[arg-type]
    )
    took = []
    while not stop.wait(settings.reconcile_s):
        began = time.perf_counter()
        reconciler.reconcile()
        took.append((time.perf_counter() - began) * 1000)
    said.put(took)


def run_stage(url: str, *, slots: int, step_s: float, seconds: float, home: str) -> Stage:
    """Fill a fleet of `slots` and look on for some seconds after it is full."""
    database = Database.open(url, pool_size=4)
    limit, quota = max(2, slots // 10), max(2, slots // 4)
    windows = Windows(per_slot=8)
    database.transact(limits.set_limit, LIMIT, limit, actor="bench", windows=windows)
    with database.write() as conn:
        projects.create(conn, QUOTA, actor="bench")
    database.transact(limits.set_quota, QUOTA, quota, actor="bench", windows=windows)
    messages, said, passes, stop = mp.Queue(), mp.Queue(), mp.Queue(), mp.Event()
    processes = max(1, min(8, slots // SLOTS_PER_WORKER))
    parts = [
        mp.Process(target=work, args=(url, messages, said, stop, n, slots // processes, step_s))
        for n in range(processes)
    ]
    parts.append(mp.Process(target=reconcile, args=(url, messages, passes, stop, home)))
    for part in parts:
        part.start()
    count = min(2000, int(slots * (seconds / step_s + 3)))
    for project, share in ((QUOTA, 0.4), (None, 0.6)):
        document = read_document(_pipeline(int(count * share)), media_type="application/json")
        submitted = database.transact(
            jobs_service.submit,
            compile_job(document, computes=None),
            actor="bench",
            document="{}",
            media_type="application/json",
            windows=windows,
            project=project,
        )
        Wire(messages).publish(submitted.deliveries)
    time.sleep(step_s)
    before, began = _started(database), time.monotonic()
    most = {LIMIT: 0, QUOTA: 0}
    while time.monotonic() < began + seconds:
        for name, found in _in_use(database).items():
            most[name] = max(most[name], found)
        time.sleep(0.05)
    wall = time.monotonic() - began
    started = _started(database) - before
    stop.set()
    found = [said.get(timeout=60) for _ in range(processes)]
    took = passes.get(timeout=60)
    for part in parts:
        part.join(30)
    times: dict[str, list[float]] = defaultdict(list)
    for of_process, _, _ in found:
        for kind, values in of_process.items():
            times[kind] += values
    with database.read() as conn:
        lost = conn.scalar(select(func.count()).where(jobs.c.lost_count > 0)) or 0
    database.close()
    leases = [number for _, beats, _ in found for number in beats]
    return Stage(
        slots=slots,
        steps=started,
        seconds=round(wall, 1),
        claims_per_s=round(started / wall, 1),
        claim_ms=_median(times["claim"]),
        limited_claim_ms=_median(times["limited"]),
        commit_ms=_median(times["commit"]),
        beat_ms=_median(times["beat"]),
        leases_per_beat=round(statistics.mean(leases), 1) if leases else 0.0,
        reconcile_ms=_median(took),
        limit=limit,
        most_of_limit=most[LIMIT],
        quota=quota,
        most_of_quota=most[QUOTA],
        lost=lost,
    )


def _pipeline(count: int) -> bytes:
    """`count` steps beside each other, every fourth under the limit."""
    step = {"command": "true"}
    limited = {**step, "limits": {"concurrency": LIMIT}}
    steps = {f"s{n}": limited if n % 4 == 0 else step for n in range(count)}
    return json.dumps({"type": "pipeline", "jobs": steps}).encode()


def _in_use(database: Database) -> dict[str, int]:
    """What runs now, counted from the jobs themselves and not from what holds places."""
    running = select(func.count()).where(jobs.c.state == "running", jobs.c.is_leaf)
    with database.read() as conn:
        return {
            LIMIT: conn.scalar(running.where(jobs.c.demands.is_not(None))) or 0,
            QUOTA: conn.scalar(running.where(jobs.c.project == QUOTA)) or 0,
        }


def _started(database: Database) -> int:
    with database.read() as conn:
        return conn.scalar(select(func.count()).where(jobs.c.is_leaf, jobs.c.attempt > 0)) or 0


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 2) if values else 0.0


def main() -> int:
    """Run the stages, print a table, write all figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--slots", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--step-s", type=float, default=4.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/fleet.json"))
    given = parser.parse_args()
    postgres: Postgres = EmbeddedPostgres(durable=True)
    stages = []
    try:
        with tempfile.TemporaryDirectory(prefix="mlq-fleet-") as home:
            for slots in given.slots:
                url = postgres.create()
                migrate.upgrade(url)
                stage = run_stage(
                    url, slots=slots, step_s=given.step_s, seconds=given.seconds, home=home
                )
                stages.append(stage)
                print(
                    " ".join(f"{key}={value}" for key, value in asdict(stage).items()), flush=True
                )
                postgres.drop(url)
    finally:
        postgres.close()
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps([asdict(stage) for stage in stages], indent=2))
    broken = [
        stage
        for stage in stages
        if stage.most_of_limit > stage.limit or stage.most_of_quota > stage.quota or stage.lost
    ]
    print(
        "Limits and quotas were kept, and no step was lost." if not broken else f"BROKEN: {broken}"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
