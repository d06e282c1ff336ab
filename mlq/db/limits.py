"""Limits that all machines keep together: by name, by project, and of the memory of a GPU.

What an attempt holds is a row beside it, which counts only while that attempt runs: nothing has to
be given back when it ends, however it ends, and so nothing can be forgotten. Who claims takes the
limit's own row first (`mlq.db.transitions.limited`), so that two cannot see the same last place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.engine import RowMapping

from mlq.db.projects import DEFAULT
from mlq.db.tables import jobs, limit_holds, limits, projects
from mlq.db.types import now
from mlq.db.upsert import conflict_insert
from mlq.lifecycle import State

NAMED = "limit"
PROJECT = "project"
GPU = "gpu"
#: Steps that a wake lets try again where nobody can say how many have room.
_TRY_AT_ONCE = 8
_FREE_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Demand:
    """What an attempt would hold. amount: places, or MiB of a GPU's memory.

    capacity: of a GPU, which its worker knows and nobody sets; free: what the GPU itself says.
    """

    kind: str
    name: str
    amount: int = 1
    capacity: int | None = None
    free: int | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Names the limit."""
        return self.kind, self.name


_HOLDER_RUNS = exists().where(
    jobs.c.id == limit_holds.c.job_id,
    jobs.c.attempt == limit_holds.c.attempt,
    jobs.c.state == State.RUNNING.value,
)


def set_capacity(conn: Connection, kind: str, name: str, capacity: int, *, actor: str) -> None:
    """Let at most `capacity` be held from now on; what is held already stays."""
    values = {"capacity": capacity, "set_by": actor, "set_at": now()}
    statement = conflict_insert(conn, limits).values(kind=kind, name=name, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["kind", "name"], set_=values))


def remove(conn: Connection, kind: str, name: str) -> bool:
    """Let anybody hold any number; False where there was no limit."""
    statement = delete(limits).where(limits.c.kind == kind, limits.c.name == name)
    return bool(conn.execute(statement).rowcount)


def list_all(conn: Connection, kind: str) -> list[RowMapping]:
    """Limits of a kind by name: name, capacity, set_by, set_at, in_use, waiting."""
    in_use = (
        select(func.coalesce(func.sum(limit_holds.c.amount), 0))
        .where(limit_holds.c.kind == limits.c.kind, limit_holds.c.name == limits.c.name)
        .where(_HOLDER_RUNS)
        .scalar_subquery()
    )
    waiting = (
        select(func.count())
        .where(
            jobs.c.state == State.QUEUED.value,
            jobs.c.blocked_by == limits.c.kind + "/" + limits.c.name,
        )
        .scalar_subquery()
    )
    query = select(limits, in_use.label("in_use"), waiting.label("waiting"))
    return list(conn.execute(query.where(limits.c.kind == kind).order_by(limits.c.name)).mappings())


def known(conn: Connection, names: Iterable[str]) -> set[str]:
    """Those of `names` that are limits."""
    query = select(limits.c.name).where(limits.c.kind == NAMED, limits.c.name.in_(list(names)))
    return set(conn.scalars(query))


def shares(conn: Connection) -> dict[str, int | None] | None:
    """project -> its quota; None where there are neither other projects nor quotas."""
    quotas = conn.execute(
        select(limits.c.name, limits.c.capacity).where(limits.c.kind == PROJECT)
    ).all()
    names = conn.scalars(select(projects.c.name)).all()
    if not quotas and not names:
        return None
    found: dict[str, int | None] = dict.fromkeys([DEFAULT, *names])
    return found | {row.name: row.capacity for row in quotas}


