"""What people change on a sweep that has not ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from mlq.db.tables import jobs
from mlq.db.transitions import TrialOutcome
from mlq.db.types import now_plus
from mlq.db.window import Delivery
from mlq.errors import ConflictError, MlqError
from mlq.lifecycle import State
from mlq.service import execution, steering, trial_trees
from mlq.service import jobs as jobs_service
from mlq.service import sweeps as service
from mlq.service.execution import Report
from mlq.service.sweeps import Assignment, Finished, Verdict, Wanted
from mlq.spec import compile_job, read_document
from mlq.sweeps.objective import Objective
from tests.integration.db.plans import Leaf, Pipe
from tests.integration.db.queue import Queue, Tree
from tests.integration.db.test_sweeps import trials_of

SWEEP: dict[str, Any] = {
    "type": "sweep",
    "trial": {"command": "fit ${{search_space.lr}} ${{search_space.depth}}"},
    "search_space": {
        "lr": {"type": "uniform", "min_value": 0, "max_value": 1},
        "depth": {"type": "choice", "values": [1, 2, 3]},
    },
    "sampling_algorithm": "random",
    "objective": {"primary_metric": "r2", "goal": "maximize"},
    "limits": {"max_total_trials": 4, "max_concurrent_trials": 2},
}
OBJECTIVE = Objective("r2", "maximize")


def submit(queue: Queue, document: dict[str, Any] = SWEEP, **changes: Any) -> Tree:
    """Submit a sweep's job file with some keys changed."""
    plan = compile_job(read_document(json.dumps({**document, **changes})), computes=None)
    done = queue.database.transact(
        jobs_service.submit,
        plan,
        actor="ann",
        document="{}",
        media_type="application/json",
        windows=queue.windows,
    )
    return Tree(queue, done.job_id, done.deliveries)


def pause(queue: Queue, tree: Tree, path: str = "") -> None:
    queue.database.transact(steering.pause, tree.ids[path], actor="ann")


def resume(queue: Queue, tree: Tree) -> list[Delivery]:
    return queue.database.transact(steering.resume, tree.id, actor="ann", windows=queue.windows)


def limit(queue: Queue, tree: Tree, **changes: Any) -> list[Delivery]:
    return queue.database.transact(
        steering.set_limits, tree.id, changes, actor="ann", windows=queue.windows
    )


def add(queue: Queue, tree: Tree, *points: dict[str, Any]) -> steering.Added:
    return queue.database.transact(
        steering.add_trials, tree.id, points, actor="ann", windows=queue.windows
    )


class Runner:
    """A claimed runner that ends every trial it is given with the value 0.5."""

    def __init__(self, queue: Queue, tree: Tree, path: str) -> None:
        self.queue = queue
        self.attempt = Tree(queue, tree.id, []).claim(path)
        self.limits = self.attempt.spec["sweep"]["limits"]
        self.given: Assignment | None = None

    def advance(self, *, trials: int = 1) -> Assignment:
        """Record what was given last, and ask for more."""
        self.given = self.queue.database.transact(
            service.advance,
            self.attempt.claim,
            finished=self._finished(),
            wanted=Wanted(trials, slice_is_over=False, size=None),
            objective=OBJECTIVE,
            limits=self.limits,
            worker="w1",
            windows=self.queue.windows,
        )
        assert self.given is not None, "the runner is not current"
        return self.given

    def run_out(self) -> list[int]:
        """Run trials until none is left, and end; their numbers."""
        numbers = []
        while (given := self.advance()).verdict == Verdict.RUN:
            numbers += [trial.number for trial in given.trials]
        assert given.verdict == Verdict.END
        self.end()
        return numbers

    def end(self) -> None:
        self.queue.succeed(self.attempt)

    def give_up_its_slot(self) -> None:
        self.queue.database.transact(
            execution.yield_slot, self.attempt, said=Report(), windows=self.queue.windows
        )

    def _finished(self) -> list[Finished]:
        if self.given is None:
            return []
        moment = self.given.moment
        return [
            Finished(
                TrialOutcome(
                    trial,
                    State.SUCCEEDED,
                    {"lr": 0.1, "depth": trial.number},
                    started_at=moment,
                    finished_at=moment,
                    value=0.5,
                )
            )
            for trial in self.given.trials
        ]


