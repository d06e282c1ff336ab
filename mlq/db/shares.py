"""Which projects' leaves get a message next, where several want more slots than there are.

Slots are shared evenly between the projects that want them (max-min fairness): the next message
goes to the project that holds the fewest slots and messages of the compute. Within a project the
order is that of `mlq.db.window`. A project with a quota is given no more messages than the quota
has places left; the claim decides (`mlq.db.transitions.limited`), this only spares it refusals.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, func, literal_column, select

from mlq.db import window
from mlq.db.projects import DEFAULT
from mlq.db.tables import jobs
from mlq.db.window import Delivery

_RUNNING = (
    jobs.c.state == literal_column("'running'"),
    jobs.c.lease_expires_at.is_not(None),
)
_SENT = (jobs.c.state == literal_column("'queued'"), jobs.c.dispatched_at.is_not(None))


def refill(
    conn: Connection, compute: str, *, window_size: int, quotas: Mapping[str, int | None]
) -> list[Delivery]:
    """As `window.refill`, with the room shared between projects.

    quotas: every project, with its quota where it has one.
    """
    room = window.room(conn, compute, window=window_size)
    if room == 0:
        return []
    here, everywhere = _usage(conn, compute)
    waiting: dict[str, deque[Any]] = {}
    for project, quota in quotas.items():
        places = room if quota is None else min(room, quota - everywhere[project])
        if places > 0:
            waiting[project] = deque(_best(conn, compute, project, places))
    heap = [(here[project], project) for project, leaves in waiting.items() if leaves]
    heapq.heapify(heap)
    chosen: list[str] = []
    while heap and room > 0:
        held, project = heapq.heappop(heap)
        leaf = waiting[project].popleft()
        chosen.append(leaf.id)
        room -= leaf.weight
        if waiting[project]:
            heapq.heappush(heap, (held + 1, project))
    return window.dispatch(conn, chosen) if chosen else []


def _usage(conn: Connection, compute: str) -> tuple[Counter[str], Counter[str]]:
    """Slots and messages by project: of `compute`, and of all."""
    here: Counter[str] = Counter()
    everywhere: Counter[str] = Counter()
    for which in (_RUNNING, _SENT):
        query = (
            select(jobs.c.compute, jobs.c.project, func.count().label("places"))
            .where(*which)
            .group_by(jobs.c.compute, jobs.c.project)
        )
        for row in conn.execute(query):
            project = row.project or DEFAULT
            everywhere[project] += row.places
            if row.compute == compute:
                here[project] += row.places
    return here, everywhere


def _best(conn: Connection, compute: str, project: str, places: int) -> list[Any]:
    bound = {"tag": compute, "places": places}
    if project == DEFAULT:
        return list(conn.execute(_OF_DEFAULT, bound))
    return list(conn.execute(_OF_PROJECT, {**bound, "project": project}))


_WAITING = (
    select(jobs.c.id, window.WEIGHT.label("weight"))
    .where(*window.READY)
    .order_by(*window.BEST_FIRST)
    .limit(bindparam("places"))
    .with_for_update(skip_locked=True)
)
_OF_DEFAULT = _WAITING.where(jobs.c.project.is_(None))
_OF_PROJECT = _WAITING.where(jobs.c.project == bindparam("project"))
