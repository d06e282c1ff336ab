"""A sweep's runner: claims trials in batches, runs them, and hands its slot on in time.

A batch is recorded and the next one claimed in a single commit. Trials of components that prepare
themselves once (`components.trials`) run in this process, all others as a step of their own.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlq.artifacts import Store
from mlq.db import Database, workers
from mlq.db.registry import Artifact
from mlq.db.reports import MetricValue
from mlq.db.transitions import Trial, TrialOutcome
from mlq.db.transitions import begin_trial as begin
from mlq.db.window import Delivery
from mlq.errors import UnavailableError
from mlq.lifecycle import Reason, Role, State
from mlq.service import sweeps, trial_trees
from mlq.service.capacity import Windows
from mlq.service.execution import Attempt, Input
from mlq.service.sweeps import Finished, Verdict, Wanted
from mlq.settings import Settings
from mlq.sweeps.samplers import Past
from mlq_workers.board import Order, Seat
from mlq_workers.components.trials import Pruned, prepare_trials
from mlq_workers.ending import Ending
from mlq_workers.handlers import CommandHandler, ComponentHandler, fetch
from mlq_workers.reporter import Reporter
from mlq_workers.sweeps.course import Course, Courses
from mlq_workers.sweeps.trial_reporter import Listener, TrialReporter
from mlq_workers.sweeps.verdict import find_value

logger = logging.getLogger("mlq.sweeps")

_RETRY_S = 0.25
#: From this on it is worth a commit that everybody sees the trial run.
_SHOWN_S = 0.3
#: From this on the intermediate values of a trial are kept too.
_KEPT_STEPS_S = 0.05
_SYNC_S = 0.2


@dataclass(frozen=True, slots=True)
class RunnerHandler:
    """Runs the runners of this process."""

    settings: Settings
    database: Database
    publish: Callable[[Sequence[Delivery]], None]
    worker: str
    component_handler: ComponentHandler
    command_handler: CommandHandler
    windows: Windows
    clock: Callable[[], float]
    courses: Courses = field(default_factory=Courses)

    def handle(
        self, attempt: Attempt, *, scratch: Path, store: Store, seat: Seat, reporter: Reporter
    ) -> Ending:
        """Run trials until none is left, or until others wait for the slot."""
        claim = attempt.claim
        assert claim.parent_id is not None, "a runner is a sweep's child"
        course = self.courses.find(
            claim.parent_id, attempt.spec["sweep"], generation=claim.generation
        )
        if course.trial.get("type") == "pipeline":
            return self._tend_trees(course, attempt)
        return _Turn(self, course, attempt, scratch, store, seat, reporter).run()

    def _tend_trees(self, course: Course, attempt: Attempt) -> Ending:
        """Plant trials that are pipelines, and wait for one of them to end."""
        while True:
            try:
                assignment = self._tend(course, attempt)
                break
            except UnavailableError as error:
                logger.warning("trials of %s wait: %s", course.sweep_id, error)
                time.sleep(_RETRY_S)
        if assignment is None:
            return Ending()
        self.publish(assignment.deliveries)
        return Ending(outputs={}) if assignment.verdict == Verdict.END else Ending(is_over=True)

    def _tend(self, course: Course, attempt: Attempt) -> sweeps.Assignment | None:
        with self.database.read() as conn:
            if course.learns:
                course.sync(conn)
            wanted = trial_trees.find_wanted(
                conn, attempt, limits=course.limits, size=course.sampler.size
            )
        return self.database.transact(
            trial_trees.tend,
            attempt,
            points={one.number: one.params or course.ask(one.number, one.point) for one in wanted},
            objective=course.objective,
            limits=course.limits,
            size=course.sampler.size,
            windows=self.windows,
        )


class _Turn:
    """One turn of a runner on its slot."""

    def __init__(
        self,
        handler: RunnerHandler,
        course: Course,
        attempt: Attempt,
        scratch: Path,
        store: Store,
        seat: Seat,
        reporter: Reporter,
    ) -> None:
        self._handler = handler
        self._course = course
        self._attempt = attempt
        self._scratch = scratch
        self._store = store
        self._seat = seat
        self._reporter = reporter
        self._clock = handler.clock
        self._backlog: deque[tuple[Trial, int]] = deque()
        self._finished: list[Finished] = []
        self._moment = datetime.min.replace(tzinfo=UTC)
        self._moment_at = 0.0
        self._synced_at = float("-inf")
        self._looked_at = float("-inf")

    def run(self) -> Ending:
        """Take turns of recording and running; see `RunnerHandler.handle`."""
        self._prepare()
        ends_at = self._clock() + self._handler.settings.sweep_slice_s
        while True:
            assignment = self._advance(slice_is_over=self._clock() >= ends_at)
            if assignment is None:
                return Ending()  # the attempt is somebody else's now, or was canceled
            self._handler.publish(assignment.deliveries)
            self._moment, self._moment_at = assignment.moment, self._clock()
            if assignment.verdict == Verdict.YIELD:
                return Ending(yields=True)
            if assignment.verdict == Verdict.END:
                return Ending(outputs={})
            if self._seat.is_draining:
                return Ending(is_release=True)
            self._backlog.extend(zip(assignment.trials, assignment.points, strict=True))
            stop = self._run_batch()
            if stop is not None:
                return stop

    def _prepare(self) -> None:
        course = self._course
        component = course.trial.get("component")
        if course.is_prepared or component is None:
            return
        course.trials = prepare_trials(
            component,
            {name: fetch(self._store, given) for name, given in self._attempt.inputs.items()},
            lambda line: self._reporter.log("stdout", line + "\n"),
            primary_metric=course.objective.primary_metric,
            swept=course.space.names(),
        )
        course.is_prepared = True

    def _advance(self, *, slice_is_over: bool) -> sweeps.Assignment | None:
        """Record and claim; while the database is away, try until the keeper ends us."""
        course = self._course
        # what is claimed is run before more is asked for: with nothing more, the runner ends
        is_busy = bool(self._backlog) or self._seat.is_draining
        wanted = Wanted(
            trials=0 if is_busy else course.batch_size(),
            slice_is_over=slice_is_over,
            size=course.sampler.size,
            ask=course.sampler.ask if course.is_foreseen else None,
        )
        again = False
        while True:
            try:
                assignment = self._handler.database.transact(
                    sweeps.advance,
                    self._attempt.claim,
                    finished=self._finished,
                    wanted=wanted,
                    objective=course.objective,
                    limits=course.limits,
                    worker=self._handler.worker,
                    windows=self._handler.windows,
                    again=again,
                )
            except UnavailableError as error:
                logger.warning("trials of %s wait: %s", course.sweep_id, error)
                if error.code == "commit_unknown":
                    again = True
                    self._backlog.clear()
                time.sleep(_RETRY_S)
            else:
                self._finished = []
                return assignment

    def _run_batch(self) -> Ending | None:
        """Run what is claimed; an ending where the turn is over before that."""
        began = self._clock()
        while self._backlog:
            if self._seat.order() == Order.CANCEL:
                return Ending()
            if self._seat.is_draining:
                return None  # what has ended is recorded, then the rest handed back
            trial, point = self._backlog.popleft()
            ending = self._run_trial(trial, point)
            if ending is not None:
                return ending
            last = self._finished[-1].outcome if self._finished else None
            if last is not None and self._reaches_target(last):
                break
            # a batch that takes far longer than it should leaves others waiting
            if self._clock() - began > 2 * self._handler.settings.sweep_slice_s:
                break
        return None

    def _reaches_target(self, outcome: TrialOutcome) -> bool:
        is_success = outcome.state == State.SUCCEEDED and outcome.value is not None
        return is_success and self._course.objective.reaches_target(outcome.value or 0.0)

    def _run_trial(self, trial: Trial, point: int) -> Ending | None:
        course = self._course
        if course.learns:
            self._sync(trial)
        params = dict(trial.params) if trial.params is not None else course.ask(trial.number, point)
        if self._is_shown(trial):
            begun = self._begin(trial, params)
            if begun is None:
                return None  # canceled meanwhile
            trial = begun
        started = self._clock()
        limit = course.trial_timeout_s
        self._seat.mark(trial.id, time_limit=started + limit if limit else float("inf"))
        told = _Told(self, trial, params)
        try:
            metrics, error, state, reason, outputs, artifacts = self._execute(trial, params, told)
        except _Stopped as stopped:
            return stopped.ending
        finally:
            self._seat.mark()
        took = self._clock() - started
        value = None
        if state == State.SUCCEEDED:
            value, error = find_value(metrics, course.objective.primary_metric)
            if error is not None:
                state, reason = State.FAILED, Reason.ERROR
        elif state == State.CANCELED:
            value = told.latest
        if state != State.FAILED:
            course.note_seconds(took)
        outcome = TrialOutcome(
            trial,
            state,
            params,
            self._moment + timedelta(seconds=started - self._moment_at),
            self._moment + timedelta(seconds=started - self._moment_at + took),
            reason=reason,
            error=error,
            value=value,
            outputs=outputs,
        )
        self._finished.append(
            Finished(outcome, told.metrics(metrics, keep_steps=took >= _KEPT_STEPS_S), artifacts)
        )
        if course.learns:
            course.note([told.as_past(_past_state(state), value)])
        return None

    def _is_shown(self, trial: Trial) -> bool:
        """Whether a commit says that the trial runs, and with which parameters."""
        course = self._course
        if course.trials is None or course.seconds is None or course.seconds >= _SHOWN_S:
            return True
        # who is killed cannot say any more what it was called with
        may_be_killed = trial.attempt > 0 or course.trial_timeout_s is not None
        return may_be_killed and trial.params is None

    def _begin(self, trial: Trial, params: Mapping[str, Any]) -> Trial | None:
        while True:
            try:
                return self._handler.database.transact(
                    begin, trial, params=params, worker=self._handler.worker
                )
            except UnavailableError as error:
                logger.warning("trial %d waits: %s", trial.number, error)
                if error.code == "commit_unknown":
                    return replace(trial, attempt=trial.attempt + 1, params=params)
                time.sleep(_RETRY_S)

    def _execute(self, trial: Trial, params: Mapping[str, Any], told: _Told) -> _Result:
        trials = self._course.trials
        if trials is None:
            return self._execute_step(trial, params, told)
        try:
            metrics = trials.run(
                params, told.report, told.should_stop if self._course.termination else None
            )
        except Pruned:
            return {}, None, State.CANCELED, Reason.PRUNED, None, ()
        except Exception as error:
            ending = Ending.of_exception(error)
            return {}, ending.error, State.FAILED, ending.reason, None, ()
        return metrics, None, State.SUCCEEDED, None, None, ()

    def _execute_step(self, trial: Trial, params: Mapping[str, Any], told: _Told) -> _Result:
        """Run the trial as a leaf of its own kind would be."""
        spec = dict(self._course.trial)
        if self._course.trial_timeout_s is not None:
            spec["timeout_s"] = self._course.trial_timeout_s
        component = spec.get("component")
        claim = replace(
            self._attempt.claim,
            id=trial.id,
            attempt=trial.attempt,
            role=Role.TRIAL.value,
            component=component,
        )
        swept = {name: Input("object", value=value) for name, value in params.items()}
        attempt = replace(
            self._attempt, claim=claim, spec=spec, inputs={**self._attempt.inputs, **swept}
        )
        reporter = TrialReporter(
            self._handler.database,
            claim,
            max_log_bytes=self._handler.settings.max_log_bytes,
            note=told.note,
        )
        scratch = self._scratch / str(trial.number)
        scratch.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            if component is not None:
                ending = self._handler.component_handler.handle(
                    attempt, scratch=scratch, store=self._store, seat=self._seat, reporter=reporter
                )
            else:
                ending = self._handler.command_handler.handle(
                    attempt,
                    scratch=scratch,
                    store=self._store,
                    seat=self._seat,
                    reporter=reporter,
                    should_prune=told.should_give_up,
                    hear=Listener(self._handler.database, claim, reporter).hear,
                )
        except Exception as error:
            ending = Ending.of_exception(error)
        finally:
            self._seat.report_group(0)
            shutil.rmtree(scratch, ignore_errors=True)  # a turn may have thousands of trials
        reporter.flush()
        told.rest = reporter.rest().metrics
        if ending.outputs is not None:
            metrics = reporter.values
            return metrics, None, State.SUCCEEDED, None, ending.outputs, ending.artifacts
        if ending.reason == Reason.PRUNED:
            return {}, None, State.CANCELED, Reason.PRUNED, None, ()
        if ending.reason is None:
            raise _Stopped(ending)
        return {}, ending.error, State.FAILED, ending.reason, None, ()

    def _sync(self, trial: Trial) -> None:
        """Look at what other runners found, now and then."""
        if self._clock() - self._synced_at < _SYNC_S:
            return
        own = {one.outcome.trial.number for one in self._finished} | {trial.number}
        own |= {held.number for held, _ in self._backlog}
        try:
            with self._handler.database.read() as conn:
                self._course.sync(conn, own=frozenset(own))
        except UnavailableError as error:
            logger.warning("what other runners found waits: %s", error)
        self._synced_at = self._clock()

    def is_pruned(self, trial: Trial, past: Past) -> bool:
        """Whether early termination ends a running trial."""
        termination = self._course.termination
        if termination is None:
            return False
        self._sync(trial)
        return termination.should_stop(past)

    def is_canceled(self, trial: Trial) -> bool:
        """Whether somebody has canceled a running trial; looks now and then."""
        if self._clock() - self._looked_at < self._handler.settings.cancel_poll_s:
            return False
        self._looked_at = self._clock()
        try:
            with self._handler.database.read() as conn:
                return bool(workers.canceled(conn, [(trial.id, trial.attempt)]))
        except UnavailableError:
            return False  # the next look will tell


_Result = tuple[
    Mapping[str, float],
    Mapping[str, Any] | None,
    State,
    Reason | None,
    Mapping[str, Any] | None,
    Sequence[Artifact],
]


class _Stopped(Exception):
    """The runner itself is to stop, and the trial with it."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending


class _Told:
    """What a running trial reports on its way."""

    def __init__(self, turn: _Turn, trial: Trial, params: Mapping[str, Any]) -> None:
        self._turn = turn
        self._trial = trial
        self._params = dict(params)
        self._primary = turn._course.objective.primary_metric
        self._values: list[MetricValue] = []
        self._steps: dict[int, float] = {}
        #: Of a trial that is a step and has written its metrics itself: those it could not.
        self.rest: Sequence[MetricValue] | None = None

    @property
    def latest(self) -> float | None:
        """The last intermediate value of the primary metric."""
        return self._steps[max(self._steps)] if self._steps else None

    def report(self, name: str, value: float, step: int) -> None:
        """An intermediate value."""
        self._values.append(MetricValue(name, value, step))
        self.note(name, value, step)

    def note(self, name: str, value: float, step: int) -> None:
        """An intermediate value that is kept elsewhere."""
        if name == self._primary and step > 0 and value == value:
            self._steps[step] = value

    def should_stop(self) -> bool:
        """Whether early termination ends the trial now."""
        return self._turn.is_pruned(self._trial, self.as_past("running", None))

    def should_give_up(self) -> bool:
        """Whether the command of the trial is to end now: by early termination, or canceled."""
        return self._turn.is_canceled(self._trial) or self.should_stop()

    def as_past(self, state: str, value: float | None) -> Past:
        """The trial as samplers and early termination know it."""
        return Past(self._trial.number, self._params, state, value, dict(self._steps))

    def metrics(self, final: Mapping[str, float], *, keep_steps: bool) -> list[MetricValue]:
        """What is kept: the final values, and the way there where the trial was long enough."""
        if self.rest is not None:
            return list(self.rest)
        kept = list(self._values) if keep_steps or not final else []
        last = max((value.step for value in kept), default=0)
        kept += [
            MetricValue(name, float(value), last) for name, value in final.items() if value == value
        ]
        return [value for value in kept if value.value == value.value]


def _past_state(state: State) -> str:
    return "pruned" if state == State.CANCELED else state.value