def test_a_paused_sweep_takes_no_slot_and_no_place_in_the_window(queue: Queue) -> None:
    tree = submit(queue)
    assert queue.outstanding() == 2
    pause(queue, tree)
    pause(queue, tree)
    assert queue.outstanding() == 0
    assert queue.claim(tree.ids["runner-1"]) is None
    other = queue.submit(Leaf())
    assert [link.id for delivery in other.deliveries for link in delivery.links] == [other.id]
    resumed = resume(queue, tree)
    assert {link.id for delivery in resumed for link in delivery.links} == {
        tree.ids["runner-1"],
        tree.ids["runner-2"],
    }
    assert Runner(queue, tree, "runner-1").run_out() == [0, 1, 2, 3]


def test_a_runner_of_a_paused_sweep_records_its_trial_and_goes(queue: Queue) -> None:
    tree = submit(queue)
    runner = Runner(queue, tree, "runner-1")
    runner.advance()
    pause(queue, tree)
    assert runner.advance().verdict == Verdict.YIELD
    assert trials_of(queue, tree) == {0: "succeeded"}
    runner.give_up_its_slot()
    assert queue.claim(tree.ids["runner-1"]) is None
    resume(queue, tree)
    assert Runner(queue, tree, "runner-1").run_out() == [1, 2, 3]


def test_a_sweep_paused_before_it_starts_stays_so(queue: Queue) -> None:
    first = {"type": "command", "command": "true", "outputs": {"o": {"type": "uri_file"}}}
    trial = {"command": "fit ${{inputs.o}} ${{search_space.lr}} ${{search_space.depth}}"}
    inputs = {"o": "${{parent.jobs.first.outputs.o}}"}
    tune = {**SWEEP, "trial": trial, "inputs": inputs}
    tree = submit(queue, {"type": "pipeline", "jobs": {"first": first, "tune": tune}})
    pause(queue, tree, "tune")
    tree.run("first")
    assert tree.row("tune").state == "running"
    assert queue.claim(tree.ids["tune.runner-1"]) is None
    queue.database.transact(steering.resume, tree.ids["tune"], actor="ann", windows=queue.windows)
    assert queue.claim(tree.ids["tune.runner-1"]) is not None


def test_canceling_a_paused_sweep_ends_it(queue: Queue) -> None:
    tree = submit(queue)
    pause(queue, tree)
    queue.cancel(tree.id)
    assert set(tree.states().values()) == {"canceled"}
    queue.resume(tree.id)
    assert tree.row().paused_at is None
    assert Runner(queue, tree, "runner-1").run_out() == [0, 1, 2, 3]


def test_more_trials_at_once_are_more_runners(queue: Queue) -> None:
    tree = submit(queue)
    first = [Runner(queue, tree, path) for path in ("runner-1", "runner-2")]
    deliveries = limit(queue, tree, max_concurrent_trials=4, max_total_trials=50)
    states = Tree(queue, tree.id, []).states()
    assert sorted(path for path in states if path.startswith("runner")) == [
        "runner-1", "runner-2", "runner-3", "runner-4",
    ]  # fmt: skip
    assert [link.shadow for one in deliveries for link in one.links] == [
        "sweep.runner-3", "sweep.runner-4",
    ]  # fmt: skip
    for runner in (Runner(queue, tree, "runner-3"), first[0]):
        assert runner.advance().verdict == Verdict.RUN


