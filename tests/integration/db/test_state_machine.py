"""Anything that can happen to jobs, in any order: the invariants hold after each step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update

from mlq.db.engine import Database
from mlq.db.tables import jobs
from mlq.db.transitions import StaleAttempt
from mlq.db.types import now_plus
from mlq.errors import ConflictError
from mlq.lifecycle import TERMINAL, Reason
from mlq.service import execution
from mlq.service import jobs as service
from mlq.service.capacity import Windows
from mlq.service.execution import Attempt, Finished, Report, SpecCache
from mlq.testing import invariants
from tests.integration.db.plans import Leaf, Pipe, Rounds, Step, plan

MAX_LOST = 3
SAID = Report()


@st.composite
def pipes(draw: st.DrawFn, depth: int = 0) -> Pipe:
    """A random small pipeline, with pipelines inside it, some of them repeated."""
    steps: dict[str, Step] = {}
    for number in range(draw(st.integers(0 if depth else 1, 5 - 2 * depth))):
        after = (
            draw(st.lists(st.sampled_from(sorted(steps)), unique=True, max_size=3)) if steps else []
        )
        if depth < 2 and draw(st.integers(0, 3)) == 0:
            inner = draw(pipes(depth=depth + 1))
            step: Step = Pipe(inner.steps, after, inner.stop_on_failure)
            if draw(st.booleans()):
                step = Rounds(inner, draw(st.integers(1, 3)), after)
        else:
            step = Leaf(
                after,
                compute=draw(st.sampled_from(["cpu", "gpu"])),
                retries=draw(st.integers(0, 1)),
                delay_s=draw(st.sampled_from([0.0, 0.0, 1000.0])),
                deterministic=draw(st.booleans()),
            )
        steps[f"s{number}"] = step
    return Pipe(steps, stop_on_failure=draw(st.booleans()))


class _Over(Exception):
    """The example is over: roll it back."""


class QueueMachine(RuleBasedStateMachine):
    """Every example is one transaction, rolled back at its end."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.transaction = self.database.write()
        self.conn = self.transaction.__enter__()
        self.windows = Windows(per_slot=1)
        self.specs = SpecCache()
        self.attempts: list[Attempt] = []

    def teardown(self) -> None:
        self.transaction.__exit__(_Over, _Over(), None)

    # -- what happens ---------------------------------------------------------------------------

    @initialize(tree=st.one_of(pipes(), st.builds(Rounds, pipes())))
    def begin(self, tree: Step) -> None:
        self.submit(tree)

    @precondition(lambda self: self.count("root") < 3)
    @rule(tree=st.one_of(pipes(), st.builds(Leaf, retries=st.integers(0, 1))))
    def submit(self, tree: Step) -> None:
        service.submit(
            self.conn,
            plan(tree),
            actor="ann",
            document="",
            media_type="application/yaml",
            windows=self.windows,
        )

    @rule(pick=st.randoms(use_true_random=False), lease_s=st.sampled_from([30.0, 30.0, -1.0]))
    def claim_any(self, pick: Any, lease_s: float) -> None:
        """Any message may arrive at any time: early, twice, or long after the job's end."""
        self.claim(pick.choice(self.rows()), lease_s)

    @precondition(lambda self: self.count("queued"))
    @rule(pick=st.randoms(use_true_random=False), lease_s=st.sampled_from([30.0, 30.0, -1.0]))
    def claim_queued(self, pick: Any, lease_s: float) -> None:
        self.claim(pick.choice([row for row in self.rows() if row.state == "queued"]), lease_s)

    @precondition(lambda self: self.attempts)
    @rule(pick=st.randoms(use_true_random=False), latest=st.integers(0, 3))
    def succeed(self, pick: Any, latest: int) -> None:
        attempt = self.choose(pick, latest)
        row = self.row(attempt)
        finished: Finished | None
        try:
            with self.conn.begin_nested():
                finished = execution.succeed(
                    self.conn, attempt, {}, said=SAID, windows=self.windows, refill=True
                )
        except StaleAttempt:
            finished = execution.end_canceled(self.conn, attempt, said=SAID, windows=self.windows)
        expected = "canceled" if row.cancel_requested_at else "succeeded"
        self.expect(attempt, row, finished, {expected})

    @precondition(lambda self: self.attempts)
    @rule(
        pick=st.randoms(use_true_random=False),
        latest=st.integers(0, 3),
        retry=st.booleans(),
        reason=st.sampled_from([Reason.ERROR, Reason.REJECTED]),
    )
    def fail(self, pick: Any, latest: int, retry: bool, reason: Reason) -> None:
        attempt = self.choose(pick, latest)
        row = self.row(attempt)
        finished = execution.fail(
            self.conn,
            attempt,
            reason=reason,
            error={},
            said=SAID,
            windows=self.windows,
            retry=retry,
        )
        again = retry and row.failure_count + 1 < row.max_failures
        expected = "canceled" if row.cancel_requested_at else "queued" if again else "failed"
        self.expect(attempt, row, finished, {expected})

    @precondition(lambda self: self.attempts)
    @rule(
        pick=st.randoms(use_true_random=False),
        latest=st.integers(0, 3),
        excused=st.booleans(),
        only_expired=st.booleans(),
    )
    def lose(self, pick: Any, latest: int, excused: bool, only_expired: bool) -> None:
        attempt = self.choose(pick, latest)
        row = self.row(attempt)
        finished = execution.lose(
            self.conn,
            attempt.claim,
            error={},
            max_lost=MAX_LOST,
            excused=excused,
            windows=self.windows,
            only_expired=only_expired,
        )
        if finished is None and only_expired and self.row(attempt) == row:
            return  # its lease holds
        again = row.lost_count + (not excused) < MAX_LOST
        expected = "canceled" if row.cancel_requested_at else "queued" if again else "failed"
        self.expect(attempt, row, finished, {expected})

    @precondition(lambda self: self.attempts)
    @rule(pick=st.randoms(use_true_random=False), latest=st.integers(0, 3))
    def release(self, pick: Any, latest: int) -> None:
        attempt = self.choose(pick, latest)
        row = self.row(attempt)
        finished = execution.release(self.conn, attempt, said=SAID, windows=self.windows)
        expected = "canceled" if row.cancel_requested_at else "queued"
        self.expect(attempt, row, finished, {expected})
        after = self.row(attempt)
        if expected == "queued":
            assert (after.failure_count, after.lost_count) == (row.failure_count, row.lost_count)

    @rule(pick=st.randoms(use_true_random=False), whole=st.integers(0, 2))
    def cancel(self, pick: Any, whole: int) -> None:
        row = pick.choice(self.rows())
        service.cancel(
            self.conn, row.id if whole == 0 else row.root_id, actor="ann", windows=self.windows
        )

    @rule(pick=st.randoms(use_true_random=False))
    def resume(self, pick: Any) -> None:
        row = pick.choice([row for row in self.rows() if row.parent_id is None])
        kept = {job.id: job for job in self.rows() if job.state == "succeeded"}
        if row.state not in TERMINAL or row.state == "succeeded":
            with pytest.raises(ConflictError):
                service.resume(self.conn, row.id, actor="ann", windows=self.windows)
            return
        service.resume(self.conn, row.id, actor="ann", windows=self.windows)
        assert {job.id: job for job in self.rows() if job.id in kept} == kept

    @precondition(lambda self: self.count("queued"))
    @rule()
    def time_passes(self) -> None:
        self.conn.execute(
            update(jobs).where(jobs.c.not_before.is_not(None)).values(not_before=now_plus(-1.0))
        )
        service.dispatch(self.conn, ["cpu", "gpu"], self.windows)

    # -- what must hold -------------------------------------------------------------------------

    @invariant()
    def nothing_is_violated(self) -> None:
        assert invariants.check(self.conn) == []

    @invariant()
    def few_messages_are_outstanding(self) -> None:
        heads = [
            row
            for row in self.rows()
            if row.state == "queued" and row.dispatched_at and not row.chain_position
        ]
        for compute in ("cpu", "gpu"):
            assert sum(row.compute == compute for row in heads) <= 16

    # -- helpers --------------------------------------------------------------------------------

    def claim(self, row: Any, lease_s: float) -> None:
        attempt = execution.begin(
            self.conn,
            row.id,
            worker="w1",
            lease_s=lease_s,
            spec_cache=self.specs,
        )
        if attempt is not None and attempt.is_over:
            execution.end_early(self.conn, attempt, windows=self.windows)
        due = row.not_before is None or self.conn.scalar(
            select(jobs.c.id).where(jobs.c.id == row.id, row.not_before <= now_plus(0.0))
        )
        assert (attempt is not None) == (row.state == "queued" and bool(due))
        if attempt is not None:
            assert attempt.claim.attempt == row.attempt + 1
            self.attempts.append(attempt)

    def choose(self, pick: Any, latest: int) -> Attempt:
        """Mostly one of the last attempts, which may still run; sometimes one long past."""
        return pick.choice(self.attempts[-3:] if latest else self.attempts)

    def expect(self, attempt: Attempt, before: Any, finished: Any, states: set[str]) -> None:
        after = self.row(attempt)
        if before.state == "running" and before.attempt == attempt.claim.attempt:
            assert finished is not None
            assert after.state in states
        else:
            assert finished is None
            assert after == before

    def rows(self) -> list[Any]:
        return list(self.conn.execute(select(jobs).order_by(jobs.c.id)))

    def row(self, attempt: Attempt) -> Any:
        return self.conn.execute(select(jobs).where(jobs.c.id == attempt.claim.id)).one()

    def count(self, what: str) -> int:
        if what == "root":
            return sum(row.parent_id is None for row in self.rows())
        return sum(row.state == what for row in self.rows())


@pytest.mark.timeout(600)  # a failure is shrunk for minutes before it is shown
@pytest.mark.parametrize(("kind", "examples", "steps"), [("sqlite", 60, 40), ("postgresql", 8, 30)])
def test_invariants_hold_whatever_happens(
    kind: str, examples: int, steps: int, request: pytest.FixtureRequest
) -> None:
    database = Database.open(request.getfixturevalue(f"{kind}_url"), pool_size=1)

    class Machine(QueueMachine):
        pass

    Machine.database = database
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    database.close()
