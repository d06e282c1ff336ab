"""Trials: written in bulk by the runner that holds them.

A trial carries its runner's fence and has no lease, no message and no place in `open_children`: the
caller proves with `hold_sweep` that its own attempt is current, and that holds for the transaction.
A trial is `queued` while its runner has not come to it, `running` when it is known to be in
progress, and gets its outcome together with the others of its batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Float,
    Integer,
    bindparam,
    case,
    insert,
    literal,
    select,
    update,
)

from mlq.db.events import INSERT_EVENT, event_row
from mlq.db.roles import IS_TRIAL
from mlq.db.tables import jobs
from mlq.db.transitions.attempts import Claim, is_current
from mlq.db.transitions.cascade import lock_root
from mlq.db.transitions.change import Change
from mlq.db.types import Id, Json, Timestamp, now
from mlq.ids import new_id
from mlq.lifecycle import Reason, Role, State


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep as a runner finds it. elapsed_s: since it started; value: the best so far.

    params: with `limits` and what else may change while it runs.
    """

    id: str
    moment: datetime
    elapsed_s: float
    is_running: bool
    is_stopping: bool
    is_paused: bool
    reason: str | None
    value: float | None
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial as its runner holds it. params: None until they are asked for."""

    id: str
    number: int
    attempt: int
    params: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """How a trial ended. value: of the primary metric; params: those it ran with."""

    trial: Trial
    state: State
    params: Mapping[str, Any] | None
    started_at: datetime
    finished_at: datetime
    reason: Reason | None = None
    error: Mapping[str, Any] | None = None
    value: float | None = None
    outputs: Mapping[str, Any] | None = field(default=None)


_SWEEP = select(
    jobs.c.id,
    jobs.c.state,
    jobs.c.cancel_requested_at,
    jobs.c.paused_at,
    jobs.c.reason,
    jobs.c.value,
    jobs.c.params,
    jobs.c.started_at,
    now().label("moment"),
).where(jobs.c.id == bindparam("sweep"))
_LAST_NUMBER = (
    select(jobs.c.ordinal)
    .where(jobs.c.parent_id == bindparam("sweep"), IS_TRIAL)
    .order_by(jobs.c.ordinal.desc())
    .limit(1)
)
_RETURNED = (
    select(jobs.c.id, jobs.c.ordinal, jobs.c.attempt, jobs.c.params, jobs.c.error)
    .where(
        jobs.c.parent_id == bindparam("sweep"),
        IS_TRIAL,
        jobs.c.state == literal(State.QUEUED.value, literal_execute=True),
        jobs.c.runner_id.is_(None),
    )
    .order_by(jobs.c.ordinal)
    .limit(bindparam("count"))
)
_TAKE = (
    update(jobs)
    .where(jobs.c.id.in_(bindparam("trials", expanding=True)))
    .values(runner_id=bindparam("runner", type_=Id))
)
_BEGIN = Change(
    update(jobs)
    .where(jobs.c.id == bindparam("job"), jobs.c.state == State.QUEUED.value)
    .values(
        state=State.RUNNING.value,
        attempt=jobs.c.attempt + 1,
        started_at=now(),
        error=None,
        worker=bindparam("by"),
        params=bindparam("chosen", type_=Json),
    )
)
_HELD = select(
    jobs.c.id, jobs.c.state, jobs.c.attempt, jobs.c.lost_count, jobs.c.cancel_requested_at
).where(
    jobs.c.runner_id == bindparam("runner", type_=Id),
    jobs.c.state.in_(
        (
            literal(State.QUEUED.value, literal_execute=True),
            literal(State.RUNNING.value, literal_execute=True),
        )
    ),
)
_INSERT = insert(jobs).values(
    created_at=now(),
    queued_at=now(),
    state=State.QUEUED.value,
    type=bindparam("kind"),
    role=Role.TRIAL.value,
    is_leaf=True,
    waiting_on=0,
    downstreams=0,
    open_children=0,
    no_more_children=True,
    attempt=0,
    failure_count=0,
    lost_count=0,
    max_failures=1,
    force_rerun=False,
)
_END = (
    update(jobs)
    .where(jobs.c.id == bindparam("trial"))
    .values(
        state=bindparam("outcome"),
        reason=bindparam("why"),
        error=bindparam("what", type_=Json),
        params=bindparam("chosen", type_=Json),
        outputs=bindparam("produced", type_=Json),
        value=bindparam("measured", type_=Float),
        attempt=bindparam("reached", type_=Integer),
        failure_count=jobs.c.failure_count + bindparam("failures", type_=Integer),
        started_at=bindparam("began", type_=Timestamp),
        finished_at=bindparam("ended", type_=Timestamp),
        worker=bindparam("by"),
    )
)
_KINDS = {State.SUCCEEDED: "job.succeed", State.FAILED: "job.fail", State.CANCELED: "job.cancel"}


def hold_sweep(conn: Connection, runner: Claim) -> Sweep | None:
    """Lock the tree and read the runner's sweep; None when the runner's attempt is not current."""
    assert runner.parent_id is not None, "a runner is a sweep's child"
    lock_root(conn, runner.root_id)
    if not is_current(conn, runner.id, runner.attempt):
        return None
    return read_sweep(conn, runner.parent_id)


def read_sweep(conn: Connection, sweep_id: str) -> Sweep:
    """The sweep as it stands."""
    row = conn.execute(_SWEEP, {"sweep": sweep_id}).one()
    return Sweep(
        id=row.id,
        moment=row.moment,
        elapsed_s=(row.moment - row.started_at).total_seconds() if row.started_at else 0.0,
        is_running=row.state == State.RUNNING,
        is_stopping=row.cancel_requested_at is not None or row.reason is not None,
        is_paused=row.paused_at is not None,
        reason=row.reason,
        value=row.value,
        params=row.params or {},
    )


def count_trials(conn: Connection, sweep_id: str) -> int:
    """How many trials the sweep has, whatever became of them."""
    last = conn.scalar(_LAST_NUMBER, {"sweep": sweep_id})
    return 0 if last is None else int(last) + 1


def take_returned(conn: Connection, runner: Claim, *, limit: int) -> list[Trial]:
    """Up to `limit` trials that a runner gave back or a user added, for `runner` to run.

    One that may have killed its process comes alone, so that it cannot take others with it.
    """
    rows = conn.execute(_RETURNED, {"sweep": runner.parent_id, "count": limit}).all()
    if rows and rows[0].error is not None:
        rows = rows[:1]
    else:
        rows = [row for row in rows if row.error is None]
    if not rows:
        return []
    conn.execute(_TAKE, {"trials": [row.id for row in rows], "runner": runner.id})
    return [Trial(row.id, row.ordinal, row.attempt, row.params) for row in rows]


def add_trials(
    conn: Connection,
    sweep_id: str,
    numbers: Sequence[int],
    *,
    template: Mapping[str, Any],
    runner_id: str | None,
    params: Sequence[Mapping[str, Any] | None] | None = None,
) -> list[Trial]:
    """Store new trials; template: the columns that they have in common with the sweep.

    runner_id: who runs them; None: whoever is free. params: of each, where they are known already.
    """
    chosen = params or [None] * len(numbers)
    trials = [
        Trial(new_id(), number, 0, given) for number, given in zip(numbers, chosen, strict=True)
    ]
    if trials:
        conn.execute(
            _INSERT,
            [
                {
                    **template,
                    "id": trial.id,
                    "parent_id": sweep_id,
                    "ordinal": trial.number,
                    "name": str(trial.number),
                    "path": f"{template['path']}.{trial.number}".lstrip("."),
                    "display_name": f"trial {trial.number}",
                    "params": trial.params,
                    "runner_id": runner_id,
                }
                for trial in trials
            ],
        )
    return trials


def begin_trial(
    conn: Connection, trial: Trial, *, params: Mapping[str, Any], worker: str
) -> Trial | None:
    """Note that the trial is in progress; None when it has ended meanwhile."""
    changed = _BEGIN.apply(
        conn,
        {"job": trial.id, "chosen": dict(params), "by": worker},
        kind="job.claim",
        actor=worker,
    )
    return Trial(trial.id, trial.number, trial.attempt + 1, params) if changed else None


def end_trials(
    conn: Connection, runner: Claim, outcomes: Sequence[TrialOutcome], *, worker: str
) -> list[TrialOutcome]:
    """Commit outcomes of trials that `runner` still holds; returns those, with their attempts."""
    if not outcomes:
        return []
    held = {row.id: row for row in conn.execute(_HELD, {"runner": runner.id})}
    if not held:
        return []
    counted: list[TrialOutcome] = []
    rows: list[dict[str, Any]] = []
    noted: list[dict[str, Any]] = []
    for outcome in outcomes:
        before = held.get(outcome.trial.id)
        if before is None:
            continue
        if before.cancel_requested_at is not None:
            outcome = replace(outcome, state=State.CANCELED, reason=None, error=None, outputs=None)
        begins = before.state == State.QUEUED
        attempt = before.attempt + 1 if begins else before.attempt
        counted.append(replace(outcome, trial=replace(outcome.trial, attempt=attempt)))
        rows.append(
            {
                "trial": outcome.trial.id,
                "outcome": outcome.state.value,
                "why": outcome.reason,
                "what": outcome.error,
                "chosen": outcome.params,
                "produced": outcome.outputs,
                "measured": outcome.value,
                "reached": attempt,
                "failures": 1 if outcome.state == State.FAILED else 0,
                "began": outcome.started_at,
                "ended": outcome.finished_at,
                "by": worker,
            }
        )
        event = {
            "job_id": outcome.trial.id,
            "root_id": runner.root_id,
            "attempt": attempt,
            "generation": runner.generation,
        }
        if begins:
            noted.append(event_row("job.claim", state=State.RUNNING.value, actor=worker, **event))
        noted.append(
            event_row(
                _KINDS[outcome.state],
                state=outcome.state.value,
                reason=outcome.reason,
                detail=outcome.error,
                **event,
            )
        )
    if rows:
        conn.execute(_END, rows)
        conn.execute(INSERT_EVENT, noted)
    return counted


def note_best(conn: Connection, sweep_id: str, value: float) -> None:
    """Keep the sweep's best value so far."""
    conn.execute(update(jobs).where(jobs.c.id == sweep_id).values(value=value))


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of the trials that a runner holds when its attempt ends.

    in_progress: the trial that was running; "" when none was; None when nobody knows. Only it gets
    `state`: failed for `reason`, or queued again. losses: charged to it; at the `max_lost`th it has
    failed. error: of it; all carry it where nobody knows which one it was.
    others: what becomes of the rest, queued (for another runner) or canceled.
    """

    in_progress: str | None = ""
    state: State = State.QUEUED
    reason: Reason | None = None
    error: Mapping[str, Any] | None = None
    losses: int = 0
    max_lost: int = 1
    others: State = State.QUEUED


RETURNED = Fate()
DROPPED = Fate(others=State.CANCELED)

_SETTLE = (
    update(jobs)
    .where(jobs.c.id == bindparam("trial"))
    .values(
        state=bindparam("outcome"),
        reason=bindparam("why"),
        error=bindparam("what", type_=Json),
        attempt=bindparam("reached", type_=Integer),
        lost_count=jobs.c.lost_count + bindparam("losses", type_=Integer),
        runner_id=bindparam("runner", type_=Id),
        finished_at=case((bindparam("ends"), now())),
    )
)


def let_go(conn: Connection, runner: Claim, fate: Fate, *, is_over: bool) -> None:
    """Settle what `runner` holds; its attempt has ended in this transaction.

    is_over: the sweep has ended with it, so that nothing may be queued again.
    """
    rows: list[dict[str, Any]] = []
    noted: list[dict[str, Any]] = []
    for held in conn.execute(_HELD, {"runner": runner.id}).all():
        is_it = held.id == fate.in_progress
        begins = is_it and held.state == State.QUEUED  # the next of its batch: nobody noted it yet
        was_running = held.state == State.RUNNING or begins
        state = fate.state if is_it else fate.others
        reason = fate.reason if is_it else None
        losses = fate.losses if is_it else 0
        error = fate.error if is_it or fate.in_progress is None else None
        if held.cancel_requested_at is not None:
            state, reason, error = State.CANCELED, None, None
        elif state == State.QUEUED and losses and held.lost_count + losses >= fate.max_lost:
            state, reason = State.FAILED, Reason.LOST
        elif state == State.QUEUED and is_over:
            state = State.CANCELED
        ends = state != State.QUEUED
        attempt = held.attempt + 1 if begins else held.attempt
        rows.append(
            {
                "trial": held.id,
                "outcome": state.value,
                "why": reason,
                "what": error,
                "reached": attempt,
                "losses": losses,
                "runner": runner.id if ends else None,
                "ends": ends,
            }
        )
        event = {
            "job_id": held.id,
            "root_id": runner.root_id,
            "attempt": attempt,
            "generation": runner.generation,
            "detail": error,
        }
        if begins:
            noted.append(event_row("job.claim", **{**event, "state": State.RUNNING.value}))
        if ends:
            noted.append(event_row(_KINDS[state], state=state.value, reason=reason, **event))
        elif was_running:
            kind = "job.lose" if losses else "job.release"
            noted.append(event_row(kind, state=state.value, **event))
    if rows:
        conn.execute(_SETTLE, rows)
    if noted:
        conn.execute(INSERT_EVENT, noted)