def test_fewer_trials_at_once_end_the_runners_that_came_last(queue: Queue) -> None:
    tree = submit(queue, limits={"max_total_trials": 9, "max_concurrent_trials": 3})
    runners = [Runner(queue, tree, f"runner-{slot}") for slot in (1, 2, 3)]
    for runner in runners:
        runner.advance()
    limit(queue, tree, max_concurrent_trials=1)
    verdicts = [runner.advance().verdict for runner in runners]
    assert verdicts == [Verdict.RUN, Verdict.END, Verdict.END]
    # of those two, one has not ended yet, and is none all the same
    runners[1].end()
    limit(queue, tree, max_concurrent_trials=2)
    again = Runner(queue, tree, "runner-4")
    assert again.advance().verdict == Verdict.RUN
    runners[2].end()
    assert runners[0].advance().verdict == Verdict.RUN


def test_after_a_resume_no_more_run_at_once_than_may(queue: Queue) -> None:
    tree = submit(queue, limits={"max_total_trials": 9, "max_concurrent_trials": 2})
    limit(queue, tree, max_concurrent_trials=1)
    surplus = Runner(queue, tree, "runner-2")
    assert surplus.advance().verdict == Verdict.END
    surplus.end()
    limit(queue, tree, max_concurrent_trials=2)
    queue.cancel(tree.id)
    queue.resume(tree.id)
    runners = [Runner(queue, tree, f"runner-{slot}") for slot in (1, 2, 3)]
    verdicts = [runner.advance().verdict for runner in runners]
    assert verdicts == [Verdict.RUN, Verdict.RUN, Verdict.END]


def test_a_higher_total_keeps_a_sweep_going_that_had_nothing_left(queue: Queue) -> None:
    tree = submit(queue, limits={"max_total_trials": 1, "max_concurrent_trials": 1})
    runner = Runner(queue, tree, "runner-1")
    runner.advance()
    assert runner.advance().verdict == Verdict.END
    limit(queue, tree, max_total_trials=3)
    runner.end()
    assert tree.row("best").state == "pending"
    assert Runner(queue, tree, "runner-2").run_out() == [1, 2]
    tree.run("best")
    assert tree.row().state == "succeeded"


def test_a_lower_total_ends_a_sweep(queue: Queue) -> None:
    tree = submit(queue)
    runner = Runner(queue, tree, "runner-1")
    runner.advance()
    limit(queue, tree, max_total_trials=1)
    assert runner.run_out() == []
    assert tree.states()["best"] == "queued"


def test_what_is_added_after_a_total_below_what_ran_is_tried(queue: Queue) -> None:
    tree = submit(queue, limits={"max_total_trials": 6, "max_concurrent_trials": 1})
    runner = Runner(queue, tree, "runner-1")
    assert [trial.number for trial in runner.advance(trials=3).trials] == [0, 1, 2]
    limit(queue, tree, max_total_trials=1)
    assert list(add(queue, tree, {"lr": 5, "depth": 9}).numbers) == [3]
    assert [trial.number for trial in runner.advance().trials] == [3]
    assert runner.run_out() == []


def test_a_new_timeout_counts_from_the_start(queue: Queue) -> None:
    tree = submit(queue)
    with queue.database.write() as conn:
        conn.execute(update(jobs).where(jobs.c.id == tree.id).values(started_at=now_plus(-60.0)))
    limit(queue, tree, timeout=3600)
    assert tree.row().timeout_s == 3600
    limit(queue, tree, timeout=None)
    assert tree.row().timeout_s is None


def test_a_sweep_without_any_end_is_refused(queue: Queue) -> None:
    tree = submit(queue)
    with pytest.raises(MlqError, match="Nothing would end"):
        limit(queue, tree, max_total_trials=None)
    limit(queue, tree, max_total_trials=None, timeout=60)
    assert tree.row().params["limits"] == {"max_total_trials": None}
    grid = submit(queue, sampling_algorithm="grid", search_space={
        "lr": {"type": "choice", "values": [0.1, 0.2]},
        "depth": {"type": "choice", "values": [1, 2]},
    })  # fmt: skip
    limit(queue, grid, max_total_trials=None)


