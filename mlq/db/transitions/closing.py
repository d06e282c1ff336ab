"""The outcome of an inner job: what its children add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Float, and_, bindparam, literal, or_, select, update

from mlq.db.roles import IS_BEST, IS_RUNNER, IS_TRIAL
from mlq.db.tables import jobs, latest_metrics
from mlq.db.transitions import rounds
from mlq.db.transitions.change import Change
from mlq.db.types import Json, now
from mlq.lifecycle import HIDDEN_ROLES, JobType, Reason, Role, State


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has just got its outcome."""

    id: str
    parent_id: str | None
    state: State
    downstreams: int
    chain_id: str | None = None
    reason: str | None = None
    skips: tuple[str, ...] = ()  # of an `if_else`: its downstreams that are not to run


#: What is read of an inner job before it is closed.
INNER = (
    jobs.c.parent_id,
    jobs.c.type,
    jobs.c.open_children,
    jobs.c.no_more_children,
    jobs.c.cancel_requested_at,
    jobs.c.downstreams,
    jobs.c.params,
    jobs.c.inputs,
    jobs.c.reason,
    jobs.c.role,
    jobs.c.value,
)
_CLOSE = Change(
    update(jobs)
    .where(jobs.c.id == bindparam("job"), jobs.c.state == State.RUNNING.value)
    .values(
        state=bindparam("outcome"),
        reason=bindparam("why"),
        error=bindparam("what", type_=Json),
        outputs=bindparam("produced", type_=Json),
        value=bindparam("measured", type_=Float),
        finished_at=now(),
    )
)
_FIRST_UNSUCCESSFUL = (
    select(jobs.c.state, jobs.c.reason, jobs.c.path, jobs.c.error, jobs.c.role)
    .where(
        jobs.c.parent_id == bindparam("parent"),
        jobs.c.state.in_((State.FAILED.value, State.CANCELED.value)),
    )
    # "failed" before "canceled": a failure explains more than what was stopped after it
    .order_by(jobs.c.state.desc(), jobs.c.finished_at, jobs.c.id)
    .limit(1)
)
# A trial's outcome is a result and not the sweep's failure, and a runner may have been stopped
# because the target was reached.
_FIRST_UNSUCCESSFUL_OF_SWEEP = (
    select(jobs.c.state, jobs.c.reason, jobs.c.path, jobs.c.error, jobs.c.role)
    .where(
        jobs.c.parent_id == bindparam("parent"),
        or_(
            and_(IS_RUNNER, jobs.c.state == State.FAILED.value),
            and_(IS_BEST, jobs.c.state.in_((State.FAILED.value, State.CANCELED.value))),
        ),
    )
    .order_by(jobs.c.state.desc(), jobs.c.finished_at, jobs.c.id)
    .limit(1)
)
_METRIC = select(latest_metrics.c.value).where(
    latest_metrics.c.job_id == bindparam("job"), latest_metrics.c.key == bindparam("key")
)
# trials that nobody came to take again
_DROP_TRIALS = Change(
    update(jobs)
    .where(
        jobs.c.parent_id == bindparam("parent"),
        IS_TRIAL,
        jobs.c.state == literal(State.QUEUED.value, literal_execute=True),
        jobs.c.runner_id.is_(None),
    )
    .values(state=State.CANCELED.value, finished_at=now())
)
_ENDING = {
    State.SUCCEEDED: "job.succeed",
    State.FAILED: "job.fail",
    State.CANCELED: "job.cancel",
}


