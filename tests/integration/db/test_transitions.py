"""Each transition, its refusals and its races, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import Connection

from mlq.db import events, transitions, workers
from mlq.db.engine import Database
from mlq.db.events import Cursor
from mlq.db.reports import MetricValue
from mlq.db.transitions import StaleAttempt
from mlq.errors import ConflictError
from mlq.lifecycle import Reason
from mlq.service import execution
from mlq.service import jobs as service
from mlq.service.execution import Attempt, Report
from mlq.spec.plan import Source
from tests.integration.db.plans import Leaf, Pipe, fan_out, join, line
from tests.integration.db.queue import Queue, Tree, paths_of, race

Move = Callable[[Queue, Attempt], Any]

ENDINGS: Mapping[str, Move] = {
    "succeed": lambda queue, attempt: queue.succeed(attempt),
    "fail": lambda queue, attempt: queue.fail(attempt),
    "lose": lambda queue, attempt: queue.lose(attempt),
    "release": lambda queue, attempt: queue.release(attempt),
    "end_canceled": lambda queue, attempt: queue.end_canceled(attempt),
}


def winners(results: list[Any]) -> list[Any]:
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if result is not None]


# -- claim ----------------------------------------------------------------------------------------


def test_of_eight_claims_one_wins(queue: Queue) -> None:
    tree = queue.submit(Leaf())

    (won,) = winners(race(*[lambda: queue.claim(tree.id)] * 8))

    assert won.claim.attempt == 1
    assert (tree.row().state, tree.row().attempt) == ("running", 1)


def test_a_second_delivery_is_a_no_op_in_every_later_state(queue: Queue) -> None:
    tree = queue.submit(Leaf())
    attempt = tree.claim()
    assert queue.claim(tree.id) is None

    queue.succeed(attempt)

    before = tree.row()
    assert queue.claim(tree.id) is None
    assert tree.row() == before


@pytest.mark.parametrize("path", ["", "inner", "inner.b"])
def test_what_is_not_queued_cannot_be_claimed(queue: Queue, path: str) -> None:
    tree = queue.submit(Pipe({"inner": Pipe({"a": Leaf(), "b": Leaf(["a"])})}))

    assert queue.claim(tree.ids[path]) is None
    assert queue.claim("0" * 32) is None


def test_a_leaf_is_not_claimed_before_its_time(queue: Queue) -> None:
    tree = queue.submit(Leaf(retries=1, delay_s=900))
    tree.fail()

    assert queue.claim(tree.id) is None
    queue.set_not_before(tree.id, -1)
    assert tree.claim().claim.attempt == 2


def test_a_new_attempt_starts_its_record_anew(queue: Queue) -> None:
    tree = queue.submit(Leaf(retries=1))
    attempt = tree.claim()
    report = Report(metrics=[MetricValue("loss", 0.5)])
    assert queue.database.transact(execution.report, attempt.claim, report)
    queue.fail(attempt)

    tree.claim()

    assert not queue.database.transact(execution.report, attempt.claim, report)
    with queue.database.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM latest_metrics").scalar() == 0
        assert conn.exec_driver_sql("SELECT count(*) FROM metrics").scalar() == 1


# -- outcomes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("successor", ["none", "running", "succeeded"])
def test_a_stale_attempt_changes_nothing(queue: Queue, ending: str, successor: str) -> None:
    tree = queue.submit(line(2))
    stale = tree.claim("s0")
    queue.lose(stale)
    if successor != "none":
        current = tree.claim("s0")
        if successor == "succeeded":
            queue.succeed(current)
    before = [tree.row(path) for path in tree.ids]

    assert ENDINGS[ending](queue, stale) is None

    assert [tree.row(path) for path in tree.ids] == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_attempt_ends_once(queue: Queue, ending: str) -> None:
    tree = queue.submit(join(2))
    attempt = tree.claim("s0")
    tree.run("s1")

    works = [lambda: ENDINGS[ending](queue, attempt), lambda: queue.succeed(attempt)] * 2
    assert len(winners(race(*works))) == 1


def test_success_carries_outputs_and_clears_errors(queue: Queue) -> None:
    tree = queue.submit(Leaf(retries=1))
    tree.fail()
    queue.succeed(tree.claim(), value="42")

    row = tree.row()
    assert (row.state, row.reason, row.error) == ("succeeded", None, None)
    assert row.outputs == {"value": {"type": "string", "value": "42"}}


def test_retries_are_counted_and_spaced(queue: Queue) -> None:
    tree = queue.submit(Leaf(retries=2, delay_s=600, spec={}))
    for failures in (1, 2):
        tree.fail()
        row = tree.row()
        assert (row.state, row.failure_count, row.dispatched_at) == ("queued", failures, None)
        assert 599 < (row.not_before - row.queued_at).total_seconds() < 601
        queue.set_not_before(tree.id, -1)
    tree.fail()

    row = tree.row()
    assert (row.state, row.reason, row.failure_count, row.attempt) == ("failed", "error", 3, 3)
    assert row.error["code"] == "boom"


def test_some_failures_are_not_tried_again(queue: Queue) -> None:
    tree = queue.submit(Leaf(retries=5))
    tree.fail(reason=Reason.REJECTED, retry=False)

    assert tree.states() == {"": "failed/rejected"}


def test_release_burns_nothing(queue: Queue) -> None:
    tree = queue.submit(Leaf())
    for attempt in range(1, 6):
        assert queue.release(tree.claim()) is not None
        row = tree.row()
        assert (row.state, row.attempt) == ("queued", attempt)
        assert (row.failure_count, row.lost_count) == (0, 0)
    tree.run("")


def test_a_poison_step_ends_as_lost(queue: Queue) -> None:
    tree = queue.submit(Leaf(retries=10))
    for lost in (1, 2):
        queue.lose(tree.claim())
        assert (tree.row().state, tree.row().lost_count) == ("queued", lost)
    queue.lose(tree.claim(), excused=True)
    assert (tree.row().state, tree.row().lost_count) == ("queued", 2)
    queue.lose(tree.claim())

    row = tree.row()
    assert (row.state, row.reason, row.lost_count, row.failure_count) == ("failed", "lost", 3, 0)


def test_a_lease_that_holds_is_not_lost(queue: Queue) -> None:
    tree = queue.submit(Leaf())
    attempt = tree.claim(lease_s=30)

    assert queue.lose(attempt, only_expired=True) is None
    assert tree.row().state == "running"


def test_renewal_and_loss_exclude_each_other(queue: Queue) -> None:
    tree = queue.submit(fan_out(6))
    for path in [path for path in tree.ids if path]:
        attempt = tree.claim(path, lease_s=-1)
        pair = (attempt.claim.id, attempt.claim.attempt)

        renewed, lost = race(
            lambda pair=pair: queue.database.transact(workers.renew, [pair], lease_s=30),
            lambda attempt=attempt: queue.lose(attempt, only_expired=True),
        )

        assert (renewed == {pair: False}) == (lost is None), (renewed, lost)
        assert tree.row(path).state == ("running" if lost is None else "queued")


def test_renewal_names_lost_fences_and_cancels(queue: Queue) -> None:
    tree = queue.submit(fan_out(3))
    pairs = [(a.claim.id, a.claim.attempt) for a in map(tree.claim, ("s0", "s1", "s2"))]
    queue.lose(Attempt(tree_claim(queue, *pairs[0]), {}, {}))
    queue.cancel(pairs[1][0])

    with queue.database.write() as conn:
        assert workers.renew(conn, pairs, lease_s=30) == {pairs[1]: True, pairs[2]: False}
        assert workers.canceled(conn, pairs) == {pairs[1]}
    assert queue.end_canceled(Attempt(tree_claim(queue, *pairs[1]), {}, {})) is not None


def tree_claim(queue: Queue, job_id: str, attempt: int) -> Any:
    with queue.database.read() as conn:
        return transitions.find_claim(conn, job_id, attempt)


# -- what an outcome sets free --------------------------------------------------------------------


def test_a_join_counts_upstreams_that_end_at_once(queue: Queue) -> None:
    tree = queue.submit(join(10))
    attempts = [tree.claim(f"s{number}") for number in range(10)]

    winners(race(*[lambda attempt=attempt: queue.succeed(attempt) for attempt in attempts]))

    assert tree.row("join").waiting_on == 0
    assert tree.row("join").state == "queued"
    assert tree.row().open_children == 1
    tree.run("join")
    assert set(tree.states().values()) == {"succeeded"}


def test_the_last_of_many_children_closes_the_parent_once(queue: Queue) -> None:
    tree = queue.submit(Pipe({"inner": fan_out(8), "after": Leaf(["inner"])}))
    attempts = [tree.claim(f"inner.s{number}") for number in range(8)]

    winners(race(*[lambda attempt=attempt: queue.succeed(attempt) for attempt in attempts]))

    assert tree.states()["inner"] == "succeeded"
    assert tree.states()["after"] == "queued"


def test_only_the_next_link_of_a_chain_is_marked(queue: Queue) -> None:
    tree = queue.submit(line(4))
    assert paths_of(tree.deliveries, tree) == [["s0", "s1", "s2", "s3"]]

    finished = queue.succeed(tree.claim("s0"))

    assert finished is not None
    assert finished.deliveries == []
    assert tree.states() == {
        "": "running", "s0": "succeeded", "s1": "queued", "s2": "pending", "s3": "pending"
    }  # fmt: skip
    assert tree.row("s1").dispatched_at is not None
    assert tree.row("s2").dispatched_at is None


def test_a_fork_gets_messages_of_its_own(queue: Queue) -> None:
    steps = {"a": Leaf(), "b": Leaf(["a"]), "c": Leaf(["a"]), "d": Leaf(["c"], compute="gpu")}
    tree = queue.submit(Pipe(steps))

    finished = queue.succeed(tree.claim("a"))

    assert finished is not None
    assert paths_of(finished.deliveries, tree) == [["b"], ["c", "d"]]


def test_a_retry_in_a_chain_takes_its_tail_along(queue: Queue) -> None:
    tree = queue.submit(line(3, retries=1))
    tree.run("s0")

    finished = queue.fail(tree.claim("s1"))

    assert finished is not None
    assert paths_of(finished.deliveries, tree) == [["s1", "s2"]]


def test_pipelines_without_steps_succeed_at_once(queue: Queue) -> None:
    nested = {"a": Pipe({"b": Pipe({})}), "c": Pipe({}, ["a"]), "d": Leaf(["c"])}
    tree = queue.submit(Pipe(nested))
    assert tree.states() == {
        "": "running", "a": "succeeded", "a.b": "succeeded", "c": "succeeded", "d": "queued"
    }  # fmt: skip
    assert queue.submit(Pipe({})).states() == {"": "succeeded"}


def test_a_failure_skips_what_waits_for_it_down_to_the_leaves(queue: Queue) -> None:
    deep = Pipe({"x": Pipe({"y": Leaf()}), "z": Leaf(["x"])}, ["a"])
    tree = queue.submit(
        Pipe({"a": Leaf(), "inner": deep, "after": Leaf(["inner"]), "apart": Leaf()})
    )

    tree.fail("a")

    skipped = dict.fromkeys(
        ["inner", "inner.x", "inner.x.y", "inner.z", "after"], "skipped/upstream"
    )
    assert tree.states() == {"": "running", "a": "failed/error", **skipped, "apart": "queued"}
    tree.run("apart")
    row = tree.row()
    assert (row.state, row.reason, row.error["step"]) == ("failed", "error", "a")


def test_the_first_failure_names_the_reason_all_the_way_up(queue: Queue) -> None:
    tree = queue.submit(Pipe({"inner": fan_out(2), "other": Leaf()}))
    tree.fail("inner.s1", reason=Reason.OOM)
    tree.fail("other", reason=Reason.TIMEOUT)
    tree.fail("inner.s0")

    assert tree.states()["inner"] == "failed/oom"
    assert tree.row("inner").error["step"] == "inner.s1"
    # `other` failed before `inner` closed
    assert tree.states()[""] == "failed/timeout"


def test_stop_on_failure_spares_only_what_runs(queue: Queue) -> None:
    steps = {
        "a": Leaf(),
        "b": Leaf(),
        "c": Leaf(),
        "b2": Leaf(["b"]),
        "p": Pipe({"q": Leaf()}, ["b"]),
    }
    tree = queue.submit(Pipe(steps, stop_on_failure=True))
    running = tree.claim("b")

    tree.fail("a")

    assert tree.states() == {
        "": "running",
        "a": "failed/error",
        "b": "running",
        **dict.fromkeys(["c", "b2", "p", "p.q"], "skipped/upstream"),
    }
    assert queue.succeed(running) is not None
    assert tree.states()[""] == "failed/error"


# -- cancel ---------------------------------------------------------------------------------------


def test_cancel_ends_what_does_not_run_at_once(queue: Queue) -> None:
    steps = {"done": Leaf(), "run": Leaf(), "wait": Leaf(), "p": Pipe({"q": Leaf()}, ["run"])}
    tree = queue.submit(Pipe(steps))
    tree.run("done")
    running = tree.claim("run")

    assert queue.cancel(tree.id) == []

    states = {"": "running", "done": "succeeded", "run": "running"}
    assert tree.states() == {**states, **dict.fromkeys(["wait", "p", "p.q"], "canceled")}
    assert queue.claim(tree.ids["wait"]) is None
    assert queue.end_canceled(running) is not None
    assert tree.states()[""] == "canceled"
    before = tree.row()
    queue.cancel(tree.id)
    assert tree.row() == before


@pytest.mark.parametrize("ending", ENDINGS)
def test_after_a_cancel_every_ending_is_canceled(queue: Queue, ending: str) -> None:
    tree = queue.submit(Leaf(retries=3))
    attempt = tree.claim()
    queue.cancel(tree.id)

    assert ENDINGS[ending](queue, attempt) is not None

    assert tree.states() == {"": "canceled"}
    assert queue.claim(tree.id) is None


def test_a_canceled_leaf_ends_when_its_lease_runs_out(queue: Queue) -> None:
    tree = queue.submit(Leaf())
    attempt = tree.claim(lease_s=-1)
    queue.cancel(tree.id)

    assert queue.lose(attempt, only_expired=True) is not None
    assert tree.states() == {"": "canceled"}


@pytest.mark.parametrize("_round", range(4))
def test_cancel_and_completion_agree(queue: Queue, _round: int) -> None:
    tree = queue.submit(line(3))
    attempt = tree.claim("s0")

    winners(race(lambda: queue.succeed(attempt), lambda: queue.cancel(tree.id)))

    states = tree.states()
    assert states["s0"] in ("succeeded", "canceled")
    assert [states[path] for path in ("s1", "s2", "")] == ["canceled"] * 3


@pytest.mark.parametrize("_round", range(4))
def test_cancel_and_claim_agree(queue: Queue, _round: int) -> None:
    tree = queue.submit(fan_out(3))

    won = race(lambda: queue.claim(tree.ids["s1"]), lambda: queue.cancel(tree.id))[0]

    assert tree.states()["s1"] == ("running" if won else "canceled")
    if isinstance(won, Attempt):
        queue.succeed(won)
    assert tree.states()[""] == "canceled"


def test_cancel_of_a_step_leaves_the_others(queue: Queue) -> None:
    tree = queue.submit(Pipe({"a": Leaf(), "b": Leaf(), "c": Leaf(["b"])}))

    queue.cancel(tree.ids["b"])

    assert tree.states() == {"": "running", "a": "queued", "b": "canceled", "c": "skipped/upstream"}
    tree.run("a")
    assert tree.states()[""] == "canceled"


def test_a_canceled_step_has_no_effect(queue: Queue) -> None:
    tree = queue.submit(Leaf())
    attempt = tree.claim()
    queue.cancel(tree.id)
    done: list[str] = []

    def effect(conn: Connection) -> Mapping[str, Any]:
        done.append("moved the alias")
        return {}

    with pytest.raises(StaleAttempt):
        queue.database.transact(
            execution.succeed,
            attempt,
            {},
            said=Report(),
            windows=queue.windows,
            refill=False,
            effect=effect,
        )

    assert done == []
    assert queue.end_canceled(attempt) is not None
    assert tree.states() == {"": "canceled"}


# -- resume ---------------------------------------------------------------------------------------


def test_resume_runs_again_what_did_not_succeed(queue: Queue) -> None:
    inner = Pipe({"x": Leaf(), "y": Leaf(["x"])}, ["a"])
    tree = queue.submit(Pipe({"a": Leaf(), "inner": inner, "after": Leaf(["inner"]), "d": Leaf()}))
    tree.run("a", "inner.x", "d")
    tree.fail("inner.y")
    assert tree.states()[""] == "failed/error"
    kept = {path: tree.row(path) for path in ("a", "inner.x", "d")}

    deliveries = queue.resume(tree.id)

    assert paths_of(deliveries, tree) == [["inner.y"]]
    assert {path: tree.row(path) for path in kept} == kept
    row = tree.row("inner.y")
    assert (row.state, row.generation, row.attempt, row.failure_count) == ("queued", 2, 1, 0)
    assert (row.error, row.reason, row.finished_at) == (None, None, None)
    assert tree.row("inner").open_children == 1
    assert (tree.row().generation, tree.row().open_children) == (2, 2)
    tree.run("inner.y", "after")
    assert set(tree.states().values()) == {"succeeded"}
    assert tree.row("inner.y").attempt == 2


def test_resume_after_cancel_forgets_the_cancel_and_the_counts(queue: Queue) -> None:
    tree = queue.submit(Leaf(retries=1))
    tree.fail()
    queue.lose(tree.claim())
    queue.cancel(tree.id)

    queue.resume(tree.id)

    row = tree.row()
    assert (row.cancel_requested_at, row.failure_count, row.lost_count) == (None, 0, 0)
    tree.run("")


def test_a_tree_that_is_being_canceled_says_so_at_a_resume(queue: Queue) -> None:
    tree = queue.submit(fan_out(2))
    attempt = tree.claim("s0")
    queue.cancel(tree.id)

    with pytest.raises(ConflictError, match="being canceled") as caught:
        queue.resume(tree.id)

    assert "Wait until it has ended" in caught.value.hint
    assert queue.end_canceled(attempt) is not None
    queue.resume(tree.id)


def test_a_finished_root_is_resumed_once(queue: Queue) -> None:
    tree = queue.submit(fan_out(2))
    tree.fail("s0")
    with pytest.raises(ConflictError, match="still running"):
        queue.resume(tree.id)
    with pytest.raises(ConflictError, match="not one of its steps"):
        queue.resume(tree.ids["s0"])
    tree.run("s1")

    results = race(*[lambda: queue.resume(tree.id)] * 3)

    assert sum(isinstance(result, ConflictError) for result in results) == 2
    assert tree.row().generation == 2
    tree.run("s0")
    with pytest.raises(ConflictError, match="succeeded"):
        queue.resume(tree.id)


def test_a_resumed_job_is_in_the_lists_again(queue: Queue) -> None:
    tree = queue.submit(Leaf())
    with pytest.raises(ConflictError):
        queue.database.transact(service.archive, tree.id, actor="ann")
    tree.fail()
    queue.database.transact(service.archive, tree.id, actor="ann")
    assert tree.row().archived_at is not None

    queue.resume(tree.id)

    assert tree.row().archived_at is None


def test_an_attempt_from_before_the_resume_is_stale(queue: Queue) -> None:
    tree = queue.submit(Leaf())
    old = tree.claim()
    queue.cancel(tree.id)
    queue.end_canceled(old)
    queue.resume(tree.id)
    tree.claim()

    assert queue.succeed(old) is None
    assert tree.row().state == "running"


# -- reuse ----------------------------------------------------------------------------------------


def test_equal_deterministic_steps_are_reused(queue: Queue) -> None:
    given = {"value": Source("literal", 3, type="integer")}
    first = queue.submit(line(2, deterministic=True, inputs=given))
    attempt = first.claim("s0")
    report = Report(metrics=[MetricValue("loss", 0.25)])
    assert queue.database.transact(execution.report, attempt.claim, report)
    queue.succeed(attempt, value="x")

    again = queue.submit(line(2, deterministic=True, inputs=given))
    reused = again.claim("s0")

    assert reused.reusable is not None
    assert again.states() == {"": "running", "s0": "succeeded/cached", "s1": "queued"}
    assert again.row("s0").outputs == first.row("s0").outputs
    with queue.database.read() as conn:
        copied = conn.exec_driver_sql("SELECT count(*) FROM latest_metrics").scalar()
    assert copied == 2


@pytest.mark.parametrize(
    ("leaf", "forced"),
    [
        (Leaf(deterministic=False), False),
        (Leaf(deterministic=True), True),
        (Leaf(deterministic=True, inputs={"v": Source("literal", 2, type="integer")}), False),
        (Leaf(deterministic=True, spec={"command": "other"}), False),
    ],
    ids=["has effects", "forced", "other input", "other spec"],
)
def test_what_may_differ_runs(queue: Queue, leaf: Leaf, forced: bool) -> None:
    queue.submit(Leaf(deterministic=leaf.deterministic)).run("")

    again = queue.submit(leaf, force_rerun=forced)

    assert again.claim().reusable is None
    assert again.row().state == "running"


def test_a_failed_step_is_not_reused(queue: Queue) -> None:
    queue.submit(Leaf(deterministic=True)).fail()
    assert queue.submit(Leaf(deterministic=True)).claim().reusable is None


def test_a_missing_output_fails_the_step_that_needs_it(queue: Queue) -> None:
    tree = queue.submit(
        Pipe({"a": Leaf(), "b": Leaf(["a"], inputs={"v": Source("output", job=1, output="value")})})
    )
    tree.run("a")

    attempt = tree.claim("b")

    assert attempt.error is not None
    assert tree.row("b").error["code"] == "missing_output"
    assert tree.states()[""] == "failed/error"


# -- what is stored -------------------------------------------------------------------------------


def test_odd_characters_do_not_keep_an_outcome_away(queue: Queue) -> None:
    tree = queue.submit(Leaf())
    error = {
        "code": "x",
        "message": "a\x00b\ud800c",
        "numbers": {"\x00": float("nan"), "\\u0000": 1},
    }
    attempt = tree.claim()

    queue.database.transact(
        execution.fail,
        attempt,
        reason=Reason.ERROR,
        error=error,
        said=Report(),
        windows=queue.windows,
    )

    stored = tree.row().error
    assert stored["message"] == "a\ufffdb\ufffdc"
    assert stored["numbers"] == {"\ufffd": None, "\\u0000": 1}


def test_a_report_cannot_slip_behind_the_next_attempt(postgresql: Database) -> None:
    """A stale attempt that was current when it looked must not write for its successor."""
    queue = Queue(postgresql)
    tree = queue.submit(Leaf())
    attempt = tree.claim()
    looked, lost = threading.Event(), threading.Event()

    def report_slowly() -> None:
        with queue.database.write() as conn:
            assert transitions.is_current(conn, attempt.claim.id, attempt.claim.attempt)
            looked.set()
            assert not lost.wait(0.2), "the attempt was lost meanwhile"

    def lose() -> None:
        looked.wait(10)
        queue.lose(attempt)
        lost.set()

    for result in race(report_slowly, lose):
        assert not isinstance(result, BaseException), result
    assert tree.row().state == "queued"


def test_the_journal_tells_who_did_what(queue: Queue) -> None:
    tree: Tree = queue.submit(line(2))
    tree.run("s0")
    queue.cancel(tree.id)

    with queue.database.read() as conn:
        told = events.read_after(conn, Cursor(), root_id=tree.id)
    names = {job_id: path for path, job_id in tree.ids.items()}
    assert [(event.kind, names[event.job_id or ""], event.actor) for event in told] == [
        ("job.submit", "", "ann"),
        ("job.start", "", None),
        ("job.queue", "s0", None),
        ("job.claim", "s0", "w1"),
        ("job.succeed", "s0", None),
        ("job.queue", "s1", None),
        ("job.request_cancel", "", "ann"),
        ("job.cancel", "s1", "ann"),
        ("job.cancel", "", None),
    ]
