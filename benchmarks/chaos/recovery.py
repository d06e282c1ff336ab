"""`python -m benchmarks.chaos.recovery`: how soon a step runs again, with default settings.

Rows: a pool process is killed; a host that does not lead recovery; the leader's. From the kill
until every step that ran there runs again somewhere.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import psutil
from sqlalchemy import select

from benchmarks.chaos.field import Field
from benchmarks.chaos.servers import PAIRS, open_field
from benchmarks.sweeps.report import print_table
from mlq.db.tables import jobs, leases, workers
from mlq.settings import Settings
from mlq.testing import invariants
from mlq_workers.reconciler import DUTY
from tests.acceptance.stack import TIMINGS, wait_for

CHILD_S = 5.0
HOST_S = 45.0
_PATIENCE_S = 240.0
_SLOTS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 when every row is within its limit and the audit is silent."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos.recovery", description=__doc__
    )
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=["postgresql+redis"])
    options = parser.parse_args(arguments)
    defaults = {name: Settings.model_fields[name].default for name in TIMINGS}
    rows: list[tuple[str, str, float, float]] = []
    violations: list[str] = []
    for pair in options.pairs:
        # no step needs a warm process, and starting one would be measured with the rest
        with open_field(pair, Random(0), warm_modules="none", **defaults) as field:
            rows.append((pair, "a pool child is killed", CHILD_S, _kill_child(field)))
            rows.append((pair, "a host is killed", HOST_S, _kill_host(field, leads=False)))
            rows.append(
                (pair, "the leader's host is killed", HOST_S, _kill_host(field, leads=True))
            )
            violations += invariants.audit(field.stack.database)
    print_table(
        ["servers", "fault", "limit s", "running again after s"],
        [[pair, name, f"{limit:g}", f"{took:.1f}"] for pair, name, limit, took in rows],
    )
    for violation in violations:
        print(violation)
    return 1 if violations or any(took > limit for _, _, limit, took in rows) else 0


def _kill_child(field: Field) -> float:
    job = field.stack.submit({"type": "command", "command": "sleep 600"})
    _wait_until_running(field, {job: 0})
    child = next(child for child in field.worker.pool() if child.children())
    took = _kill(field, [child], {job: 1})
    field.stack.cancel(job)
    field.stack.wait(job, "canceled")
    return took


def _kill_host(field: Field, *, leads: bool) -> float:
    """Kill one of two hosts: all its processes at once, so that nobody is left to say so."""
    field.worker.stop()
    field.renew_worker(slots=_SLOTS)
    parts = {part.pid: part for part in (field.worker, field.start_worker(slots=_SLOTS))}
    document = {"type": "command", "command": "sleep 600"}
    ours = [field.stack.submit(document) for _ in range(_SLOTS + 1)]  # some on each
    _wait_until_running(field, dict.fromkeys(ours, 0))
    leader = wait_for(lambda: _leader(field), what="somebody leads")
    assert leader is not None, "wait_for returns what is true"
    pid = leader if leads else next(pid for pid in parts if pid != leader)
    with field.stack.database.read() as conn:
        name = conn.scalar(select(workers.c.name).where(workers.c.pid == pid))
        query = select(jobs.c.id, jobs.c.attempt).where(jobs.c.worker == name, jobs.c.id.in_(ours))
        hit = {row.id: row.attempt for row in conn.execute(query)}
    assert hit, f"no step runs on {name}"
    for job in set(ours) - set(hit):  # there must be room for those that were hit
        field.stack.cancel(job)
        field.stack.wait(job, "canceled")
    took = _kill(field, parts[pid].family(), hit)
    for job in hit:
        field.stack.cancel(job)
    for job in hit:
        field.stack.wait(job, "canceled")
    field.worker = next(part for part in parts.values() if part.pid != pid)
    return took


def _kill(field: Field, processes: Sequence[psutil.Process], attempts: dict[str, int]) -> float:
    """Kill `processes`; seconds until every job runs in an attempt beyond its one of `attempts`."""
    began = time.monotonic()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    _wait_until_running(field, attempts)
    return time.monotonic() - began


def _wait_until_running(field: Field, attempts: dict[str, int]) -> None:
    def all_run() -> bool:
        rows = [(field.stack.job(job), before) for job, before in attempts.items()]
        return all(row["state"] == "running" and row["attempt"] > before for row, before in rows)

    wait_for(all_run, _PATIENCE_S, what="all steps run")


def _leader(field: Field) -> int | None:
    """Process id of the worker that leads recovery."""
    with field.stack.database.read() as conn:
        holder = conn.scalar(select(leases.c.holder).where(leases.c.name == DUTY))
        if not holder:
            return None
        query = select(workers.c.pid).where(workers.c.id == holder, workers.c.state == "online")
        pid: int | None = conn.scalar(query)
        return pid


if __name__ == "__main__":
    sys.exit(main())
