"""Reading a sweep's trials: their history for samplers, their ranking for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, func, literal, select
from sqlalchemy.engine import RowMapping

from mlq.db.queries import jobs as jobs_query
from mlq.db.roles import IS_RUNNER, IS_TRIAL
from mlq.db.tables import jobs, metrics
from mlq.lifecycle import LIVE, JobType, Reason, State

_NAMED = 20
_PAST = (
    select(
        jobs.c.id,
        jobs.c.ordinal.label("number"),
        jobs.c.params,
        jobs.c.is_leaf,
        jobs.c.state,
        jobs.c.reason,
        jobs.c.value,
    )
    .where(jobs.c.parent_id == bindparam("sweep"), IS_TRIAL, jobs.c.ordinal >= bindparam("first"))
    .order_by(jobs.c.ordinal)
)


def read_past(conn: Connection, sweep_id: str, *, first: int) -> list[Mapping[str, Any]]:
    """Trials from number `first` on: id, number, params, state, reason, value."""
    rows = conn.execute(_PAST, {"sweep": sweep_id, "first": first}).mappings()
    return [{**row, "params": swept_params(row)} for row in rows]


def swept_params(trial: RowMapping | Mapping[str, Any]) -> dict[str, Any] | None:
    """The parameters of a trial, whose row has `params` and `is_leaf`; None before they are known.

    A trial that is a pipeline has its own bookkeeping in that column too.
    """
    params: dict[str, Any] | None = trial["params"]
    return params if trial["is_leaf"] or params is None else params.get("swept")


def read_steps(
    conn: Connection, trials: Iterable[str], *, key: str
) -> Mapping[str, dict[int, float]]:
    """trial id -> intermediate values of the metric `key` by step, 1 and up."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    query = select(metrics.c.job_id, metrics.c.step, metrics.c.value).where(
        metrics.c.job_id.in_(list(trials)), metrics.c.key == key, metrics.c.step > 0
    )
    for job_id, step, value in conn.execute(query.order_by(metrics.c.id)):
        found[job_id][step] = value
    return found


def best_trial(conn: Connection, sweep_id: str, *, maximize: bool) -> RowMapping | None:
    """The succeeded trial with the best value, the earliest of equals; None without any."""
    order = jobs.c.value.desc() if maximize else jobs.c.value.asc()
    query = (
        select(jobs)
        .where(
            jobs.c.parent_id == sweep_id,
            IS_TRIAL,
            jobs.c.state == State.SUCCEEDED.value,
            jobs.c.value.is_not(None),
        )
        .order_by(order, jobs.c.ordinal)
        .limit(1)
    )
    return conn.execute(query).mappings().first()


def commonest_error(conn: Connection, sweep_id: str) -> tuple[int, Mapping[str, Any]] | None:
    """The error that most failed trials have, by its code and message, and how many have it."""
    errors: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    query = select(jobs.c.error).where(
        jobs.c.parent_id == sweep_id, IS_TRIAL, jobs.c.state == State.FAILED.value
    )
    for (error,) in conn.execute(query):
        content = error or {}
        errors[str(content.get("code")), str(content.get("message"))].append(content)
    if not errors:
        return None
    found = max(errors.values(), key=len)
    return len(found), found[0]


def count_by_state(conn: Connection, sweep_id: str) -> Mapping[str, int]:
    """state -> number of trials; pruned ones count as `pruned` and not as canceled."""
    counts: dict[str, int] = defaultdict(int)
    query = (
        select(jobs.c.state, jobs.c.reason, func.count())
        .where(jobs.c.parent_id == sweep_id, IS_TRIAL)
        .group_by(jobs.c.state, jobs.c.reason)
    )
    for state, reason, count in conn.execute(query):
        counts["pruned" if reason == Reason.PRUNED else state] += count
    return counts


def count_live_trials(conn: Connection, sweep_id: str) -> int:
    """Trials that have not ended."""
    query = select(func.count()).where(
        jobs.c.parent_id == sweep_id, IS_TRIAL, jobs.c.state.in_(sorted(LIVE))
    )
    return int(conn.scalar(query) or 0)


def count_active_runners(conn: Connection, sweep_id: str) -> int:
    """Runners of the sweep that a worker has now."""
    query = select(func.count()).where(
        jobs.c.parent_id == sweep_id,
        IS_RUNNER,
        jobs.c.state == State.RUNNING.value,
    )
    return int(conn.scalar(query) or 0)


def count_waiting_trials(conn: Connection, sweep_id: str) -> int:
    """Trials that no runner holds: given back, or added by somebody."""
    query = select(func.count()).where(
        jobs.c.parent_id == sweep_id,
        IS_TRIAL,
        jobs.c.state == literal(State.QUEUED.value, literal_execute=True),
        jobs.c.runner_id.is_(None),
    )
    return int(conn.scalar(query) or 0)


def find_sweeps(conn: Connection, job_id: str) -> list[RowMapping]:
    """The sweeps below a job: id, path; a few at most."""
    tree = jobs_query.subtree(job_id)
    query = select(jobs.c.id, jobs.c.path).where(
        jobs.c.id.in_(tree), jobs.c.type == JobType.SWEEP.value, jobs.c.id != job_id
    )
    return list(conn.execute(query.order_by(jobs.c.id).limit(_NAMED)).mappings())


def trial_columns_of_sweep(conn: Connection, sweep_id: str) -> dict[str, Any]:
    """What a new trial has in common with the sweep's runners."""
    query = select(jobs.c.id).where(jobs.c.parent_id == sweep_id, IS_RUNNER)
    return trial_columns(conn, conn.execute(query.order_by(jobs.c.ordinal).limit(1)).scalar_one())


def trial_columns(conn: Connection, runner_id: str) -> dict[str, Any]:
    """What a new trial has in common with the runner that makes it."""
    row = conn.execute(_IN_COMMON, {"runner": runner_id}).mappings().one()
    return {**row, "kind": JobType.COMMAND.value, "path": row["path"].rpartition(".")[0]}


_IN_COMMON = select(
    jobs.c.root_id,
    jobs.c.path,
    jobs.c.shadow,
    jobs.c.experiment,
    jobs.c.component,
    jobs.c.priority,
    jobs.c.spec_digest,
    jobs.c.generation,
    jobs.c.submitted_by,
    jobs.c.project,
).where(jobs.c.id == bindparam("runner"))