def close(conn: Connection, row: Any) -> Ended:
    """Give an inner job the outcome that its children add up to."""
    if row.type == JobType.IF_ELSE and row.cancel_requested_at is None:
        return _choose(conn, row)
    is_sweep = row.type == JobType.SWEEP
    repeated = (row.params or {}).get("rounds")
    best_round: Any | None = None
    if repeated:
        bad, best_round = rounds.conclude(rounds.read(conn, row.id), repeated)
    else:
        find = _FIRST_UNSUCCESSFUL_OF_SWEEP if is_sweep else _FIRST_UNSUCCESSFUL
        bad = conn.execute(find, {"parent": row.id}).one_or_none()
    reason: str | None = None
    error: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None
    if row.cancel_requested_at is not None:
        state = State.CANCELED
    elif row.reason == Reason.TIMEOUT and not is_sweep:  # set by `time_out` while it was running
        state, reason = State.FAILED, Reason.TIMEOUT.value
        error = {"code": "timeout", "message": "The pipeline took longer than its timeout."}
    elif bad is not None:
        state = State(bad.state)
        reason = bad.reason
        if state == State.FAILED and bad.role in HIDDEN_ROLES:  # nobody knows that step
            error = bad.error
        elif state == State.FAILED:
            error = {**(bad.error or {}), "step": (bad.error or {}).get("step", bad.path)}
    else:
        state = State.SUCCEEDED
        reason = row.reason  # of a sweep that ended early: target or timeout
        outputs = _collect_outputs(conn, (row.params or {}).get("outputs"))
    value = row.value
    if state == State.SUCCEEDED and best_round is not None:
        reason = best_round.reason if best_round.reason == Reason.TARGET else None
        outputs, value = best_round.outputs, best_round.value
    if row.role == Role.TRIAL and state == State.SUCCEEDED:
        value = _find_metric(conn, row.params["metric"])
        if value is None:
            state, reason, outputs = State.FAILED, Reason.ERROR.value, None
            error = {
                "code": "metric_missing",
                "message": "No step of the trial reported its primary metric "
                f"'{row.params['metric']['name']}'.",
            }
    if is_sweep:
        _DROP_TRIALS.apply(conn, {"parent": row.id}, kind="job.cancel")
    _CLOSE.apply(
        conn,
        {
            "job": row.id,
            "outcome": state.value,
            "why": reason,
            "what": error,
            "produced": outputs,
            "measured": value,
        },
        kind=_ENDING[state],
        detail=error,
    )
    return Ended(row.id, row.parent_id, state, row.downstreams)


def _choose(conn: Connection, row: Any) -> Ended:
    """Give an `if_else` its outcome: which of its downstreams are not to run."""
    given = row.inputs["condition"]
    if "job" in given:
        given = (_collect_outputs(conn, {"condition": given}) or {}).get("condition", {})
    condition = given.get("value")
    if not isinstance(condition, bool):
        return _choose_nothing(conn, row)
    if_true, if_false = row.params["branches"]
    _CLOSE.apply(
        conn,
        {
            "job": row.id,
            "outcome": State.SUCCEEDED.value,
            "why": None,
            "what": None,
            "produced": {"condition": {"type": "boolean", "value": condition}},
            "measured": None,
        },
        kind="job.succeed",
        detail={"condition": condition},
    )
    skips = tuple(if_false if condition else if_true)
    return Ended(row.id, row.parent_id, State.SUCCEEDED, row.downstreams, skips=skips)


def _choose_nothing(conn: Connection, row: Any) -> Ended:
    """The step that was to write the condition has not: neither branch may run."""
    error = {
        "code": "missing_output",
        "message": "The condition has no value: the step before wrote neither true nor false.",
    }
    _CLOSE.apply(
        conn,
        {
            "job": row.id,
            "outcome": State.FAILED.value,
            "why": Reason.ERROR.value,
            "what": error,
            "produced": None,
            "measured": None,
        },
        kind="job.fail",
        detail=error,
    )
    return Ended(row.id, row.parent_id, State.FAILED, row.downstreams)


def _find_metric(conn: Connection, sought: Mapping[str, Any]) -> float | None:
    """The value of a trial's primary metric, of the first of its steps that has reported it."""
    for job_id in sought["jobs"]:
        value = conn.scalar(_METRIC, {"job": job_id, "key": sought["name"]})
        if value is not None:
            return float(value)
    return None


def _collect_outputs(
    conn: Connection, bound: dict[str, dict[str, str]] | None
) -> dict[str, Any] | None:
    if not bound:
        return None
    wanted = {source["job"] for source in bound.values()}
    produced = {
        row.id: row.outputs or {}
        for row in conn.execute(select(jobs.c.id, jobs.c.outputs).where(jobs.c.id.in_(wanted)))
    }
    return {
        name: produced[source["job"]][source["output"]]
        for name, source in bound.items()
        if source["output"] in produced.get(source["job"], {})
    }
