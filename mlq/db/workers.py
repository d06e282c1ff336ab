"""Workers: registered when they start, seen with every heartbeat, gone when they are silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Float,
    bindparam,
    case,
    delete,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.engine import RowMapping

from mlq.db.events import record
from mlq.db.tables import jobs, workers
from mlq.db.types import Timestamp, now, now_plus
from mlq.db.upsert import conflict_insert
from mlq.errors import NotFoundError
from mlq.ids import parse_id
from mlq.lifecycle import State

#: A worker that has not been seen for so many seconds counts as gone.
SILENT_AFTER_S = 35.0
_HIDE_AFTER_S = 3600.0
_FORGET_AFTER_S = 86400.0


def register(conn: Connection, worker: Mapping[str, Any]) -> None:
    """Add a worker that has just started; worker: the columns of `workers` but state and times.

    A worker whose keeper was started again registers once more, under the same id.
    """
    times = {"state": "online", "busy": 0, "seen_at": now(), "idle_since": now()}
    statement = conflict_insert(conn, workers).values(**worker, **times, started_at=now())
    conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=times))
    record(
        conn,
        "worker.online",
        subject=f"worker:{worker['name']}",
        detail={key: worker[key] for key in ("host", "computes", "slots", "version")},
    )
    conn.execute(delete(workers).where(workers.c.seen_at < now_plus(-_FORGET_AFTER_S)))


_BEAT = (
    update(workers)
    .where(workers.c.id == bindparam("worker"))
    .values(
        busy=bindparam("taken"),
        state=case(
            (workers.c.drain_requested_at.is_not(None), "draining"), else_=bindparam("as_state")
        ),
        seen_at=now(),
        idle_since=case(
            (bindparam("taken") >= workers.c.slots, literal(None, Timestamp())),
            (workers.c.idle_since.is_(None), now()),
            else_=workers.c.idle_since,
        ),
    )
    .returning(workers.c.drain_requested_at)
)
_RENEW = (
    update(jobs)
    .where(
        tuple_(jobs.c.id, jobs.c.attempt).in_(bindparam("pairs", expanding=True)),
        jobs.c.state == State.RUNNING.value,
    )
    .values(lease_expires_at=now_plus(bindparam("lease_s", type_=Float)))
    .returning(jobs.c.id, jobs.c.attempt, jobs.c.cancel_requested_at)
)
_CANCELED = select(jobs.c.id, jobs.c.attempt).where(
    jobs.c.id.in_(bindparam("ids", expanding=True)), jobs.c.cancel_requested_at.is_not(None)
)


def beat(conn: Connection, worker_id: str, *, busy: int, state: str) -> bool | None:
    """The worker lives; whether it may take work. state: online or draining.

    None when it is not registered (any more: after a day of sleep), so that it must register.
    """
    beaten = conn.execute(_BEAT, {"worker": worker_id, "taken": busy, "as_state": state}).first()
    return None if beaten is None else beaten.drain_requested_at is None


def request_drain(conn: Connection, worker_id: str, *, actor: str) -> bool:
    """The worker is to take no further step and to end those that it runs; False: it was so."""
    wanted = _set_drain(conn, worker_id, at=now(), state="draining")
    if wanted is not None:
        record(conn, "worker.drain", subject=f"worker:{wanted.name}", actor=actor)
    return wanted is not None


def resume(conn: Connection, worker_id: str, *, actor: str) -> bool:
    """The worker takes steps again; False: nobody had wanted it drained."""
    wanted = _set_drain(conn, worker_id, at=None, state="online")
    if wanted is not None:
        record(conn, "worker.resume", subject=f"worker:{wanted.name}", actor=actor)
    return wanted is not None


def _set_drain(conn: Connection, worker_id: str, *, at: Any, state: str) -> Any:
    asked = workers.c.drain_requested_at
    statement = (
        update(workers)
        .where(workers.c.id == worker_id, asked.is_(None) if at is not None else asked.is_not(None))
        .values(drain_requested_at=at, state=state)
        .returning(workers.c.name)
    )
    return conn.execute(statement).first()


def find(conn: Connection, reference: str) -> RowMapping:
    """The live worker of that name or id, with the database's time as `now`.

    Raises NotFoundError, which says whether there was one.
    """
    is_meant = workers.c.name == reference
    if (worker_id := parse_id(reference)) is not None:
        is_meant = or_(is_meant, workers.c.id == worker_id)
    query = select(workers, now().label("now")).where(is_meant)
    rows = list(conn.execute(query.order_by(workers.c.id.desc())).mappings())
    for row in rows:
        is_seen = (row["now"] - row["seen_at"]).total_seconds() <= SILENT_AFTER_S
        if is_seen and row["state"] != "offline":
            return row
    what = "is offline" if rows else "is not known"
    raise NotFoundError(
        f"The worker '{reference}' {what}.", hint="`mlq worker list` shows who works."
    )


def renew(
    conn: Connection, held: Sequence[tuple[str, int]], *, lease_s: float
) -> dict[tuple[str, int], bool]:
    """Renew the leases of attempts in one statement.

    held: (id, attempt) pairs. Returns those that are still current, with whether a cancel was
    requested; a pair that is missing has lost its fence.
    """
    if not held:
        return {}
    rows = conn.execute(_RENEW, {"pairs": list(held), "lease_s": float(lease_s)})
    return {(row.id, row.attempt): row.cancel_requested_at is not None for row in rows}


def canceled(conn: Connection, held: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
    """Those of `held` that should stop because a cancel was requested."""
    if not held:
        return set()
    rows = conn.execute(_CANCELED, {"ids": [job_id for job_id, _ in held]})
    return {(row.id, row.attempt) for row in rows} & set(held)


def canceled_trials(conn: Connection, trials: Sequence[str]) -> set[str]:
    """Those of `trials`, which runners are at, that were canceled one by one."""
    if not trials:
        return set()
    return {row.id for row in conn.execute(_CANCELED, {"ids": list(trials)})}


def retire(conn: Connection, worker_id: str, *, name: str) -> None:
    """The worker has stopped in good order."""
    conn.execute(
        update(workers)
        .where(workers.c.id == worker_id)
        .values(state="offline", busy=0, seen_at=now(), idle_since=None)
    )
    record(conn, "worker.offline", subject=f"worker:{name}")


def live(conn: Connection) -> list[Any]:
    """The rows of workers that have been seen lately and have not retired."""
    return list(
        conn.execute(
            select(workers)
            .where(workers.c.state != "offline", workers.c.seen_at > now_plus(-SILENT_AFTER_S))
            .order_by(workers.c.id)
        )
    )


def page(
    conn: Connection, *, limit: int, after: str | None = None, with_gone: bool = False
) -> list[RowMapping]:
    """Workers by id, ids after `after` only, with the database's time as `now`.

    with_gone: also those that have not been seen for an hour.
    """
    query = select(workers, now().label("now")).order_by(workers.c.id).limit(limit)
    if after is not None:
        query = query.where(workers.c.id > after)
    if not with_gone:
        query = query.where(workers.c.seen_at > now_plus(-_HIDE_AFTER_S))
    return list(conn.execute(query).mappings())


def live_slots(conn: Connection) -> dict[str, int]:
    """Slots of live workers that take new jobs, by compute."""
    slots: dict[str, int] = {}
    for worker in live(conn):
        if worker.state == "online":
            for compute in worker.computes:
                slots[compute] = slots.get(compute, 0) + worker.slots
    return slots


def known_computes(conn: Connection) -> set[str]:
    """Computes that some worker serves, or served within the last day."""
    return {compute for row in conn.scalars(select(workers.c.computes)) for compute in row}


def idle_since(conn: Connection) -> dict[str, datetime]:
    """By compute, since when a live worker of it has had a free slot without a break."""
    since: dict[str, datetime] = {}
    for worker in live(conn):
        if worker.state != "online" or worker.idle_since is None:
            continue
        for compute in worker.computes:
            if compute not in since or worker.idle_since < since[compute]:
                since[compute] = worker.idle_since
    return since
