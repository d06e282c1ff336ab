"""Use cases of sweeps on an open transaction: a runner's progress, and what people change on it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import Connection

from mlq.db import registry, reports, sweeps, transitions, window
from mlq.db.registry import Artifact
from mlq.db.reports import MetricValue
from mlq.db.transitions import RETURNED, Claim, Sweep, Trial, TrialOutcome
from mlq.db.window import Delivery
from mlq.lifecycle import Reason, State
from mlq.service.capacity import Windows
from mlq.service.jobs import dispatch
from mlq.sweeps.objective import Objective

#: Returned trials that are looked at in one go.
_RETURNED_AT_ONCE = 64


class Verdict(Enum):
    """What a runner is to do next."""

    RUN = "run"  # the trials it was given
    YIELD = "yield"  # others wait for its slot, or the sweep is paused
    END = "end"  # nothing is left for it


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial that has run, with what it reported."""

    outcome: TrialOutcome
    metrics: Sequence[MetricValue] = ()
    artifacts: Sequence[Artifact] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a runner asks for.

    trials: how many at most; slice_is_over: it has had its turn; size: how many points the sampler
    has, None for no end. ask: the parameters of a point, where they are to be stored at once.
    least: how many are worth a commit, also where few are left.
    """

    trials: int
    slice_is_over: bool
    size: int | None
    least: int = 1
    ask: Callable[[int], Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """The answer. moment: the database's time, for the trials' own times.

    points: of each trial, which of the sampler's points it is.
    """

    verdict: Verdict
    moment: datetime
    trials: Sequence[Trial] = ()
    points: Sequence[int] = ()
    deliveries: Sequence[Delivery] = field(default_factory=list)


def advance(
    conn: Connection,
    runner: Claim,
    *,
    finished: Sequence[Finished],
    wanted: Wanted,
    objective: Objective,
    limits: Mapping[str, Any],
    worker: str,
    windows: Windows,
    again: bool = False,
) -> Assignment | None:
    """Record what a runner has done and give it more: one commit a batch.

    limits: of the sweep's file; what was changed since counts. again: the outcome of an earlier
    call is not known, so what it may have handed out is taken back first.
    None when the runner's attempt is not the current one any more; nothing was recorded.
    """
    sweep = transitions.hold_sweep(conn, runner)
    if sweep is None:
        return None
    counted = _record(conn, runner, finished, worker=worker)
    if counted and runner.lost_count:
        transitions.forgive(conn, runner)
    if again:
        transitions.let_go(conn, runner, RETURNED, is_over=False)
    best = _best(objective, sweep, counted)
    if best is not None:
        transitions.note_best(conn, sweep.id, best)
    if sweep.is_stopping or not sweep.is_running:
        return Assignment(Verdict.END, sweep.moment)
    if best is not None and objective.reaches_target(best):
        settled = transitions.finish_early(conn, sweep.id, reason=Reason.TARGET, spare=runner.id)
        ready = settled.ready if settled is not None else set()
        return Assignment(Verdict.END, sweep.moment, deliveries=dispatch(conn, ready, windows))
    if sweep.is_paused or (
        wanted.slice_is_over and window.others_wait(conn, runner.compute, sweep_id=sweep.id)
    ):
        return Assignment(Verdict.YIELD, sweep.moment)
    return _assign(conn, runner, sweep, wanted, {**limits, **sweep.params.get("limits", {})})


def _record(
    conn: Connection, runner: Claim, finished: Sequence[Finished], *, worker: str
) -> list[TrialOutcome]:
    counted = transitions.end_trials(
        conn, runner, [trial.outcome for trial in finished], worker=worker
    )
    attempts = {outcome.trial.id: outcome.trial.attempt for outcome in counted}
    kept = [trial for trial in finished if trial.outcome.trial.id in attempts]
    reports.write_metrics_of_many(
        conn,
        [(one.outcome.trial.id, attempts[one.outcome.trial.id], one.metrics) for one in kept],
    )
    registry.add_artifacts(conn, [artifact for one in kept for artifact in one.artifacts])
    return counted


def _best(objective: Objective, sweep: Sweep, counted: Sequence[TrialOutcome]) -> float | None:
    """The best value of these trials, if it beats the sweep's; else None."""
    best = sweep.value
    for outcome in counted:
        value = outcome.value if outcome.state == State.SUCCEEDED else None
        if value is not None and (best is None or objective.is_better(value, best)):
            best = value
    return None if best == sweep.value else best


def _assign(
    conn: Connection,
    runner: Claim,
    sweep: Sweep,
    wanted: Wanted,
    limits: Mapping[str, Any],
) -> Assignment:
    most = limits.get("max_concurrent_trials")
    if most is not None and transitions.is_surplus(conn, runner, most=most):
        transitions.dismiss(conn, runner)
        return Assignment(Verdict.END, sweep.moment)
    if wanted.trials <= 0:
        return Assignment(Verdict.RUN, sweep.moment)
    trials = transitions.take_returned(conn, runner, limit=min(wanted.trials, _RETURNED_AT_ONCE))
    added: Sequence[int] = sweep.params.get("added", ())
    if trials:
        return _run(sweep, trials, added)
    next_number = transitions.count_trials(conn, sweep.id)
    ends = [end for end in (limits.get("max_total_trials"), wanted.size) if end is not None]
    count = wanted.trials
    if ends:
        left = min(ends) + len(added) - next_number
        active = sweeps.count_active_runners(conn, sweep.id)
        # towards the end in smaller pieces, so that all runners end at about the same time
        count = min(count, left, max(wanted.least, -(-left // (2 * max(active, 1)))))
    if count <= 0:
        transitions.dismiss(conn, runner)
        settled = transitions.retire_runners(conn, sweep.id)
        assert settled is not None, "the sweep's own runner is live"
        return Assignment(Verdict.END, sweep.moment)
    numbers = range(next_number, next_number + count)
    ask = wanted.ask
    trials = transitions.add_trials(
        conn,
        sweep.id,
        numbers,
        template=sweeps.trial_columns(conn, runner.id),
        runner_id=runner.id,
        params=[ask(point_of(number, added)) for number in numbers] if ask is not None else None,
    )
    return _run(sweep, trials, added)


def _run(sweep: Sweep, trials: Sequence[Trial], added: Sequence[int]) -> Assignment:
    points = [point_of(trial.number, added) for trial in trials]
    return Assignment(Verdict.RUN, sweep.moment, trials, points)


def point_of(number: int, added: Sequence[int]) -> int:
    """Which of the sampler's points trial `number` is; added: numbers that are none of them."""
    return number - bisect_left(added, number)
