"""Workers, queues, and why a job waits, in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, literal_column, select
from sqlalchemy.engine import RowMapping

from mlq.db.queries.sharing import limit_words
from mlq.db.tables import job_edges, jobs, workers
from mlq.db.types import now, now_plus
from mlq.db.workers import SILENT_AFTER_S
from mlq.lifecycle import LIVE, JobType, Role, State

_LOOKED_AT = 200
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Queue:
    """One compute as it stands.

    queued: leaves in state `queued`, of which `outstanding` have their message at the broker.
    slots, workers: of live workers that serve it. oldest_queued_s: None when nothing is queued.
    """

    compute: str
    queued: int
    outstanding: int
    running: int
    slots: int
    busy: int
    workers: int
    oldest_queued_s: float | None


def live_workers(conn: Connection) -> list[RowMapping]:
    """Workers whose heartbeat was seen lately and that are not offline."""
    query = select(workers).where(
        workers.c.seen_at > now_plus(-SILENT_AFTER_S), workers.c.state != "offline"
    )
    return list(conn.execute(query.order_by(workers.c.name)).mappings())


def queues(conn: Connection) -> list[Queue]:
    """Every compute that has a live worker or a live leaf, by name."""
    queued: Counter[str] = Counter()
    outstanding: Counter[str] = Counter()
    ages: dict[str, float] = {}
    moment = conn.execute(select(now())).scalar_one()
    for dispatched in (False, True):
        # one half each, so that each is read from its partial index
        half = jobs.c.dispatched_at.is_not(None) if dispatched else jobs.c.dispatched_at.is_(None)
        for compute, count, oldest in conn.execute(
            select(jobs.c.compute, func.count(), func.min(jobs.c.queued_at))
            .where(jobs.c.state == "queued", half)
            .group_by(jobs.c.compute)
        ):
            queued[compute] += count
            if dispatched:
                outstanding[compute] = count
            if oldest is not None:
                age = max(0.0, (moment - oldest).total_seconds())
                ages[compute] = max(age, ages.get(compute, 0.0))
    running: Counter[str] = Counter()
    for compute, count in conn.execute(
        select(jobs.c.compute, func.count())
        .where(jobs.c.state == "running", jobs.c.lease_expires_at.is_not(None))
        .group_by(jobs.c.compute)
    ):
        running[compute] = count
    slots: Counter[str] = Counter()
    busy: Counter[str] = Counter()
    count_of: Counter[str] = Counter()
    for row in live_workers(conn):
        for compute in row["computes"]:
            count_of[compute] += 1
            if row["state"] == "online":
                slots[compute] += row["slots"]
                busy[compute] += row["busy"]
    names = {name for name in (*queued, *running, *count_of) if name}
    return [
        Queue(
            compute=name,
            queued=queued[name],
            outstanding=outstanding[name],
            running=running[name],
            slots=slots[name],
            busy=busy[name],
            workers=count_of[name],
            oldest_queued_s=ages.get(name),
        )
        for name in sorted(names)
    ]


def waiting_words(conn: Connection, rows: Sequence[RowMapping]) -> Mapping[str, str]:
    """job id -> why it waits, for those of `rows` (with `now`) that are pending or queued.

    A sweep that runs waits as well, while none of its runners does.
    """
    words: dict[str, str] = {}
    pending = [row for row in rows if row["state"] == State.PENDING]
    queued = [row for row in rows if row["state"] == State.QUEUED]
    sweeps = [row for row in rows if row["type"] == JobType.SWEEP and row["state"] == State.RUNNING]
    leaves = [row for row in queued if row["role"] != Role.TRIAL or not row["is_leaf"]]
    if pending:
        words.update(_pending_words(conn, pending))
    if leaves:
        words.update(_queued_words(conn, leaves))
    if sweeps:
        words.update(_sweep_words(conn, sweeps))
    for row in rows:
        if row["state"] == State.WAITING:
            words[row["id"]] = "a person must decide"
    for row in (*pending, *leaves, *sweeps):
        if row["paused_at"] is not None:
            words[row["id"]] = "paused"
    return words


def _sweep_words(conn: Connection, rows: Sequence[RowMapping]) -> dict[str, str]:
    """Why nothing of these sweeps runs: what its next leaf waits for."""
    # by the index of leases, which are as few as slots, and not among thousands of trials
    query = select(jobs.c.parent_id).where(
        jobs.c.state == literal_column("'running'"),
        jobs.c.lease_expires_at.is_not(None),
        jobs.c.role.is_not(None),
    )
    busy = set(conn.scalars(query))
    found: dict[str, RowMapping] = {}
    for row in rows:
        if row["id"] not in busy and row["paused_at"] is None:
            leaf = conn.execute(_NEXT_LEAF, {"sweep": row["id"]}).mappings().first()
            if leaf is not None and leaf["not_before"] is None:  # else it looks after its trials
                found[row["id"]] = leaf
    words = _queued_words(conn, list(found.values())) if found else {}
    return {sweep_id: words[leaf["id"]] for sweep_id, leaf in found.items()}


_NEXT_LEAF = (
    select(jobs, now().label("now"))
    .where(
        jobs.c.parent_id == bindparam("sweep"),
        jobs.c.role.in_((Role.RUNNER.value, Role.BEST.value)),
        jobs.c.state == State.QUEUED.value,
    )
    .order_by(jobs.c.ordinal)
    .limit(1)
)


def _pending_words(conn: Connection, rows: Sequence[RowMapping]) -> dict[str, str]:
    waits: dict[str, list[str]] = defaultdict(list)
    for downstream, name in conn.execute(
        select(job_edges.c.downstream, jobs.c.name)
        .join(jobs, jobs.c.id == job_edges.c.upstream)
        .where(
            job_edges.c.downstream.in_([row["id"] for row in rows]), jobs.c.state.in_(sorted(LIVE))
        )
        .order_by(jobs.c.ordinal)
    ):
        waits[downstream].append(name)
    orphans = {row["parent_id"] for row in rows if row["id"] not in waits and row["parent_id"]}
    parents: dict[str, str] = {}
    if orphans:
        query = select(jobs.c.id, jobs.c.name).where(jobs.c.id.in_(orphans))
        parents = {row.id: row.name for row in conn.execute(query)}
    words = {}
    for row in rows:
        if row["role"] == Role.FINALLY:
            words[row["id"]] = "runs when the other steps have ended"
        elif row["role"] == Role.ITEM:
            words[row["id"]] = "waits for its turn among the items"
        elif row["id"] in waits:
            words[row["id"]] = f"waiting for {listed(waits[row['id']])}"
        elif row["role"] == Role.ROUND and row["ordinal"]:
            kind = row["name"].partition("-")[0]
            verb = "goes on" if kind == "iteration" else "is not good enough"
            words[row["id"]] = f"needed only if {kind}-{row['ordinal']} {verb}"
        elif row["parent_id"] in parents:
            words[row["id"]] = f"waiting for {parents[row['parent_id']]} to start"
        else:
            words[row["id"]] = "about to start"
    return words


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    if len(names) > _NAMED:
        return ", ".join(names[:_NAMED]) + f" and {len(names) - _NAMED} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _queued_words(conn: Connection, rows: Sequence[RowMapping]) -> dict[str, str]:
    alive = live_workers(conn)
    words = limit_words(conn, rows, alive)
    ahead: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["id"] in words:
            continue
        compute = row["compute"] or ""
        serving = [worker for worker in alive if compute in worker["computes"]]
        if row["not_before"] is not None and row["not_before"] > row["now"]:
            seconds = (row["not_before"] - row["now"]).total_seconds()
            words[row["id"]] = f"retry in {seconds:.0f} s"
        elif not serving:
            words[row["id"]] = (
                f"no live worker serves compute {compute}; start one with `mlq worker -Q {compute}`"
            )
        else:
            if compute not in ahead:
                ahead[compute] = _order(conn, compute)
            order = ahead[compute]
            # where all were looked at, one that is missing was claimed after its row was read
            missing = _LOOKED_AT if len(order) >= _LOOKED_AT else 0
            place = order.get(row["id"], missing)
            words[row["id"]] = _place_in_words(place, compute=compute, serving=serving)
    return words


def _place_in_words(place: int, *, compute: str, serving: Iterable[RowMapping]) -> str:
    if place >= _LOOKED_AT:
        return f"more than {_LOOKED_AT} ahead"
    if place:
        return f"{place} ahead"
    online = [worker for worker in serving if worker["state"] == "online"]
    slots = sum(worker["slots"] for worker in online)
    if not online:
        return f"every worker of {compute} is draining"
    if sum(worker["busy"] for worker in online) >= slots:
        return f"all {slots} slots of {compute} busy" if slots > 1 else f"{compute} is busy"
    return "about to start"


def _order(conn: Connection, compute: str) -> dict[str, int]:
    """job id -> how many start before it, for the first few of one compute."""
    mine = [jobs.c.state == "queued", jobs.c.compute == compute, jobs.c.paused_at.is_(None)]
    sent = select(jobs.c.id).where(*mine, jobs.c.dispatched_at.is_not(None))
    rest = select(jobs.c.id).where(*mine, jobs.c.dispatched_at.is_(None))
    ids = list(conn.execute(sent.order_by(jobs.c.dispatched_at).limit(_LOOKED_AT)).scalars())
    order = (jobs.c.priority.desc(), jobs.c.turn, jobs.c.queued_at)
    ids += conn.execute(rest.order_by(*order).limit(_LOOKED_AT - len(ids))).scalars()
    return {job_id: place for place, job_id in enumerate(ids)}
