"""What lists of jobs show beside them: metrics of their steps, and words to filter by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select

from mlq.db.comparisons import compare
from mlq.db.projects import jobs_of
from mlq.db.tables import jobs, latest_metrics
from mlq.lifecycle import Role

#: Words come from so many of the newest roots: those are what people look for.
NEWEST = 500
_MOST_WORDS = 100
_FEW = 2000
_IS_STEP = or_(jobs.c.role.is_(None), jobs.c.role.in_((Role.BEST.value, Role.FINALLY.value)))


def step_metrics(
    conn: Connection, parents: Sequence[str], wanted: Sequence[str]
) -> Mapping[str, dict[str, float]]:
    """parent id -> what its steps measured of `wanted`.

    wanted: names of metrics, `accuracy`, or with the step's name, `evaluate.accuracy`. Of several
    steps that have one, the last in their order counts. Trials of a sweep are no steps.
    """
    found: dict[str, dict[str, float]] = defaultdict(dict)
    if not parents or not wanted:
        return found
    query = (
        select(jobs.c.parent_id, jobs.c.name, latest_metrics.c.key, latest_metrics.c.value)
        .join(latest_metrics, latest_metrics.c.job_id == jobs.c.id)
        .where(
            jobs.c.parent_id.in_(parents),
            _IS_STEP,
            latest_metrics.c.key.in_(sorted({end for name in wanted for end in _ends(name)})),
        )
        .order_by(jobs.c.parent_id, jobs.c.ordinal)
    )
    for parent, step, key, value in conn.execute(query):
        for name in wanted:
            if name in (key, f"{step}.{key}"):
                found[parent][name] = value
    return found


def measured(conn: Connection, name: str, op: str, value: float) -> ColumnElement[bool]:
    """The condition that a job, or a step of it, has such a metric whose latest value compares so.

    name: as for `step_metrics`; op: one of = != < <= > >=. Where few values compare so, they say
    which jobs are meant; where many do, some of any few jobs have one, and each job is looked at.
    """
    source = jobs.alias("source")
    is_step = or_(source.c.role.is_(None), source.c.role.in_((Role.BEST, Role.FINALLY)))
    is_named = or_(
        latest_metrics.c.key == name,
        *(
            and_(source.c.name == name.removesuffix(f".{end}"), latest_metrics.c.key == end)
            for end in _ends(name)[1:]
        ),
    )
    found = (
        select(source.c.id, source.c.parent_id, is_step.label("is_step"))
        .select_from(latest_metrics.join(source, source.c.id == latest_metrics.c.job_id))
        .where(latest_metrics.c.key.in_(_ends(name)), is_named)
        .where(compare(latest_metrics.c.value, op, value))
    )
    rows = conn.execute(found.limit(_FEW + 1)).all()
    if len(rows) <= _FEW:
        parents = {row.parent_id for row in rows if row.is_step and row.parent_id}
        return jobs.c.id.in_({row.id for row in rows} | parents)
    # OFFSET keeps PostgreSQL from working out all jobs that have one, for a page of fifty
    own = found.where(source.c.id == jobs.c.id).correlate(jobs).offset(0)
    of_step = found.where(source.c.parent_id == jobs.c.id, is_step).correlate(jobs).offset(0)
    return or_(exists(own), exists(of_step))


def recent_words(conn: Connection, *, project: str | None) -> Mapping[str, list[str]]:
    """names, experiments and metrics of the newest jobs that a caller may see, each sorted."""
    newest = (
        select(jobs.c.id, jobs.c.display_name, jobs.c.experiment)
        .where(jobs.c.parent_id.is_(None), jobs.c.archived_at.is_(None), jobs_of(project))
        .order_by(jobs.c.id.desc())
        .limit(NEWEST)
    )
    rows = conn.execute(newest).all()
    measured = (
        select(latest_metrics.c.key)
        .distinct()
        .join(jobs, jobs.c.id == latest_metrics.c.job_id)
        .where(jobs.c.root_id.in_([row.id for row in rows]), _IS_STEP)
    )
    return {
        "names": _words(row.display_name for row in rows),
        "experiments": _words(row.experiment for row in rows),
        "metrics": _words(conn.scalars(measured)),
    }


def _ends(name: str) -> list[str]:
    """What the metric's own name may be: both may have dots in them."""
    parts = name.split(".")
    return [".".join(parts[index:]) for index in range(len(parts))]


def _words(found: Any) -> list[str]:
    return sorted({word for word in found if word})[:_MOST_WORDS]
