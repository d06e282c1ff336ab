"""Sweeps in the database: runners, trials and the leaf that makes the outputs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from mlq.db import recovery, sweeps, transitions
from mlq.db.tables import jobs
from mlq.db.transitions import Fate, Trial, TrialOutcome
from mlq.db.types import now_plus
from mlq.lifecycle import Reason, State
from mlq.service import execution
from mlq.service import jobs as jobs_service
from mlq.service import sweeps as service
from mlq.service.execution import Attempt, Report
from mlq.service.sweeps import Assignment, Finished, Verdict, Wanted
from mlq.sweeps.objective import Objective
from tests.integration.db.plans import Leaf, Pipe, Sweep
from tests.integration.db.queue import Queue, Tree

LIMITS = {"max_total_trials": 6}
OBJECTIVE = Objective("accuracy", "maximize", target=0.9)


class Runner:
    """A claimed runner, as its worker drives it."""

    def __init__(self, queue: Queue, tree: Tree, path: str = "runner-1") -> None:
        self.queue = queue
        self.attempt: Attempt = tree.claim(path)
        self.moment: Any = None

    def advance(
        self,
        *finished: Finished,
        trials: int = 2,
        slice_is_over: bool = False,
        size: int | None = None,
        limits: dict[str, Any] = LIMITS,
    ) -> Assignment:
        given = self.queue.database.transact(
            service.advance,
            self.attempt.claim,
            finished=finished,
            wanted=Wanted(trials, slice_is_over, size),
            objective=OBJECTIVE,
            limits=limits,
            worker="w1",
            windows=self.queue.windows,
        )
        assert given is not None, "the runner is not current"
        self.moment = given.moment
        return given

    def finish(self, trial: Trial, value: float | None = None, **more: Any) -> Finished:
        state = State.SUCCEEDED if value is not None else State.FAILED
        times = (self.moment, self.moment + timedelta(milliseconds=5))
        given: dict[str, Any] = {"params": {"x": trial.number}, "value": value, **more}
        if state == State.FAILED:
            given |= {"reason": Reason.ERROR, "error": {"code": "boom", "message": "Boom."}}
        return Finished(
            TrialOutcome(trial, state, started_at=times[0], finished_at=times[1], **given)
        )

    def end(self) -> execution.Finished | None:
        return self.queue.succeed(self.attempt)


def trials_of(queue: Queue, tree: Tree) -> dict[int, str]:
    with queue.database.read() as conn:
        return {
            row["number"]: f"{row['state']}/{row['reason']}" if row["reason"] else row["state"]
            for row in sweeps.read_past(conn, tree.id, first=0)
        }


def test_runners_run_trials_until_none_is_left(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=2))
    assert tree.states() == {
        "": "running", "runner-1": "queued", "runner-2": "queued", "best": "pending",
    }  # fmt: skip
    one, two = Runner(queue, tree), Runner(queue, tree, "runner-2")
    mine, yours = one.advance(trials=2), two.advance(trials=2)
    assert [trial.number for trial in mine.trials] == [0, 1]
    assert [trial.number for trial in yours.trials] == [2]  # less and less towards the end
    rest = two.advance(two.finish(yours.trials[0], 0.3), trials=9)
    assert [trial.number for trial in rest.trials] == [3]
    last = one.advance(*(one.finish(trial, 0.1) for trial in mine.trials), trials=1)
    end = one.advance(one.finish(last.trials[0]), trials=1)
    done = one.advance(one.finish(end.trials[0], 0.2))
    assert done.verdict == Verdict.END
    assert two.advance(two.finish(rest.trials[0], 0.5)).verdict == Verdict.END
    one.end()
    assert tree.row("best").state == "pending"
    two.end()
    assert tree.row("best").state == "queued"
    assert tree.row().value == 0.5
    tree.run("best")
    assert tree.row().state == "succeeded"
    assert trials_of(queue, tree) == {
        0: "succeeded", 1: "succeeded", 2: "succeeded", 3: "succeeded",
        4: "failed/error", 5: "succeeded",
    }  # fmt: skip


def test_runners_that_nobody_has_claimed_end_with_the_last_trial(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=3))
    runner = Runner(queue, tree)
    given = runner.advance(trials=1, limits={"max_total_trials": 1})
    assert runner.advance(
        runner.finish(given.trials[0], 0.1), limits={"max_total_trials": 1}
    ).verdict
    runner.end()
    states = tree.states()
    assert states["runner-2"] == states["runner-3"] == "canceled"
    assert states["best"] == "queued"


def test_the_target_ends_the_sweep_early(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=2))
    one, two = Runner(queue, tree), Runner(queue, tree, "runner-2")
    mine, _ = one.advance(trials=2), two.advance(trials=2)
    reached = one.advance(one.finish(mine.trials[0], 0.95))
    assert reached.verdict == Verdict.END
    one.end()
    assert tree.row("runner-2").cancel_requested_at is not None
    queue.end_canceled(two.attempt)
    tree.run("best")
    assert tree.states()[""] == "succeeded/target"
    assert trials_of(queue, tree) == {0: "succeeded", 1: "canceled", 2: "canceled"}


def test_a_sweep_out_of_time_ends_with_the_best_so_far(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=1, timeout_s=1))
    runner = Runner(queue, tree)
    given = runner.advance(trials=2)
    runner.advance(runner.finish(given.trials[0], 0.4), trials=0)
    with queue.database.write() as conn:
        conn.execute(update(jobs).where(jobs.c.id == tree.id).values(started_at=now_plus(-5.0)))
    with queue.database.read() as conn:
        assert recovery.timed_out(conn) == [tree.id]
    queue.database.transact(jobs_service.time_out, tree.id, windows=queue.windows)
    queue.end_canceled(runner.attempt)
    tree.run("best")
    assert tree.states()[""] == "succeeded/timeout"


def test_a_lost_runner_gives_its_trials_back_and_only_one_is_charged(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=1))
    runner = Runner(queue, tree)
    held = runner.advance(trials=3).trials
    fate = Fate(in_progress=held[1].id, losses=1, max_lost=3, error={"code": "lost"})
    queue.lose(runner.attempt, excused=True, fate=fate)
    assert [queue.row(trial.id).lost_count for trial in held] == [0, 1, 0]
    assert {queue.row(trial.id).state for trial in held} == {"queued"}
    again = Runner(queue, tree)
    assert again.attempt.claim.attempt == 2
    assert [trial.number for trial in again.advance(trials=9).trials] == [0, 2]
    # the one that may have killed its process comes alone
    assert [trial.number for trial in again.advance(trials=9).trials] == [1]


def test_a_trial_that_kills_its_runner_again_and_again_is_lost(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=1))
    for _ in range(2):
        runner = Runner(queue, tree)
        trial = runner.advance(trials=1).trials[0]
        fate = Fate(in_progress=trial.id, losses=1, max_lost=2, error={"code": "lost"})
        queue.lose(runner.attempt, excused=True, fate=fate)
    assert trials_of(queue, tree) == {0: "failed/lost"}
    assert tree.row("runner-1").lost_count == 0


def test_where_nobody_knows_who_was_in_progress_nobody_is_charged(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=1))
    runner = Runner(queue, tree)
    held = runner.advance(trials=3).trials
    queue.lose(runner.attempt)
    assert [queue.row(trial.id).lost_count for trial in held] == [0, 0, 0]
    again = Runner(queue, tree)
    assert [len(again.advance(trials=9).trials) for _ in held] == [1, 1, 1]
    # getting on clears the runner's own losses
    assert again.attempt.claim.lost_count == 1
    again.advance(again.finish(held[0], 0.1))
    assert tree.row("runner-1").lost_count == 0


def test_a_timed_out_trial_fails_and_its_runner_goes_on(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=1))
    runner = Runner(queue, tree)
    held = runner.advance(trials=2).trials
    fate = Fate(in_progress=held[0].id, state=State.FAILED, reason=Reason.TIMEOUT)
    queue.database.transact(
        execution.release, runner.attempt, said=Report(), windows=queue.windows, fate=fate
    )
    assert trials_of(queue, tree) == {0: "failed/timeout", 1: "queued"}
    assert tree.row("runner-1").state == "queued"


def test_a_runner_yields_to_others_only(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=2))
    runner = Runner(queue, tree)
    assert runner.advance(slice_is_over=True).verdict == Verdict.RUN
    queue.submit(Leaf())
    assert runner.advance(slice_is_over=True).verdict == Verdict.YIELD
    queue.database.transact(
        execution.yield_slot, runner.attempt, said=Report(), windows=queue.windows
    )
    row = tree.row("runner-1")
    assert (row.state, row.attempt, row.lost_count) == ("queued", 1, 0)
    assert set(trials_of(queue, tree).values()) == {"queued"}


def test_a_failed_runner_fails_the_sweep(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=2))
    one, two = Runner(queue, tree), Runner(queue, tree, "runner-2")
    one.advance()
    queue.fail(one.attempt, retry=False)
    two.advance()
    two.end()
    assert tree.states()["best"] == "skipped/upstream"
    assert tree.states()[""] == "failed/error"
    assert set(trials_of(queue, tree).values()) == {"canceled"}


def test_cancel_ends_everything_below(queue: Queue) -> None:
    tree = queue.submit(Pipe({"tune": Sweep(runners=2), "after": Leaf(after=["tune"])}))
    runner = Runner(queue, tree, "tune.runner-1")
    held = runner.advance(trials=2).trials
    queue.database.transact(transitions.begin_trial, held[0], params={"x": 1}, worker="w1")
    queue.cancel(tree.id)
    queue.end_canceled(runner.attempt)
    assert set(tree.states().values()) == {"canceled"}


def test_resume_runs_again_what_did_not_succeed(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=2))
    one = Runner(queue, tree)
    held = one.advance(trials=3).trials
    one.advance(one.finish(held[0], 0.3), one.finish(held[1]), trials=0)
    queue.cancel(tree.id)
    queue.end_canceled(one.attempt)
    assert trials_of(queue, tree) == {0: "succeeded", 1: "failed/error", 2: "canceled"}
    queue.resume(tree.id)
    assert trials_of(queue, tree) == {0: "succeeded", 1: "queued", 2: "queued"}
    again = Runner(queue, tree)
    assert [trial.number for trial in again.advance(trials=9).trials] == [1, 2]


@pytest.mark.parametrize("late", [False, True])
def test_outcomes_of_trials_that_were_taken_away_do_not_count(queue: Queue, late: bool) -> None:
    tree = queue.submit(Sweep(runners=2))
    one = Runner(queue, tree)
    held = one.advance(trials=2).trials
    queue.lose(one.attempt)
    if late:
        two = Runner(queue, tree, "runner-2")
        two.advance(trials=9)
    stale: Callable[..., Any] = service.advance
    given = queue.database.transact(
        stale,
        one.attempt.claim,
        finished=[one.finish(trial, 0.1) for trial in held],
        wanted=Wanted(1, False, None),
        objective=OBJECTIVE,
        limits=LIMITS,
        worker="w1",
        windows=queue.windows,
    )
    assert given is None
    assert set(trials_of(queue, tree).values()) == {"queued"}


def test_a_paused_sweep_yields_its_slots(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=1))
    runner = Runner(queue, tree)
    with queue.database.write() as conn:
        conn.execute(update(jobs).where(jobs.c.root_id == tree.id).values(paused_at=now_plus(0.0)))
    assert runner.advance().verdict == Verdict.YIELD


def test_trials_have_no_message_of_their_own(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=1))
    runner = Runner(queue, tree)
    runner.advance(trials=3)
    with queue.database.read() as conn:
        assert recovery.waiting_computes(conn) == []
        rows = conn.execute(select(jobs.c.compute).where(jobs.c.role == "trial")).all()
    assert {row.compute for row in rows} == {None}


def test_a_trial_that_was_to_stop_is_canceled_however_it_ended(queue: Queue) -> None:
    tree = queue.submit(Sweep(runners=1))
    runner = Runner(queue, tree)
    held = runner.advance(trials=1).trials[0]
    queue.database.transact(transitions.begin_trial, held, params={"x": 1}, worker="w1")
    queue.cancel(tree.id)
    assert runner.advance(runner.finish(held, 0.99)).verdict == Verdict.END
    queue.end_canceled(runner.attempt)
    assert trials_of(queue, tree) == {0: "canceled"}
