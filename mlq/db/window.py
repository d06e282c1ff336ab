"""The dispatch window: which queued leaves get a message, and when.

Only a few messages per live slot are outstanding on a compute, of a sweep's runners about one; the
rest wait in the database, where their order can still change. A leaf that is queued with
`dispatched_at` set has its message somewhere: together these rows are the outbox.

Order is (priority, turn, queued_at). `turn` shares a compute evenly between trees by start-time
fair queueing (Goyal, Vin, Cheng 1996): a leaf's turn follows the last one of its tree that waits
there, but never lies behind the turn that is being served now, so a tree that comes late is served
at once and a wide fan-out cannot keep others out. What a tree had elsewhere, or before the compute
last ran out of waiting leaves, does not count against it. Turn 0 is for what had its turn and comes
back (a retry, a lost attempt): work begun is finished first. A runner's turn is as long as several
of a step's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Float,
    Select,
    bindparam,
    case,
    column,
    func,
    literal_column,
    or_,
    select,
    update,
)

from mlq.db.roles import IS_RUNNER
from mlq.db.tables import jobs
from mlq.db.together import Prepared
from mlq.db.types import now
from mlq.lifecycle import Role

# as part of the text: for a parameter, no plan would use the partial indexes
_QUEUED = jobs.c.state == literal_column("'queued'")
_WAITING = (
    _QUEUED,
    jobs.c.dispatched_at.is_(None),
    jobs.c.blocked_by.is_(None),
    jobs.c.compute == bindparam("tag"),
)
#: What may have its message now; the rest of what waits is not due, or paused.
READY = (
    *_WAITING,
    or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now()),
    jobs.c.paused_at.is_(None),
)
BEST_FIRST = (jobs.c.priority.desc(), jobs.c.turn, jobs.c.queued_at)


@dataclass(frozen=True, slots=True)
class Link:
    """One leaf of a delivery."""

    id: str
    compute: str
    shadow: str


def take_back(conn: Connection, job_id: str) -> None:
    """The message of a leaf was worked off by a worker that takes no work: another one follows."""
    conn.execute(_TAKE_BACK, {"leaf": job_id})


_TAKE_BACK = (
    update(jobs)
    .where(jobs.c.id == bindparam("leaf"), _QUEUED, jobs.c.dispatched_at.is_not(None))
    .values(dispatched_at=None)
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to publish: a leaf and the rest of its linear run, in order."""

    links: tuple[Link, ...]


#: How many messages of leaves one of a sweep's runner stands for: it has a slot for a whole time
#: slice, and those behind it in the broker have to wait for that.
RUNNER_WEIGHT = 8
WEIGHT = case((IS_RUNNER, RUNNER_WEIGHT), else_=1)
_OUTSTANDING: Select[Any] = select(func.coalesce(func.sum(column("weight")), 0)).select_from(
    select(WEIGHT.label("weight"))
    .where(
        _QUEUED,
        jobs.c.dispatched_at.is_not(None),
        jobs.c.compute == bindparam("tag"),
    )
    .limit(bindparam("window"))
    .subquery()
)
_SERVED_NOW = (
    select(jobs.c.turn)
    .where(*_WAITING, jobs.c.turn > 0)
    .order_by(jobs.c.priority.desc(), jobs.c.turn)
    .limit(1)
)
_BEST = (
    select(jobs.c.id, jobs.c.priority, jobs.c.turn, jobs.c.queued_at, WEIGHT.label("weight"))
    .where(*READY)
    .order_by(*BEST_FIRST)
    .limit(bindparam("room"))
)
DISPATCHED = (
    jobs.c.id,
    jobs.c.compute,
    jobs.c.shadow,
    jobs.c.chain_id,
    jobs.c.chain_position,
    jobs.c.priority,
    jobs.c.turn,
)
# SKIP LOCKED (ignored by SQLite): two refills at once take different leaves instead of waiting.
# In a CTE, since PostgreSQL may run a plain subquery again and then exceed its LIMIT.
_CHOSEN = _BEST.with_for_update(skip_locked=True).cte("chosen")
_PLACED = select(
    _CHOSEN.c.id,
    _CHOSEN.c.weight,
    func.sum(_CHOSEN.c.weight)
    .over(order_by=(_CHOSEN.c.priority.desc(), _CHOSEN.c.turn, _CHOSEN.c.queued_at, _CHOSEN.c.id))
    .label("sum"),
).cte("placed")
_FITTING = select(_PLACED.c.id).where(_PLACED.c.sum - _PLACED.c.weight < bindparam("room"))
_DISPATCH = (
    update(jobs)
    .where(jobs.c.id.in_(_FITTING), jobs.c.dispatched_at.is_(None))
    .values(dispatched_at=now())
    .returning(*DISPATCHED)
)
_DISPATCH_CHOSEN = (
    update(jobs)
    .where(jobs.c.id.in_(bindparam("chosen", expanding=True)), _QUEUED)
    .where(jobs.c.dispatched_at.is_(None))
    .values(dispatched_at=now())
    .returning(*DISPATCHED)
)
_TAILS = (
    select(jobs.c.id, jobs.c.compute, jobs.c.shadow, jobs.c.chain_id, jobs.c.chain_position)
    .where(jobs.c.chain_id.in_(bindparam("chains", expanding=True)))
    .order_by(jobs.c.chain_id, jobs.c.chain_position)
)
#: A row that `standing_of` reads; parameters: `tag`, the compute, and `window`, its size.
STANDING = Prepared(
    select(
        _OUTSTANDING.scalar_subquery().label("outstanding"),
        _SERVED_NOW.scalar_subquery().label("served"),
    )
)
_TAKE_TURNS = (
    update(jobs)
    .where(jobs.c.id.in_(bindparam("leaves", expanding=True)))
    .values(turn=bindparam("start", type_=Float) + (jobs.c.ordinal + bindparam("shift")) * WEIGHT)
)
_OWN_LAST = select(func.max(jobs.c.turn)).where(*_WAITING, jobs.c.root_id == bindparam("root"))


