"""A runner's turns on a real database, with a clock that moves as the trials say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mlq.artifacts import Store
from mlq.db.engine import Database
from mlq.db.tables import jobs
from mlq.errors import UnavailableError
from mlq.service import jobs as service
from mlq.service import sweeps
from mlq.service.execution import Attempt
from mlq.service.sweeps import Verdict, Wanted
from mlq.settings import load_settings
from mlq.spec import compile_job, read_document
from mlq.sweeps.objective import Objective
from mlq_workers.board import Board
from mlq_workers.ending import Ending
from mlq_workers.handlers import CommandHandler, ComponentHandler
from mlq_workers.reporter import Reporter
from mlq_workers.sweeps import RunnerHandler
from tests.integration.db.queue import Queue, Tree

SLICE_S = 1.0


class World:
    """What trials can do to the test: seconds they take, and what happens during one of them."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.takes: dict[int, float] = {}
        self.during: dict[int, Callable[[], object]] = {}
        self.calls: list[int] = []

    def __call__(self) -> float:
        return self.seconds


world = World()


def objective(x: int) -> float:
    world.calls.append(x)
    world.seconds += world.takes.get(x, 0.001)
    world.during.pop(x, lambda: None)()
    return float(x)


class Forgetful:
    """A database that commits, and then loses the answer `times` times."""

    def __init__(self, database: Database, *, times: int) -> None:
        self._database = database
        self.times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def transact(self, work: Callable[..., Any], *args: Any, **more: Any) -> Any:
        found = self._database.transact(work, *args, **more)
        if work is sweeps.advance and self.times:
            self.times -= 1
            raise UnavailableError("The answer to a COMMIT was lost.", code="commit_unknown")
        return found


class Bench:
    """A sweep of nine trials, and a worker's process that runs it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.queue = Queue(database)
        self.database: Any = database
        self.store = Store.open(str(folder / "artifacts"))
        self.folder = folder
        self.board = Board(folder / "board", seats=1)
        self.tree = self._submit()
        self.handler = self.make_handler()

    def _submit(self) -> Tree:
        text = """{"type": "sweep", "trial": "mlq:call", "sampling_algorithm": "grid",
          "inputs": {"function": "tests.integration.workers.test_runner:objective"},
          "search_space": {"x": {"type": "randint", "upper": 9}},
          "limits": {"max_concurrent_trials": 2},
          "objective": {"primary_metric": "value", "goal": "maximize"}}"""
        submitted = self.queue.database.transact(
            service.submit,
            compile_job(read_document(text, media_type="application/json"), computes=None),
            actor="ann",
            document=text,
            media_type="application/json",
            windows=self.queue.windows,
        )
        return Tree(self.queue, submitted.job_id, submitted.deliveries)

    def make_handler(self) -> RunnerHandler:
        return RunnerHandler(
            settings=load_settings(sweep_slice_s=SLICE_S),
            database=self.database,
            publish=lambda deliveries: None,
            worker="w1",
            component_handler=ComponentHandler(),
            command_handler=CommandHandler(),
            windows=self.queue.windows,
            clock=world,
        )

    def turn(self, path: str = "runner-1") -> tuple[Attempt, Ending]:
        """Let a runner have its turn; how it ended, before that is committed."""
        attempt = self.tree.claim(path)
        seat = self.board.seat(0)
        reporter = Reporter(self.queue.database, attempt.claim, max_log_bytes=9999)
        claim = attempt.claim
        with seat.hold(claim.id, claim.attempt, deadline=1e12, time_limit=1e12):
            ending = self.handler.handle(
                attempt,
                scratch=self.folder / "scratch",
                store=self.store,
                seat=seat,
                reporter=reporter,
            )
        return attempt, ending

    def take(self, other: Attempt, count: int) -> sweeps.Assignment:
        """What another runner is given, which claims `count` trials."""
        given = self.queue.database.transact(
            sweeps.advance,
            other.claim,
            finished=(),
            wanted=Wanted(count, False, 9),
            objective=Objective("value", "maximize", target=None),
            limits={},
            worker="w2",
            windows=self.queue.windows,
        )
        assert given is not None, "the other runner is current"
        return given

    def states(self) -> Mapping[int, str]:
        return {row.ordinal: row.state for row in self.trials()}

    def trials(self) -> Sequence[Any]:
        query = select(jobs).where(jobs.c.parent_id == self.tree.id, jobs.c.role == "trial")
        with self.queue.database.read() as conn:
            return conn.execute(query).all()


@pytest.fixture
def bench(database_url: str, tmp_path: Path) -> Iterator[Bench]:
    world.__init__()  # type: ignore[misc]
    database = Database.open(database_url, pool_size=3)
    made = Bench(database, tmp_path)
    yield made
    assert made.queue.violations() == []
    database.close()


def test_a_turn_runs_every_trial_once(bench: Bench) -> None:
    attempt, ending = bench.turn()
    assert ending.outputs == {}
    assert sorted(world.calls) == list(range(9))
    assert set(bench.states().values()) == {"succeeded"}
    bench.queue.succeed(attempt)
    assert bench.tree.row("best").state == "queued"


def test_what_is_claimed_is_run_where_others_have_taken_the_rest(bench: Bench) -> None:
    """Trials that suddenly take long break a batch off; what is left of it must not be dropped."""
    other = bench.tree.claim("runner-2")
    world.takes[1] = 2.1 * SLICE_S

    def take_all() -> None:
        while bench.take(other, 9).verdict == Verdict.RUN:
            pass

    world.during[1] = take_all  # while trials 1 and 2 are claimed here
    attempt, ending = bench.turn()
    assert ending.outputs == {}
    mine = {number for number, state in bench.states().items() if state == "succeeded"}
    assert mine == set(world.calls) == {0, 1, 2}
    waiting = [row.runner_id for row in bench.trials() if row.state == "queued"]
    assert waiting == [other.claim.id] * (9 - len(mine))
    bench.queue.succeed(attempt)
    bench.queue.end_canceled(other)


def test_a_draining_worker_records_what_it_has_and_hands_the_rest_back(bench: Bench) -> None:
    world.during[2] = lambda: bench.board.drain_at(1.0)
    attempt, ending = bench.turn()
    assert ending.is_release
    assert {number for number, state in bench.states().items() if state == "succeeded"} == {0, 1, 2}
    bench.queue.release(attempt)
    assert bench.tree.row("runner-1").state == "queued"


@pytest.mark.parametrize("times", [1, 3])
def test_a_commit_whose_answer_is_lost_counts_once(bench: Bench, times: int) -> None:
    bench.database = Forgetful(bench.queue.database, times=times)
    bench.handler = bench.make_handler()
    attempt, ending = bench.turn()
    assert ending.outputs == {}
    assert sorted(world.calls) == list(range(9))
    assert set(bench.states().values()) == {"succeeded"}
    bench.queue.succeed(attempt)


def test_a_resumed_sweep_is_learned_anew(bench: Bench) -> None:
    attempt, _ = bench.turn()
    course = bench.handler.courses.find(bench.tree.id, attempt.spec["sweep"], generation=1)
    again = bench.handler.courses.find(bench.tree.id, attempt.spec["sweep"], generation=2)
    assert course is not again
    bench.queue.succeed(attempt)
