"""The claim of a leaf that asks for more than a slot, or whose project has a quota.

Any other claim is one statement, which takes no such leaf. This one is a transaction: it locks the
limits that the leaf falls under, looks whether they have room, and claims and holds, or leaves the
leaf in the database until there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from mlq.db import limits
from mlq.db.limits import Demand
from mlq.db.projects import DEFAULT
from mlq.db.tables import jobs
from mlq.db.transitions.attempts import CLAIMABLE, Claim, take_claim
from mlq.lifecycle import State

_WANTED = select(jobs.c.compute, jobs.c.project, jobs.c.demands).where(
    jobs.c.id == bindparam("job"), jobs.c.state == State.QUEUED.value, *CLAIMABLE
)
_HOLD = update(jobs).where(jobs.c.id == bindparam("job")).values(held=bindparam("keys"))

#: memory_bytes that a step asks for -> what it would hold of its slot's GPUs; [] where a worker
#: knowingly has none
AskGpus = Callable[[int], Sequence[Demand]]


def claim_limited(
    conn: Connection, job_id: str, *, worker: str, lease_s: float, ask_gpus: AskGpus
) -> tuple[Claim, dict[str, dict[str, Any]]] | None:
    """As `claim`, for a leaf under limits; one that finds no room waits for them from now on."""
    row = conn.execute(_WANTED, {"job": job_id}).one_or_none()
    if row is None:
        return None
    demands = row.demands or {}
    wanted = [Demand(limits.NAMED, name) for name in demands.get("limits", ())]
    wanted.append(Demand(limits.PROJECT, row.project or DEFAULT))
    memory_bytes = demands.get("gpu_memory_bytes")
    if memory_bytes is not None:
        wanted += ask_gpus(memory_bytes)
    real, full = limits.take(conn, wanted)
    if full is not None:
        name = row.compute if full.kind == limits.GPU else full.name
        limits.block(conn, job_id, f"{full.kind}/{name}")
        return None
    claimed = take_claim(conn, job_id, worker=worker, lease_s=lease_s, limited=True)
    if claimed is None or not real:
        return claimed
    claim, upstreams = claimed
    keys = [list(demand.key) for demand in real]
    limits.hold(conn, real, job_id, claim.attempt)
    conn.execute(_HOLD, {"job": job_id, "keys": keys})
    return replace(claim, held=keys), upstreams