_OTHERS = (
    select(jobs.c.id)
    .where(
        _QUEUED,
        jobs.c.compute == bindparam("tag"),
        jobs.c.parent_id.is_distinct_from(bindparam("sweep")),
        jobs.c.paused_at.is_(None),
        or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now()),
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a compute stands. room: messages it may have more; served: the turn of the next waiting
    leaf, None when nobody waits."""

    room: int
    served: float | None


def standing_of(row: Any, *, window: int) -> Standing:
    """How a compute stands; row: of STANDING."""
    return Standing(max(0, window - row.outstanding), row.served)


def weight_of(role: str | None) -> int:
    """How many messages of ordinary leaves one of a leaf with that role stands for."""
    return RUNNER_WEIGHT if role == Role.RUNNER else 1


def room(conn: Connection, compute: str, *, window: int) -> int:
    """How many more messages `compute` may have outstanding."""
    counted = conn.scalar(_OUTSTANDING, {"tag": compute, "window": window})
    return max(0, window - int(counted or 0))


def others_wait(conn: Connection, compute: str, *, sweep_id: str) -> bool:
    """Whether a leaf of anything but that sweep is queued on `compute`."""
    return conn.scalar(_OTHERS, {"tag": compute, "sweep": sweep_id}) is not None


def take_turns(conn: Connection, root_id: str, compute: str, leaves: Mapping[str, int]) -> None:
    """Give newly queued leaves of one tree their turns on `compute`; leaves: id -> ordinal."""
    start = _start(conn, root_id, compute)
    shift = 1 - min(leaves.values())
    conn.execute(_TAKE_TURNS, {"leaves": list(leaves), "start": start, "shift": shift})


def take_next_turn(conn: Connection, root_id: str, compute: str, runner_id: str) -> None:
    """Give a runner that has had its turn the next one of its tree."""
    turn = _start(conn, root_id, compute) + RUNNER_WEIGHT
    conn.execute(update(jobs).where(jobs.c.id == runner_id).values(turn=turn))


def _start(conn: Connection, root_id: str, compute: str) -> float:
    """The turn after which a tree's next one comes."""
    served = conn.scalar(_SERVED_NOW, {"tag": compute})
    if served is None:
        return 0.0
    own = conn.scalar(_OWN_LAST, {"tag": compute, "root": root_id})
    return max(float(served), float(own or 0.0))


def refill(conn: Connection, compute: str, *, window: int) -> list[Delivery]:
    """Mark the best waiting leaves of `compute` as dispatched, as many as there is room for.

    The caller publishes the deliveries after the commit; if it cannot, the reconciler does later.
    """
    free = room(conn, compute, window=window)
    if free == 0:
        return []
    rows = conn.execute(_DISPATCH, {"tag": compute, "room": free}).all()
    # UPDATE … RETURNING promises no order, and the best should be delivered first.
    rows = sorted(rows, key=lambda row: (-row.priority, row.turn, row.id))
    return with_tails(conn, rows)


def dispatch(conn: Connection, chosen: Sequence[str]) -> list[Delivery]:
    """Mark these waiting leaves as dispatched, in this order."""
    place = {job_id: number for number, job_id in enumerate(chosen)}
    rows = conn.execute(_DISPATCH_CHOSEN, {"chosen": list(chosen)}).all()
    return with_tails(conn, sorted(rows, key=lambda row: place[row.id]))


def with_tails(conn: Connection, heads: Sequence[Any]) -> list[Delivery]:
    """Deliveries for dispatched leaves; heads: rows with the columns of DISPATCHED."""
    chains = {row.chain_id for row in heads if row.chain_id is not None}
    tails: dict[str, list[tuple[int, Link]]] = {}
    if chains:
        for row in conn.execute(_TAILS, {"chains": sorted(chains)}):
            link = Link(row.id, row.compute, row.shadow)
            tails.setdefault(row.chain_id, []).append((row.chain_position, link))
    return [
        Delivery(
            (
                Link(row.id, row.compute, row.shadow),
                *_after(tails.get(row.chain_id, ()), row.chain_position),
            )
        )
        for row in heads
    ]


def _after(chain: Iterable[tuple[int, Link]], position: int | None) -> Iterable[Link]:
    return (link for at, link in chain if position is not None and at > position)
