"""A sweep's trials as records, for tables, study files and what is worked out from them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from mlq.db import sweeps
from mlq.db.queries import jobs as query
from mlq.db.queries import trials
from mlq.db.queries.trials import Order, Place
from mlq.lifecycle import Reason, State
from mlq.service.steering import no_sweep
from mlq.sweeps.objective import Objective
from mlq.sweeps.space import Space, parse_space
from mlq.sweeps.study import TrialRecord

_BY_NUMBER = Order("number")


@dataclass(frozen=True, slots=True)
class Subject:
    """A sweep. name: what people call it."""

    id: str
    name: str
    space: Space
    objective: Objective


def find_subject(conn: Connection, reference: str) -> Subject:
    """The sweep that `reference` means. Raises NotFoundError, ConflictError for other jobs."""
    row = query.read(conn, query.find(conn, reference))
    if row["type"] != "sweep":
        raise no_sweep(conn, row)
    spec = query.spec(conn, row["id"])
    return Subject(
        row["id"],
        row["shadow"],
        parse_space(spec["search_space"]),
        Objective.from_dict(spec["objective"]),
    )


def read_records(
    conn: Connection, subject: Subject, *, limit: int, after: int = -1
) -> list[TrialRecord]:
    """Up to `limit` trials with a number above `after`, in order.

    Their intermediate values are those of the primary metric.
    """
    place = Place(after) if after >= 0 else None
    rows = trials.page(conn, subject.id, order=_BY_NUMBER, limit=limit, after=place)
    steps = sweeps.read_steps(
        conn, [row["id"] for row in rows], key=subject.objective.primary_metric
    )
    return [
        TrialRecord(
            number=row["ordinal"],
            params=sweeps.swept_params(row) or {},
            state=_state(row["state"], row["reason"]),
            value=row["value"],
            steps=steps.get(row["id"], {}),
            reason=row["reason"],
            started=row["started_at"],
            finished=row["finished_at"],
        )
        for row in rows
    ]


def _state(state: str, reason: str | None) -> str:
    if reason == Reason.PRUNED:
        return "pruned"
    return "running" if state == State.QUEUED else state
