"""The installation that faults are tried on, and what is run on it meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
from sqlalchemy import select

from benchmarks.chaos.proxy import Proxy
from mlq.db.tables import events, jobs
from mlq.errors import UnavailableError
from mlq.lifecycle import TERMINAL
from mlq.testing import invariants
from tests.acceptance.stack import Part, Stack, wait_for
from tests.servers import Broker, EmbeddedPostgres

_ENDS = ("job.succeed", "job.fail", "job.cancel", "job.skip")
#: Longer than any fault lasts and any lease: who has not ended by then is stuck.
PATIENCE_S = 120.0
_PIPELINES = 4
_TRIALS = 60
_SHOWN = 3


@dataclass(slots=True)
class Field:
    """stack: with an API and a worker. database, broker_proxy: on the way to the two servers.

    postgres: the server itself where it is ours to stop; None on SQLite.
    """

    stack: Stack
    rng: Random
    broker: Broker
    broker_proxy: Proxy
    database_proxy: Proxy | None
    postgres: EmbeddedPostgres | None
    api: Part
    worker: Part
    start_worker: Callable[..., Part]

    def renew_worker(self, **more: Any) -> None:
        """Start a worker in place of the one that is gone."""
        self.worker = self.start_worker(**more)

    def repair(self) -> None:
        """End what a fault that went wrong has left behind, and start what it has left without."""
        for part in self.stack.parts:
            if part not in (self.worker, self.api):
                part.kill()
        if not self.worker.is_running:
            self.renew_worker()
        if not self.api.is_running:
            self.renew_api()

    def renew_api(self) -> None:
        """Start the API in place of the one that is gone."""
        self.api = self.stack.start_api()


@dataclass(slots=True)
class Tally:
    """What a row of the table says."""

    faults: int = 0
    accepted: list[str] = field(default_factory=list)
    outcomes: int = 0
    duplicates: int = 0
    lost: int = 0
    unsuccessful: int = 0
    charged: int = 0
    worst_recovery_s: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether every promise held."""
        return not (self.duplicates or self.lost or self.unsuccessful or self.violations)


def submit_load(field: Field, tally: Tally) -> None:
    """Submit pipelines and a sweep; what got an answer of 2xx is accepted."""
    seed = field.rng.randrange(10**9)
    documents = [_pipeline(seed + number) for number in range(_PIPELINES)]
    documents.append(sweep(seed, trials=_TRIALS))
    for number, document in enumerate(documents):
        tally.accepted.append(submit(field, document, key=f"chaos-{seed}-{number}"))


def submit(field: Field, document: dict[str, Any], *, key: str) -> str:
    """Submit until it is answered with 2xx, each time with the same key; the job's id."""

    def once() -> str | None:
        try:
            return field.stack.submit(document, key=key)
        except (httpx.TransportError, AssertionError):  # away, or an honest 503
            return None

    found = wait_for(once, PATIENCE_S, what="the API accepts a job")
    assert found is not None, "wait_for returns what is true"
    return found


def probe(field: Field, tally: Tally, *, since: float) -> None:
    """Let a job run through; `since` then is how long nobody could get anything done."""
    key = f"probe-{field.rng.randrange(10**12)}"
    job = submit(field, {**_PASS, "display_name": key, "jobs": _PASS["jobs"]}, key=key)
    tally.accepted.append(job)
    wait_for(lambda: _state(field, job) in TERMINAL, PATIENCE_S, what="a job runs again")
    tally.worst_recovery_s = max(tally.worst_recovery_s, time.monotonic() - since)


def settle(field: Field, tally: Tally) -> None:
    """Wait for every accepted job and count what became of them."""
    deadline = time.monotonic() + PATIENCE_S
    left = set(tally.accepted)
    while left and time.monotonic() < deadline:
        left = {job for job in left if _state(field, job) not in TERMINAL}
        time.sleep(0.1 if left else 0)
    tally.lost = len(left)
    with field.stack.database.read() as conn:
        rows = conn.execute(select(jobs).where(jobs.c.root_id.in_(tally.accepted))).all()
        kinds = conn.execute(
            select(events.c.job_id, events.c.generation).where(
                events.c.root_id.in_(tally.accepted), events.c.kind.in_(_ENDS)
            )
        ).all()
    ends = Counter((row.job_id, row.generation) for row in kinds)
    tally.outcomes = sum(row.state in TERMINAL for row in rows)
    tally.duplicates = sum(count - 1 for count in ends.values())
    tally.unsuccessful = (
        sum(
            row.state not in ("succeeded", "canceled")
            or (row.parent_id is None and row.state != "succeeded")
            for row in rows
        )
        - tally.lost
    )
    tally.charged = sum(row.lost_count for row in rows)
    tally.violations = invariants.audit(field.stack.database)
    failed = [row for row in rows if row.state == "failed" and row.is_leaf][:_SHOWN]
    tally.violations += [f"{row.path} failed ({row.reason}): {row.error}" for row in failed]


def _state(field: Field, job: str) -> str | None:
    try:
        return str(field.stack.job(job)["state"])
    except UnavailableError:
        return None


_PASS: dict[str, Any] = {
    "type": "pipeline",
    "jobs": {"only": {"component": "mlq:pass", "inputs": {"value": 1}}},
}


def _pipeline(number: int) -> dict[str, Any]:
    """Two commands between two components, one after the other."""
    value = "${{parent.jobs.%s.outputs.%s}}"
    return {
        "type": "pipeline",
        "display_name": f"chain-{number}",
        "jobs": {
            "a": {"component": "mlq:pass", "inputs": {"value": number}},
            "b": {
                "type": "command",
                "command": "sleep 0.6; echo ${{inputs.value}} > ${{outputs.done}}/n",
                "inputs": {"value": value % ("a", "value")},
                "outputs": {"done": {"type": "uri_folder"}},
            },
            "c": {
                "type": "command",
                "command": "cat ${{inputs.done}}/n; sleep 0.3",
                "inputs": {"done": value % ("b", "done")},
            },
            "d": {
                "component": "mlq:pass",
                "inputs": {"value": 2, "done": value % ("b", "done")},
            },
        },
    }


def sweep(seed: int, *, trials: int) -> dict[str, Any]:
    """A random sweep of short trials in the worker's own process."""
    uniform = {"type": "uniform", "min_value": -1, "max_value": 1}
    return {
        "type": "sweep",
        "display_name": f"sweep-{seed}",
        "trial": "mlq:call",
        "inputs": {"function": "benchmarks.sweeps.objectives:bowl", "seconds": 0.02},
        "search_space": {"x": uniform, "y": uniform},
        "sampling_algorithm": {"type": "random", "seed": seed % 2**31},
        "objective": {"primary_metric": "value", "goal": "minimize"},
        "limits": {"max_total_trials": trials, "max_concurrent_trials": 2},
    }