def test_added_trials_come_first_and_do_not_count(queue: Queue) -> None:
    tree = submit(queue)
    runner = Runner(queue, tree, "runner-1")
    runner.advance()
    added = add(queue, tree, {"lr": 5, "depth": 9}, {"lr": 0.2, "depth": 1})
    assert list(added.numbers) == [1, 2]
    given = runner.advance()
    assert [(trial.number, trial.params) for trial in given.trials] == [(1, {"lr": 5, "depth": 9})]
    assert runner.run_out() == [2, 3, 4, 5]
    assert tree.row().params["added"] == [1, 2]


def test_points_of_the_sampler_skip_added_trials(queue: Queue) -> None:
    tree = submit(queue)
    add(queue, tree, {"lr": 5, "depth": 9})
    runner = Runner(queue, tree, "runner-1")
    assert [trial.number for trial in runner.advance().trials] == [0]
    given = runner.advance()
    assert ([trial.number for trial in given.trials], given.points) == ([1], [0])


def test_trials_added_while_the_last_runner_ends_are_run(queue: Queue) -> None:
    tree = submit(queue, limits={"max_total_trials": 1, "max_concurrent_trials": 1})
    runner = Runner(queue, tree, "runner-1")
    runner.advance()
    assert runner.advance().verdict == Verdict.END
    add(queue, tree, {"lr": 0.3, "depth": 2})
    runner.end()
    assert Runner(queue, tree, "runner-2").run_out() == [1]
    assert tree.states()["best"] == "queued"


def test_a_lost_runner_that_was_told_to_end_comes_back_to_stay(queue: Queue) -> None:
    tree = submit(queue, limits={"max_total_trials": 1, "max_concurrent_trials": 1})
    runner = Runner(queue, tree, "runner-1")
    runner.advance()
    runner.advance()
    queue.lose(runner.attempt)
    add(queue, tree, {"lr": 0.3, "depth": 2})
    assert set(Tree(queue, tree.id, []).ids) == {"", "runner-1", "best", "0", "1"}
    assert Runner(queue, tree, "runner-1").run_out() == [1]


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ({"lr": 1, "dept": 1}, "no parameter 'dept'"),
        ({"lr": 1}, "no value for 'depth'"),
        ({"lr": float("nan"), "depth": 1}, "'lr' is not JSON"),
        ({"lr": "abc", "depth": 1}, "'lr' is text here, and a number in the search space"),
    ],
)
def test_points_that_make_no_sense_are_refused(
    queue: Queue, point: dict[str, Any], words: str
) -> None:
    tree = submit(queue)
    with pytest.raises(MlqError, match=words):
        add(queue, tree, {"lr": 1, "depth": 1}, point)
    assert trials_of(queue, tree) == {}


def test_a_point_of_a_conditional_space_names_its_own_branch(queue: Queue) -> None:
    branches = [{"depth": 1}, {"depth": 2, "leaves": {"type": "choice", "values": [3]}}]
    trial = {"command": "fit $[[${{inputs.leaves}}]] ${{search_space.depth}}"}
    tree = submit(
        queue,
        trial=trial,
        search_space={"tree": {"type": "choice", "values": branches}},
        sampling_algorithm="grid",
    )
    add(queue, tree, {"depth": 7}, {"depth": 7, "leaves": 8})
    with pytest.raises(MlqError, match="no parameter 'tree'"):
        add(queue, tree, {"tree": 1})


PIPELINES: dict[str, Any] = {
    **SWEEP,
    "trial": {
        "type": "pipeline",
        "inputs": {"lr": {"type": "number"}, "depth": {"type": "integer"}},
        "jobs": {
            "fit": {
                "type": "command",
                "command": "fit ${{inputs.lr}} ${{inputs.depth}}",
                "inputs": {
                    "lr": "${{parent.inputs.lr}}",
                    "depth": "${{parent.inputs.depth}}",
                },
            }
        },
    },
    "limits": {"max_total_trials": 2, "max_concurrent_trials": 1},
}


