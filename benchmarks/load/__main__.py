"""`python -m benchmarks.load`: 200 clients submit for 60 s; every accepted job must end.

    python -m benchmarks.load [--clients 200] [--seconds 60] [--pair postgresql+redis]

Each client has a connection of its own and sends the next job when the last one was answered; one
that is told to come later (429, 503) does. API, a worker and the clients share this machine. Exits
with 1 when an answer was a fault of the server, an accepted job did not end, or the audit speaks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random

import httpx
import psutil
from sqlalchemy import func, select

from benchmarks.chaos.field import Field
from benchmarks.chaos.servers import PAIRS, open_field
from benchmarks.sweeps.report import print_table
from mlq.db.tables import jobs
from mlq.lifecycle import TERMINAL
from mlq.testing import invariants

_JOB = json.dumps(
    {
        "type": "pipeline",
        "display_name": "load",
        "jobs": {"only": {"component": "mlq:pass", "inputs": {"value": 1}}},
    }
)
_MIB = 2**20
#: Answers by which an overloaded server asks for patience.
_LATER = (429, 503)


@dataclass(slots=True)
class Seen:
    """What the clients saw. latencies: of accepted jobs, in seconds; memory: bytes, each second."""

    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    without_advice: int = 0
    health: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Load an installation; 0 when it kept its promises."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pair", choices=PAIRS, default="postgresql+redis")
    parser.add_argument("--drain-minutes", type=float, default=30, help="for the jobs to end")
    options = parser.parse_args(arguments)
    with open_field(options.pair, Random(0), warm_modules="none") as here:
        seen = asyncio.run(_load(here, clients=options.clients, seconds=options.seconds))
        left, took_s = _wait(here, seen.accepted, minutes=options.drain_minutes)
        violations = invariants.audit(here.stack.database)
    faults = sum(
        count
        for status, count in seen.statuses.items()
        if not status.startswith("2") and int(status) not in _LATER
    )
    _print(options, seen, left=left, took_s=took_s, faults=faults)
    for violation in violations[:20]:
        print(f"  {violation}")
    is_well = not (left or violations or faults or seen.without_advice) and seen.accepted
    return 0 if is_well else 1


async def _load(here: Field, *, clients: int, seconds: float) -> Seen:
    client = here.stack.api
    assert client is not None, "the field has an API"
    address, headers = str(client.base_url), dict(client.headers)
    seen = Seen()
    async with AsyncExitStack() as opened:
        # a pool that all share would hand its connections out as it likes: some would starve
        https = [
            await opened.enter_async_context(
                httpx.AsyncClient(base_url=address, headers=headers, timeout=60, verify=False)
            )
            for _ in range(clients + 1)
        ]
        until = time.monotonic() + seconds
        await asyncio.gather(
            _watch(https.pop(), psutil.Process(here.api.pid), seen, until=until),
            *(_submit(http, seen, until=until) for http in https),
        )
    return seen


async def _submit(http: httpx.AsyncClient, seen: Seen, *, until: float) -> None:
    while time.monotonic() < until:
        began = time.perf_counter()
        answer = await http.post(
            "/v1/jobs", content=_JOB, headers={"content-type": "application/json"}
        )
        seen.statuses[str(answer.status_code)] += 1
        if answer.is_success:
            seen.latencies.append(time.perf_counter() - began)
            seen.accepted.append(answer.json()["id"])
        elif answer.status_code in _LATER:
            advice = answer.headers.get("retry-after", "")
            seen.without_advice += not advice.isdecimal()
            await asyncio.sleep(float(advice or 1))


async def _watch(http: httpx.AsyncClient, api: psutil.Process, seen: Seen, *, until: float) -> None:
    """Health once a second, and the API's memory."""
    while time.monotonic() < until:
        began = time.perf_counter()
        answer = await http.get("/healthz")
        seen.health.append(time.perf_counter() - began)
        seen.statuses[str(answer.status_code)] += not answer.is_success
        seen.memory.append(api.memory_info().rss)
        await asyncio.sleep(1)


def _wait(here: Field, accepted: Sequence[str], *, minutes: float) -> tuple[int, float]:
    """Wait for every job; how many have not ended, and how long that took."""
    began = time.monotonic()
    ended = select(func.count()).where(
        jobs.c.parent_id.is_(None), jobs.c.state.in_([state.value for state in TERMINAL])
    )
    while True:
        count = int(here.stack.read(lambda conn: conn.scalar(ended)) or 0)
        took_s = time.monotonic() - began
        if count >= len(accepted) or took_s > 60 * minutes:
            return len(accepted) - count, took_s
        time.sleep(1)


def _print(
    options: argparse.Namespace, seen: Seen, *, left: int, took_s: float, faults: int
) -> None:
    cuts = statistics.quantiles(seen.latencies, n=100, method="inclusive")
    third = max(1, len(seen.memory) // 3)
    early, late = (statistics.median(part) for part in (seen.memory[:third], seen.memory[-third:]))
    print_table(
        ["servers", "clients", "s", "accepted", "a second", "median ms", "p99 ms", "later",
         "faults", "not ended", "drained s", "health, worst ms", "API MiB, first and last third"],
        [[
            options.pair, str(options.clients), f"{options.seconds:g}", str(len(seen.accepted)),
            f"{len(seen.accepted) / options.seconds:.0f}", f"{cuts[49] * 1000:.0f}",
            f"{cuts[98] * 1000:.0f}", str(sum(seen.statuses[str(code)] for code in _LATER)),
            str(faults), str(left), f"{took_s:.0f}", f"{max(seen.health) * 1000:.0f}",
            f"{early / _MIB:.0f} {late / _MIB:.0f}",
        ]],
    )  # fmt: skip
    print("answers:", dict(seen.statuses))


if __name__ == "__main__":
    sys.exit(main())
