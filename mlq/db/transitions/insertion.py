"""Storing a new tree, in the state it is in once everything that can start has started.

What can start is known from the rows themselves, so it is written at once instead of being inserted
as pending and updated: a submit of a small pipeline is a handful of statements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Integer, bindparam, update

from mlq.db.events import current_txid, event_row
from mlq.db.tables import events, job_edges, jobs
from mlq.db.together import Bulk, insert_together
from mlq.db.transitions.cascade import close_empty
from mlq.db.window import Delivery, Link, Standing, take_turns, weight_of
from mlq.lifecycle import JobType, State


@dataclass(slots=True)
class Inserted:
    """A stored tree.

    rows: as they are in the database; None where some have ended at once and must be read again.
    deliveries: leaves that have been dispatched; ready: computes on which further leaves wait for a
    message.
    """

    rows: list[dict[str, Any]] | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    ready: set[str] = field(default_factory=set)


#: What nobody has touched yet.
_NEW = {
    **dict.fromkeys(jobs.c.keys()),
    "attempt": 0,
    "failure_count": 0,
    "lost_count": 0,
    "generation": 1,
    "no_more_children": True,
}
_INSERT_JOBS = Bulk(jobs, jobs.c.keys())
_INSERT_EDGES = Bulk(job_edges, job_edges.c.keys())
_INSERT_EVENTS = Bulk(events, [*event_row(""), "at"], txid=current_txid())


def insert_tree(
    conn: Connection,
    rows: Sequence[dict[str, Any]],
    edges: Sequence[dict[str, str]],
    *,
    standings: Mapping[str, Standing],
    at: datetime,
    warnings: Sequence[str] = (),
) -> Inserted:
    """Store a tree, root first, and queue what can start.

    rows: the columns of `jobs` but for those of the lifecycle, parents before children; edges: the
    columns of `job_edges`. standings: of the computes that `entry_computes` names. at: now, by the
    database's clock; a tree has one moment of birth. warnings: kept with the event of its
    submission.
    """
    states = _first_states(rows)
    entries: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if states[row["id"]] == State.QUEUED:
            entries.setdefault(row["compute"], []).append(row)
    inserted = Inserted()
    turns: dict[str, float] = {}
    dispatched: set[str] = set()
    for compute, leaves in entries.items():
        standing = standings[compute]
        start = standing.served or 0.0
        load = list(accumulate(weight_of(leaf["role"]) for leaf in leaves))
        turns |= {leaf["id"]: start + turn for leaf, turn in zip(leaves, load, strict=True)}
        if standing.served is None and load[-1] <= standing.room:
            dispatched |= {leaf["id"] for leaf in leaves}
            inserted.deliveries += _deliveries(rows, leaves)
        elif standing.room:
            inserted.ready.add(compute)
    root = rows[0]
    # the root keeps its tree's last turn: see mlq.db.window
    turns[root["id"]] = max(turns.values(), default=None)  # type: ignore[assignment]
    submission = event_row(
        "job.submit",
        at=at,
        job_id=root["id"],
        root_id=root["id"],
        generation=1,
        state=State.PENDING.value,
        actor=root["submitted_by"],
        detail={"warnings": list(warnings)} if warnings else None,
    )
    stored = _stored(rows, states, at, turns=turns, dispatched=dispatched)
    insert_together(
        conn,
        [
            (_INSERT_JOBS, stored),
            (_INSERT_EDGES, edges),
            (_INSERT_EVENTS, [submission, *_events(stored, at)]),
        ],
    )
    if any(row["open_children"] == 0 and states[row["id"]] == State.RUNNING for row in rows):
        inserted.ready |= close_empty(conn, root["id"]).ready
    else:
        inserted.rows = stored
    return inserted


def insert_below(
    conn: Connection,
    rows: Sequence[dict[str, Any]],
    edges: Sequence[dict[str, str]],
    *,
    at: datetime,
) -> set[str]:
    """Store trees below a running job, and queue what can start; the caller has the tree's lock.

    rows: as in `insert_tree`, the first one a child of that job, which counts its children among
    them from now on. Returns the computes on which leaves now wait for a message.
    """
    top = rows[0]
    states = _first_states(rows)
    stored = _stored(rows, states, at)
    insert_together(
        conn,
        [
            (_INSERT_JOBS, stored),
            (_INSERT_EDGES, edges),
            (_INSERT_EVENTS, _events(stored, at)),
        ],
    )
    tops = sum(row["parent_id"] == top["parent_id"] for row in rows)
    conn.execute(_COUNT_CHILDREN, {"parent": top["parent_id"], "added": tops})
    waiting: dict[str, dict[str, int]] = {}
    for row in rows:
        if states[row["id"]] == State.QUEUED:
            waiting.setdefault(row["compute"], {})[row["id"]] = row["ordinal"]
    for compute, leaves in waiting.items():
        take_turns(conn, top["root_id"], compute, leaves)
    return set(waiting)


_COUNT_CHILDREN = (
    update(jobs)
    .where(jobs.c.id == bindparam("parent"))
    .values(open_children=jobs.c.open_children + bindparam("added", type_=Integer))
)


def _stored(
    rows: Sequence[dict[str, Any]],
    states: Mapping[str, State],
    at: datetime,
    *,
    turns: Mapping[str, float | None] = MappingProxyType({}),
    dispatched: Set[str] = frozenset(),
) -> list[dict[str, Any]]:
    """Whole rows of `jobs`."""
    stored = []
    for row in rows:
        job_id = row["id"]
        state = states[job_id]
        stored.append(
            {
                **_NEW,
                **row,
                "state": state.value,
                "turn": turns.get(job_id),
                "created_at": at,
                "started_at": at if state in (State.RUNNING, State.WAITING) else None,
                "queued_at": at if state == State.QUEUED else None,
                "dispatched_at": at if job_id in dispatched else None,
            }
        )
    return stored


def entry_computes(rows: Sequence[dict[str, Any]]) -> set[str]:
    """Computes that leaves of a new tree are queued for at once."""
    states = _first_states(rows)
    return {row["compute"] for row in rows if states[row["id"]] == State.QUEUED}


def _first_states(rows: Sequence[dict[str, Any]]) -> dict[str, State]:
    states: dict[str, State] = {}
    for row in rows:
        parent = row["parent_id"]
        # what is not of these rows is a job that runs
        is_open = states.get(parent, State.RUNNING) == State.RUNNING
        can_start = row["waiting_on"] == 0 and is_open
        if row["type"] == JobType.APPROVAL:
            started = State.WAITING
        else:
            started = State.QUEUED if row["is_leaf"] else State.RUNNING
        states[row["id"]] = started if can_start else State.PENDING
    return states


def _deliveries(rows: Sequence[dict[str, Any]], heads: Sequence[dict[str, Any]]) -> list[Delivery]:
    chains: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["chain_id"] is not None:
            chains.setdefault(row["chain_id"], []).append(row)
    deliveries = []
    for head in heads:
        run = chains.get(head["chain_id"], [head])
        run = sorted(run, key=lambda row: row["chain_position"] or 0)
        deliveries.append(
            Delivery(tuple(Link(row["id"], row["compute"], row["shadow"]) for row in run))
        )
    return deliveries


#: state that a job of a new tree is in -> the events that led there, with the states they entered
_STEPS = {
    State.QUEUED.value: (("job.queue", State.QUEUED),),
    State.RUNNING.value: (("job.start", State.RUNNING),),
    State.WAITING.value: (("job.start", State.RUNNING), ("job.wait", State.WAITING)),
}


def _events(stored: Sequence[Mapping[str, Any]], at: datetime) -> list[dict[str, Any]]:
    return [
        event_row(
            kind,
            at=at,
            job_id=row["id"],
            root_id=row["root_id"],
            attempt=0,
            generation=row["generation"],
            state=state.value,
        )
        for row in stored
        for kind, state in _STEPS.get(row["state"], ())
    ]
