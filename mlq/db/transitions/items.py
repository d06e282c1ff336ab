"""The items of a `parallel_for`: so many at once, and then what is made of all of them.

Pure but for `read`. What happens next is told from all children, so that it does not matter which
change of which of them is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select

from mlq.db.tables import jobs
from mlq.lifecycle import LIVE, Role, State

_CHILDREN = (
    select(jobs.c.id, jobs.c.role, jobs.c.state)
    .where(jobs.c.parent_id == bindparam("parent"))
    .order_by(jobs.c.ordinal)
)


@dataclass(frozen=True, slots=True)
class Next:
    """What comes next. start: items whose turn it is; collect: the leaf that collects, if it is its
    turn; skip: the same if there is nothing to collect."""

    start: Sequence[str] = ()
    collect: str | None = None
    skip: str | None = None


def read(conn: Connection, job_id: str) -> Sequence[Any]:
    """The children of a `parallel_for`, in order."""
    return conn.execute(_CHILDREN, {"parent": job_id}).all()


def find_next(children: Sequence[Any], rule: Mapping[str, Any]) -> Next:
    """children: with id, role and state, in order. rule: `max_concurrency`, None for no bound."""
    expand, *_ = (child for child in children if child.role == Role.EXPAND)
    items = [child for child in children if child.role == Role.ITEM]
    last = next((child.id for child in children if _waits_to_collect(child)), None)
    if expand.state in LIVE:
        return Next()
    if expand.state != State.SUCCEEDED:
        return Next(skip=last)
    waiting = [child.id for child in items if child.state == State.PENDING]
    busy = sum(child.state in LIVE and child.state != State.PENDING for child in items)
    if waiting:
        most = rule["max_concurrency"]
        return Next(start=tuple(waiting if most is None else waiting[: max(0, most - busy)]))
    if busy:
        return Next()
    if all(child.state == State.SUCCEEDED for child in items):
        return Next(collect=last)
    return Next(skip=last)


def _waits_to_collect(child: Any) -> bool:
    return bool(child.role == Role.COLLECT and child.state == State.PENDING)
