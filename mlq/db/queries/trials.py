"""Trials as people read them: how many, in what order, and the way to the best."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select
from sqlalchemy.engine import RowMapping

from mlq.db.roles import IS_TRIAL
from mlq.db.tables import jobs, latest_metrics
from mlq.db.types import now
from mlq.lifecycle import Reason, State

# as part of the text, so that a partial index on trials can be used
_IS_PRUNED = jobs.c.reason.is_not_distinct_from(Reason.PRUNED.value)
PRUNED = "pruned"


@dataclass(frozen=True, slots=True)
class Order:
    """What trials are sorted by. metric: its name; those without a value come last."""

    key: str  # number | value | metric
    metric: str = ""
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read `number`, `-value`, `metric:roc_auc` and the like; None for anything else."""
        descending, name = text.startswith("-"), text.removeprefix("-")
        if name in ("number", "value"):
            return cls(name, descending=descending)
        key, colon, metric = name.partition(":")
        if key == "metric" and colon and metric:
            return cls(key, metric, descending)
        return None


class Place(NamedTuple):
    """Where a page ended: the number of its last trial, and what it was sorted by."""

    number: int
    value: float | None = None

    def __str__(self) -> str:
        return f"{self.number}" if self.value is None else f"{self.number}:{self.value!r}"

    @classmethod
    def parse(cls, text: str) -> Place | None:
        """Read `str(place)` back; None for anything else."""
        number, colon, value = text.partition(":")
        if not (number.isascii() and number.isdecimal() and len(number) < 10):
            return None
        try:
            found = float(value) if colon else None
        except ValueError:
            return None
        if found is not None and not math.isfinite(found):
            return None
        return cls(int(number), found)


def page(
    conn: Connection,
    sweep_id: str,
    *,
    order: Order,
    limit: int,
    state: str | None = None,
    after: Place | None = None,
) -> list[RowMapping]:
    """Trials of a sweep behind `after`, with what they are sorted by as `sorted`.

    state: a state, or `pruned`; a canceled trial is one that nobody pruned.
    """
    query: Select[Any]
    if order.key == "metric":
        query = select(
            jobs, now().label("now"), latest_metrics.c.value.label("sorted")
        ).outerjoin_from(
            jobs,
            latest_metrics,
            and_(latest_metrics.c.job_id == jobs.c.id, latest_metrics.c.key == order.metric),
        )
        column: ColumnElement[float] = latest_metrics.c.value
    else:
        query = select(jobs, now().label("now"), jobs.c.value.label("sorted"))
        column = jobs.c.value
    query = query.where(jobs.c.parent_id == sweep_id, IS_TRIAL)
    if state is not None:
        query = query.where(_in_state(state))
    if order.key == "number":
        query = _by_number(query, order, after)
    else:
        query = _by_value(query, order, after, column)
    return list(conn.execute(query.limit(limit)).mappings())


def _by_number(query: Select[Any], order: Order, after: Place | None) -> Select[Any]:
    number = jobs.c.ordinal
    if after is not None:
        query = query.where(number < after.number if order.descending else number > after.number)
    return query.order_by(number.desc() if order.descending else number)


def _by_value(
    query: Select[Any], order: Order, after: Place | None, column: ColumnElement[float]
) -> Select[Any]:
    number = jobs.c.ordinal
    if after is not None and after.value is None:
        query = query.where(column.is_(None), number > after.number)
    elif after is not None:
        further = column < after.value if order.descending else column > after.value
        same = and_(column == after.value, number > after.number)
        query = query.where(or_(further, same, column.is_(None)))
    return query.order_by(column.is_(None), column.desc() if order.descending else column, number)


def place_of(row: RowMapping, order: Order) -> Place:
    """Where a page that ends with `row` ends."""
    return Place(row["ordinal"], None if order.key == "number" else row["sorted"])


def count_by_state(conn: Connection, sweep_ids: Iterable[str]) -> Mapping[str, dict[str, int]]:
    """sweep id -> state -> number of trials; pruned ones count as `pruned`."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    query = (
        select(jobs.c.parent_id, jobs.c.state, jobs.c.reason, func.count())
        .where(jobs.c.parent_id.in_(list(sweep_ids)), IS_TRIAL)
        .group_by(jobs.c.parent_id, jobs.c.state, jobs.c.reason)
    )
    for sweep_id, state, reason, count in conn.execute(query):
        counts[sweep_id][PRUNED if reason == Reason.PRUNED else state] += count
    return counts


def finished_values(conn: Connection, sweep_id: str) -> list[RowMapping]:
    """Succeeded trials in the order in which they ended: number, finished_at, value."""
    query = (
        select(jobs.c.ordinal.label("number"), jobs.c.finished_at, jobs.c.value)
        .where(
            jobs.c.parent_id == sweep_id,
            IS_TRIAL,
            jobs.c.state == State.SUCCEEDED.value,
            jobs.c.value.is_not(None),
        )
        .order_by(jobs.c.finished_at, jobs.c.ordinal)
    )
    return list(conn.execute(query).mappings())


def _in_state(state: str) -> ColumnElement[bool]:
    if state == PRUNED:
        return _IS_PRUNED
    if state == State.CANCELED:
        return and_(jobs.c.state == state, ~_IS_PRUNED)
    return jobs.c.state == state
