"""Repeated jobs in the database: a round starts only when those before were not good enough."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from mlq.db import recovery, transitions
from mlq.db.queries import queues
from mlq.db.queries.jobs import read
from mlq.db.tables import jobs
from mlq.db.types import now_plus
from mlq.lifecycle import Reason
from mlq.service import jobs as service
from mlq.spec.plan import Source
from tests.integration.db.plans import Leaf, Pipe, Rounds, Step, Sweep
from tests.integration.db.queue import Queue, Tree

#: A pipeline whose gate may say no.
GATED = Pipe(
    {"train": Leaf(), "gate": Leaf(after=["train"]), "register": Leaf(after=["gate"])},
    outputs={"version": ("register", "version")},
)
SWEEP = Sweep(runners=1, outputs={"model": ("best", "model")})
WIDE = Sweep(runners=2, outputs={"model": ("best", "model")})


def reject(queue: Queue, tree: Tree, path: str) -> None:
    tree.run(f"{path}.train")
    queue.fail(tree.claim(f"{path}.gate"), reason=Reason.REJECTED, retry=False)


def accept(queue: Queue, tree: Tree, path: str, *, version: str = "v") -> None:
    tree.run(f"{path}.train", f"{path}.gate")
    queue.succeed(tree.claim(f"{path}.register"), version=version)


def search(
    queue: Queue, tree: Tree, path: str, *, value: float, reason: Reason | None = None
) -> None:
    """Run a sweep to its end; reason: why it ended early."""
    attempt = tree.claim(f"{path}.runner-1")
    with queue.database.write() as conn:
        transitions.note_best(conn, tree.ids[path], value)
        if reason is not None:
            transitions.finish_early(
                conn, tree.ids[path], reason=reason, spare=tree.ids[f"{path}.runner-1"]
            )
    queue.succeed(attempt)
    queue.succeed(tree.claim(f"{path}.best"), model=f"model of {path}")


def states_of_rounds(tree: Tree, path: str = "") -> list[str]:
    prefix = f"{path}.round-" if path else "round-"
    return [
        state
        for name, state in tree.states().items()
        if name.startswith(prefix) and "." not in name[len(prefix) :]
    ]


def outputs_of(tree: Tree, path: str = "") -> dict[str, Any]:
    outputs = tree.row(path).outputs or {}
    return {name: output["value"] for name, output in outputs.items()}


def test_only_the_first_round_starts_with_the_job(queue: Queue) -> None:
    tree = queue.submit(Rounds(GATED))
    assert states_of_rounds(tree) == ["running", "pending", "pending"]
    assert tree.row("round-2.train").state == "pending"


def test_a_pipeline_that_succeeds_needs_no_further_round(queue: Queue) -> None:
    tree = queue.submit(Rounds(GATED))
    accept(queue, tree, "round-1", version="models:/m/1")
    assert states_of_rounds(tree) == ["succeeded", "skipped/condition", "skipped/condition"]
    assert tree.row("round-3.gate").reason == "condition"
    assert tree.states()[""] == "succeeded"
    assert outputs_of(tree) == {"version": "models:/m/1"}


def test_a_rejected_round_is_followed_by_the_next(queue: Queue) -> None:
    tree = queue.submit(Rounds(GATED))
    reject(queue, tree, "round-1")
    assert states_of_rounds(tree) == ["failed/rejected", "running", "pending"]
    assert tree.row("round-1.register").state == "skipped"
    accept(queue, tree, "round-2", version="models:/m/1")
    assert states_of_rounds(tree) == ["failed/rejected", "succeeded", "skipped/condition"]
    assert tree.row().error is None
    assert outputs_of(tree) == {"version": "models:/m/1"}


def test_a_pipeline_rejected_in_every_round_fails_as_the_last_one(queue: Queue) -> None:
    tree = queue.submit(Rounds(GATED, count=2))
    reject(queue, tree, "round-1")
    reject(queue, tree, "round-2")
    assert tree.states()[""] == "failed/rejected"
    assert tree.row().error["step"] == "round-2.gate"


@pytest.mark.parametrize("count", [1, 3])
def test_any_other_failure_ends_the_job_at_once(queue: Queue, count: int) -> None:
    tree = queue.submit(Rounds(GATED, count=count))
    tree.fail("round-1.train", retry=False)
    assert states_of_rounds(tree) == ["failed/error", *["skipped/upstream"] * (count - 1)]
    assert tree.states()[""] == "failed/error"
    assert tree.row().error["step"] == "round-1.train"


def test_a_sweep_that_reaches_its_target_hands_it_up(queue: Queue) -> None:
    tree = queue.submit(Rounds(SWEEP))
    search(queue, tree, "round-1", value=0.7)
    assert states_of_rounds(tree) == ["succeeded", "running", "pending"]
    search(queue, tree, "round-2", value=0.95, reason=Reason.TARGET)
    assert states_of_rounds(tree) == ["succeeded", "succeeded/target", "skipped/condition"]
    assert tree.states()[""] == "succeeded/target"
    assert tree.row().value == 0.95
    assert outputs_of(tree) == {"model": "model of round-2"}


def test_a_sweep_that_never_reaches_it_gives_its_best_round(queue: Queue) -> None:
    tree = queue.submit(Rounds(SWEEP))
    search(queue, tree, "round-1", value=0.7)
    search(queue, tree, "round-2", value=0.8, reason=Reason.TIMEOUT)
    search(queue, tree, "round-3", value=0.6)
    assert tree.states()[""] == "succeeded"
    assert tree.row().value == 0.8
    assert outputs_of(tree) == {"model": "model of round-2"}


def test_what_follows_gets_the_outputs_of_the_round_that_won(queue: Queue) -> None:
    # the repeated job is the second of the plan
    bound = {"model": Source("output", job=1, output="model")}
    tree = queue.submit(
        Pipe({"tune": Rounds(SWEEP, count=2), "use": Leaf(after=["tune"], inputs=bound)})
    )
    search(queue, tree, "tune.round-1", value=0.7)
    assert tree.row("use").state == "pending"
    search(queue, tree, "tune.round-2", value=0.9, reason=Reason.TARGET)
    attempt = tree.claim("use")
    assert attempt.inputs["model"].value == "model of tune.round-2"
    queue.succeed(attempt)


def test_what_follows_a_job_that_failed_is_skipped(queue: Queue) -> None:
    tree = queue.submit(Pipe({"try": Rounds(GATED, count=1), "use": Leaf(after=["try"])}))
    reject(queue, tree, "try.round-1")
    assert tree.states()["use"] == "skipped/upstream"
    assert tree.states()[""] == "failed/rejected"


def test_rounds_nest(queue: Queue) -> None:
    inner = Rounds(SWEEP, count=2)
    tree = queue.submit(Rounds(Pipe({"tune": inner, "gate": Leaf(after=["tune"])}), count=2))
    search(queue, tree, "round-1.tune.round-1", value=0.1)
    search(queue, tree, "round-1.tune.round-2", value=0.2)
    queue.fail(tree.claim("round-1.gate"), reason=Reason.REJECTED, retry=False)
    search(queue, tree, "round-2.tune.round-1", value=0.9, reason=Reason.TARGET)
    tree.run("round-2.gate")
    assert states_of_rounds(tree) == ["failed/rejected", "succeeded"]
    assert states_of_rounds(tree, "round-2.tune") == ["succeeded/target", "skipped/condition"]
    assert tree.states()[""] == "succeeded"


def test_rounds_of_nothing_end_with_the_first(queue: Queue) -> None:
    tree = queue.submit(Pipe({"a": Leaf(), "empty": Rounds(Pipe({}), after=["a"])}))
    tree.run("a")
    assert states_of_rounds(tree, "empty") == ["succeeded", *["skipped/condition"] * 2]
    assert tree.states()[""] == "succeeded"


def test_a_round_says_what_it_waits_for(queue: Queue) -> None:
    tree = queue.submit(Rounds(GATED))
    waiting = [tree.ids["round-2"], tree.ids["round-3"], tree.ids["round-3.train"]]
    with queue.database.read() as conn:
        words = queues.waiting_words(conn, [read(conn, job_id) for job_id in waiting])
    assert [words[job_id] for job_id in waiting] == [
        "needed only if round-1 is not good enough",
        "needed only if round-2 is not good enough",
        "waiting for round-3 to start",
    ]


# cancel, time out, resume -------------------------------------------------------------------------


def test_a_canceled_job_starts_no_further_round(queue: Queue) -> None:
    tree = queue.submit(Rounds(GATED))
    reject(queue, tree, "round-1")
    running = tree.claim("round-2.train")
    queue.cancel(tree.id)
    queue.end_canceled(running)
    assert states_of_rounds(tree) == ["failed/rejected", "canceled", "canceled"]
    assert tree.states()[""] == "canceled"


def test_a_round_that_is_canceled_ends_the_job(queue: Queue) -> None:
    tree = queue.submit(Rounds(GATED))
    queue.cancel(tree.ids["round-1"])
    assert states_of_rounds(tree) == ["canceled", "skipped/upstream", "skipped/upstream"]
    assert tree.states()[""] == "canceled"


def test_a_round_that_was_canceled_before_its_turn_may_not_be_needed(queue: Queue) -> None:
    tree = queue.submit(Rounds(GATED))
    queue.cancel(tree.ids["round-2"])
    assert states_of_rounds(tree) == ["running", "canceled", "pending"]
    accept(queue, tree, "round-1")
    assert states_of_rounds(tree) == ["succeeded", "canceled", "skipped/condition"]
    assert tree.states()[""] == "succeeded"


def time_out(queue: Queue, job_id: str) -> None:
    with queue.database.write() as conn:
        conn.execute(update(jobs).where(jobs.c.id == job_id).values(started_at=now_plus(-5.0)))
    with queue.database.read() as conn:
        assert recovery.timed_out(conn) == [job_id]
    queue.database.transact(service.time_out, job_id, windows=queue.windows)


def test_a_round_that_takes_too_long_ends_the_job(queue: Queue) -> None:
    timed = Pipe({"train": Leaf()}, timeout_s=1)
    tree = queue.submit(Rounds(timed))
    running = tree.claim("round-1.train")
    time_out(queue, tree.ids["round-1"])
    queue.end_canceled(running)
    assert states_of_rounds(tree) == ["failed/timeout", "skipped/upstream", "skipped/upstream"]
    assert tree.states()[""] == "failed/timeout"


def test_a_pipeline_around_it_that_takes_too_long_stops_all_rounds(queue: Queue) -> None:
    tree = queue.submit(Pipe({"try": Rounds(GATED)}, timeout_s=1))
    reject(queue, tree, "try.round-1")
    running = tree.claim("try.round-2.train")
    time_out(queue, tree.id)
    queue.end_canceled(running)
    assert states_of_rounds(tree, "try") == ["failed/rejected", "canceled", "canceled"]
    assert tree.states()[""] == "failed/timeout"


def test_resume_goes_on_with_the_round_that_failed(queue: Queue) -> None:
    tree = queue.submit(Rounds(SWEEP))
    search(queue, tree, "round-1", value=0.7)
    tree.fail("round-2.runner-1", retry=False)
    assert states_of_rounds(tree) == ["succeeded", "failed/error", "skipped/upstream"]
    queue.resume(tree.id)
    assert states_of_rounds(tree) == ["succeeded", "running", "pending"]
    search(queue, tree, "round-2", value=0.8)
    search(queue, tree, "round-3", value=0.9, reason=Reason.TARGET)
    assert tree.states()[""] == "succeeded/target"


def test_resume_asks_the_gates_again_from_the_first_round_on(queue: Queue) -> None:
    tree = queue.submit(Rounds(GATED))
    reject(queue, tree, "round-1")
    tree.fail("round-2.train", retry=False)
    queue.resume(tree.id)
    assert states_of_rounds(tree) == ["running", "pending", "pending"]
    assert tree.row("round-1.train").state == "succeeded"  # what is done is not done again
    queue.fail(tree.claim("round-1.gate"), reason=Reason.REJECTED, retry=False)
    assert states_of_rounds(tree) == ["failed/rejected", "running", "pending"]
    accept(queue, tree, "round-2")
    assert tree.states()[""] == "succeeded"


@pytest.mark.parametrize("step", [Rounds(GATED, count=2), Rounds(WIDE, count=2), WIDE])
def test_resume_leaves_alone_what_has_succeeded(queue: Queue, step: Step) -> None:
    tree = queue.submit(Pipe({"first": step, "last": Leaf(after=["first"])}))
    if isinstance(step, Sweep):
        search(queue, tree, "first", value=0.95, reason=Reason.TARGET)
    elif isinstance(step, Rounds) and step.of is WIDE:
        search(queue, tree, "first.round-1", value=0.95, reason=Reason.TARGET)
    else:
        reject(queue, tree, "first.round-1")
        accept(queue, tree, "first.round-2")
    before = {path: state for path, state in tree.states().items() if path.startswith("first")}
    tree.fail("last", retry=False)
    queue.resume(tree.id)
    assert {path: state for path, state in tree.states().items() if path in before} == before
    tree.run("last")
    assert tree.states()[""] == "succeeded"


def test_unchanged_steps_of_a_further_round_are_reused(queue: Queue) -> None:
    prep = Leaf(deterministic=True, spec={"command": "prepare"})
    tree = queue.submit(Rounds(Pipe({"prep": prep, "gate": Leaf(after=["prep"])})))
    tree.run("round-1.prep")
    queue.fail(tree.claim("round-1.gate"), reason=Reason.REJECTED, retry=False)
    assert tree.claim("round-2.prep").is_over
    assert tree.states()["round-2.prep"] == "succeeded/cached"
    tree.run("round-2.gate")


def test_rounds_that_wait_have_no_message(queue: Queue) -> None:
    tree = queue.submit(Rounds(GATED))
    with queue.database.read() as conn:
        queued = conn.scalars(select(jobs.c.path).where(jobs.c.state == "queued")).all()
    assert queued == ["round-1.train"]
    assert [len(delivery.links) for delivery in tree.deliveries] == [3]