class Planter:
    """The runner of a sweep of pipelines, as its worker drives it."""

    def __init__(self, queue: Queue, tree: Tree) -> None:
        self.queue = queue
        self.tree = tree

    def tend(self, meanwhile: Callable[[], object] = lambda: None) -> tuple[Verdict, list[Any]]:
        """Look after the trials; what was planted. meanwhile: what happens before the commit."""
        attempt = Tree(self.queue, self.tree.id, []).claim("runner-1")
        budget = {"limits": attempt.spec["sweep"]["limits"], "size": None}
        with self.queue.database.read() as conn:
            wanted = trial_trees.find_wanted(conn, attempt, **budget)
        points = {one.number: one.params or {"lr": one.point, "depth": 0} for one in wanted}
        meanwhile()
        given = self.queue.database.transact(
            trial_trees.tend,
            attempt,
            points=points,
            objective=OBJECTIVE,
            windows=self.queue.windows,
            **budget,
        )
        assert given is not None
        if given.verdict == Verdict.END:
            self.queue.succeed(attempt)
        return given.verdict, [(number, point["lr"]) for number, point in points.items()]

    def run_trial(self, number: int) -> None:
        """Let a planted trial succeed; its runner wakes."""
        Tree(self.queue, self.tree.id, []).run(f"{number}.fit")


def test_points_of_a_sweep_of_pipelines_are_planted_first(queue: Queue) -> None:
    tree = submit(queue, PIPELINES)
    planter = Planter(queue, tree)
    assert planter.tend() == (Verdict.YIELD, [(0, 0)])
    added = add(queue, tree, {"lr": 7, "depth": 1}, {"lr": 8, "depth": 1})
    assert list(added.numbers) == [1, 2]
    assert list(add(queue, tree, {"lr": 9, "depth": 1}).numbers) == [3]
    planted = []
    for number in range(5):
        planter.run_trial(number)
        verdict, points = planter.tend()
        planted += points
    assert planted == [(1, 7), (2, 8), (3, 9), (4, 1)]
    assert verdict == Verdict.END


def test_what_a_sweep_of_pipelines_is_given_at_the_last_moment_counts(queue: Queue) -> None:
    tree = submit(queue, PIPELINES, limits={"max_total_trials": 1})
    planter = Planter(queue, tree)
    planter.tend()
    planter.run_trial(0)
    verdict, _ = planter.tend(lambda: limit(queue, tree, max_total_trials=2))
    assert verdict == Verdict.YIELD
    assert planter.tend() == (Verdict.YIELD, [(1, 1)])
    planter.run_trial(1)
    assert planter.tend()[0] == Verdict.END


def test_a_paused_sweep_of_pipelines_plants_nothing(queue: Queue) -> None:
    tree = submit(queue, PIPELINES)
    planter = Planter(queue, tree)
    planter.tend()
    pause(queue, tree)
    planter.run_trial(0)
    assert queue.claim(tree.ids["runner-1"]) is None
    resume(queue, tree)
    assert planter.tend() == (Verdict.YIELD, [(1, 1)])


def test_what_cannot_be_steered_says_why(queue: Queue) -> None:
    pipe = queue.submit(Pipe({"a": Leaf()}))
    with pytest.raises(ConflictError, match="is a pipeline, not a sweep") as not_a_sweep:
        pause(queue, pipe)
    assert not_a_sweep.value.code == "not_a_sweep"
    tree = submit(queue, limits={"max_total_trials": 1, "max_concurrent_trials": 1})
    Runner(queue, tree, "runner-1").run_out()
    with pytest.raises(ConflictError, match="making its outputs"):
        limit(queue, tree, max_total_trials=9)
    tree.run("best")
    with pytest.raises(ConflictError, match="has ended: it succeeded"):
        add(queue, tree, {"lr": 1, "depth": 1})
    stopping = submit(queue)
    runner = Runner(queue, stopping, "runner-1")
    queue.cancel(stopping.id)
    with pytest.raises(ConflictError, match="is stopping"):
        pause(queue, stopping)
    queue.end_canceled(runner.attempt)