def take(conn: Connection, demands: Sequence[Demand]) -> tuple[list[Demand], Demand | None]:
    """Lock the limits of `demands` for this transaction, and look whether there is room.

    Returns the demands that a limit stands behind, and the first of them that does not fit.
    """
    for demand in demands:
        if demand.capacity is not None:
            statement = conflict_insert(conn, limits).values(
                kind=demand.kind,
                name=demand.name,
                capacity=demand.capacity,
                set_by="",
                set_at=now(),
            )
            conn.execute(statement.on_conflict_do_nothing())
    capacities: dict[tuple[str, str], int] = {}
    for kind, name in sorted(demand.key for demand in demands):  # one order for all
        capacity = conn.scalar(_LOCK, {"limit_kind": kind, "limit_name": name})
        if capacity is not None:
            capacities[kind, name] = capacity
    real = [demand for demand in demands if demand.key in capacities]
    for demand in real:
        # a statement of its own after the lock: it sees what the last holder has committed
        conn.execute(_SWEEP, {"limit_kind": demand.kind, "limit_name": demand.name})
        used = conn.scalar(_USED, {"limit_kind": demand.kind, "limit_name": demand.name})
        capacity = capacities[demand.key] if demand.capacity is None else demand.capacity
        is_free = demand.free is None or demand.amount <= demand.free
        if int(used or 0) + demand.amount > capacity or not is_free:
            return real, demand
    return real, None


def hold(conn: Connection, demands: Sequence[Demand], job_id: str, attempt: int) -> None:
    """Note what an attempt holds; `take` has found room in the same transaction."""
    rows = [
        {
            "kind": demand.kind,
            "name": demand.name,
            "job_id": job_id,
            "attempt": attempt,
            "amount": demand.amount,
        }
        for demand in demands
    ]
    conn.execute(limit_holds.insert(), rows)


def block(conn: Connection, job_id: str, key: str) -> None:
    """A queued leaf waits for a limit, and not for a message."""
    conn.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state == State.QUEUED.value)
        .values(blocked_by=key, dispatched_at=None)
    )


def blocking(conn: Connection) -> list[str]:
    """What queued leaves wait for, as `kind/name`."""
    query = select(jobs.c.blocked_by).where(
        jobs.c.state == State.QUEUED.value, jobs.c.blocked_by.is_not(None)
    )
    return list(conn.scalars(query.distinct()))


def wake(conn: Connection, keys: Iterable[str]) -> set[str]:
    """Let leaves try again that wait for what has room now, the best first.

    keys: as `kind/name`. Returns the computes on which they now wait for a message.
    """
    computes: set[str] = set()
    for key in sorted(set(keys)):
        kind, _, name = key.partition("/")
        room = _TRY_AT_ONCE if kind == GPU else _room(conn, kind, name)
        if room > 0:
            rows = conn.execute(_WAKE, {"key": key, "room": room})
            computes.update(row.compute for row in rows)
    return computes


def freed(held: Sequence[Sequence[str]], compute: str) -> list[str]:
    """Keys for `wake` of what an attempt on `compute` held."""
    return [f"{kind}/{compute if kind == GPU else name}" for kind, name in held]


def _room(conn: Connection, kind: str, name: str) -> int:
    bound = {"limit_kind": kind, "limit_name": name}
    capacity = conn.scalar(_CAPACITY, bound)
    if capacity is None:
        return _FREE_AT_ONCE
    return int(capacity) - int(conn.scalar(_IN_USE, bound) or 0)


_IS_LIMIT = and_(limits.c.kind == bindparam("limit_kind"), limits.c.name == bindparam("limit_name"))
_IS_HOLD = and_(
    limit_holds.c.kind == bindparam("limit_kind"), limit_holds.c.name == bindparam("limit_name")
)
_CAPACITY = select(limits.c.capacity).where(_IS_LIMIT)
_LOCK = _CAPACITY.with_for_update()
_SWEEP = delete(limit_holds).where(_IS_HOLD, ~_HOLDER_RUNS)
_USED = select(func.sum(limit_holds.c.amount)).where(_IS_HOLD)
_IN_USE = _USED.where(_HOLDER_RUNS)
_WAKE = (
    update(jobs)
    .where(
        jobs.c.id.in_(
            select(jobs.c.id)
            .where(jobs.c.state == State.QUEUED.value, jobs.c.blocked_by == bindparam("key"))
            .where(or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now()))
            .order_by(jobs.c.priority.desc(), jobs.c.turn, jobs.c.queued_at)
            .limit(bindparam("room"))
            .with_for_update(skip_locked=True)
            .cte("woken")
            .select()
        )
    )
    .values(blocked_by=None)
    .returning(jobs.c.compute)
)
