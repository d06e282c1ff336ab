"""Which job comes first, changed by people while it waits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from mlq.db import ordering, transitions
from mlq.db.events import record
from mlq.db.queries import jobs as query
from mlq.errors import ConflictError, MlqError
from mlq.lifecycle import TERMINAL, say_end

PLACES = ("front", "back")
PRIORITIES = range(-100, 101)


def move(
    conn: Connection,
    job_id: str,
    *,
    priority: int | None = None,
    to: str | None = None,
    before: str | None = None,
    actor: str,
) -> None:
    """Change the priority of a whole job, its place among those of its priority, or both.

    to: `front` or `back` of those that wait; before: the id of a job that it is to precede, whose
    priority it takes. Steps that run, and messages that are in the broker, stay where they are.
    Raises ConflictError for a step, a job that has ended, or a `before` beside which it does not
    wait; MlqError (code `invalid`) where nothing is asked for.
    """
    if (priority is None and to is None and before is None) or (to and before):
        raise MlqError(
            "Say where the job is to go: a priority, front, back, or before another.",
            code="invalid",
        )
    if priority is not None and priority not in PRIORITIES:
        raise MlqError("A priority is a number from -100 to 100.", code="invalid")
    row = query.read(conn, job_id)
    if row["parent_id"] is not None:
        raise ConflictError(
            "A step moves with the job that it belongs to.", hint=f"Move {row['root_id']}."
        )
    transitions.lock_root(conn, job_id)
    row = query.read(conn, job_id)
    if row["state"] in TERMINAL:
        raise ConflictError(
            f"The job has ended: {say_end(row['state'])}.",
            hint="Only jobs that wait have a place: `mlq job list --state queued`.",
        )
    detail: dict[str, Any] = {"priority": priority, "to": to, "before": before}
    if priority is not None:
        ordering.set_priority(conn, job_id, priority)
    if to == "front":
        ordering.to_front(conn, job_id)
    elif to == "back":
        ordering.to_back(conn, job_id)
    elif before is not None:
        other = query.read(conn, before)["root_id"]
        if other == job_id or not ordering.before(conn, job_id, other):
            raise ConflictError(
                "The two do not wait on the same compute.",
                hint="`mlq job show` says what each waits for; a priority works in any case.",
            )
    given = {key: value for key, value in detail.items() if value is not None}
    record(
        conn,
        "job.move",
        job_id=job_id,
        root_id=job_id,
        generation=row["generation"],
        actor=actor,
        detail=given,
    )
