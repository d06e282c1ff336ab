"""Steps that always run: once all others of their pipeline have ended, however they did."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.db.queries import queues
from mlq.db.queries.jobs import read
from tests.integration.db.queue import Queue, Tree
from tests.integration.db.test_control_flow import submit

STEP = "{type: command, command: 'true'%s}"
OUTPUT = ", outputs: {x: {type: string}}"
DOCUMENT = f"""
type: pipeline
jobs:
  a: {STEP % OUTPUT}
  b: {{type: command, command: 'true', inputs: {{x: "${{{{parent.jobs.a.outputs.x}}}}"}}}}
  c: {STEP % ""}
finally:
  tidy:
    type: command
    command: echo $[[${{{{inputs.x}}}}]]
    inputs: {{x: "${{{{parent.jobs.a.outputs.x}}}}"}}
    outputs: {{y: {{type: string}}}}
  tell: {{type: command, command: 'true', inputs: {{y: "${{{{parent.jobs.tidy.outputs.y}}}}"}}}}
  also: {STEP % ""}
"""
NESTED = f"""
type: pipeline
jobs:
  inner:
    type: pipeline
    jobs: {{a: {STEP % ""}}}
    finally: {{tidy: {STEP % ""}}}
    outputs: {{}}
  beside: {STEP % ""}
finally: {{last: {STEP % ""}}}
"""


def states(tree: Tree, *paths: str) -> list[str]:
    found = tree.states()
    return [found[path] for path in paths]


def test_they_wait_for_all_others_and_then_for_each_other(queue: Queue) -> None:
    tree = submit(queue, DOCUMENT)
    with queue.database.read() as conn:
        words = queues.waiting_words(conn, [read(conn, tree.ids["tidy"])])
    assert words == {tree.ids["tidy"]: "runs when the other steps have ended"}
    queue.succeed(tree.claim("a"), x="found")
    tree.run("b")
    assert states(tree, "tidy", "also", "tell") == ["pending"] * 3
    tree.run("c")
    assert states(tree, "tidy", "also", "tell") == ["queued", "queued", "pending"]
    tree.run("also")
    attempt = tree.claim("tidy")
    assert attempt.inputs["x"].value == "found"
    queue.succeed(attempt, y="told")
    assert tree.states()[""] == "running"
    tree.run("tell")
    assert tree.states()[""] == "succeeded"
    assert queue.violations() == []


def test_a_failure_of_the_others_stays_the_outcome(queue: Queue) -> None:
    tree = submit(queue, DOCUMENT)
    tree.fail("a", retry=False)
    assert states(tree, "b", "c") == ["skipped/upstream"] * 2
    attempt = tree.claim("tidy")
    assert attempt.inputs == {}  # never written
    queue.succeed(attempt, y="told")
    tree.run("tell", "also")
    assert tree.states()[""] == "failed/error"
    assert tree.row().error["step"] == "a"
    assert queue.violations() == []


def test_its_own_failure_fails_a_pipeline_that_has_succeeded(queue: Queue) -> None:
    tree = submit(queue, DOCUMENT)
    queue.succeed(tree.claim("a"), x="found")
    tree.run("b", "c")
    tree.fail("tidy", retry=False)
    assert tree.states()["tell"] == "skipped/upstream"
    assert tree.states()["also"] == "queued"  # the others run all the same
    tree.run("also")
    assert tree.row().error["step"] == "tidy"
    assert queue.violations() == []
    queue.resume(tree.id)
    assert states(tree, "a", "tidy", "also") == ["succeeded", "queued", "queued"]
    queue.succeed(tree.claim("tidy"), y="told")
    tree.run("tell", "also")
    assert tree.states()[""] == "succeeded"
    assert queue.violations() == []


def test_they_run_after_a_cancel(queue: Queue) -> None:
    tree = submit(queue, DOCUMENT)
    running = tree.claim("a")
    queue.cancel(tree.id)
    assert states(tree, "b", "c", "tidy") == ["canceled", "canceled", "pending"]
    queue.end_canceled(running)
    queue.cancel(tree.id)  # whoever says it again changes nothing
    queue.succeed(tree.claim("tidy"), y="told")
    tree.run("tell", "also")
    assert tree.states()[""] == "canceled"
    assert queue.violations() == []
    queue.resume(tree.id)
    queue.succeed(tree.claim("a"), x="found")
    tree.run("b", "c")
    queue.succeed(tree.claim("tidy"), y="told")
    tree.run("also", "tell")
    assert tree.states()[""] == "succeeded"
    assert queue.violations() == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_one_is_stopped_by_a_cancel_of_itself(queue: Queue, when: str) -> None:
    tree = submit(queue, DOCUMENT)
    works: dict[str, Any] = {
        "steps": lambda: (queue.succeed(tree.claim("a"), x="found"), tree.run("b", "c")),
        "cancel": lambda: queue.cancel(tree.ids["also"]),
    }
    for name in ("cancel", "steps") if when == "before" else ("steps", "cancel"):
        works[name]()
    assert tree.states()["also"] == "canceled"
    assert queue.violations() == []
    queue.succeed(tree.claim("tidy"), y="told")
    tree.run("tell")
    assert tree.states()[""] == "canceled"
    assert queue.violations() == []


def test_of_a_pipeline_within_a_canceled_one(queue: Queue) -> None:
    tree = submit(queue, NESTED)
    running = tree.claim("inner.a")
    queue.cancel(tree.id)
    queue.end_canceled(running)
    assert states(tree, "inner", "inner.tidy", "last") == ["running", "queued", "pending"]
    tree.run("inner.tidy")
    assert states(tree, "inner", "last") == ["canceled", "queued"]
    tree.run("last")
    assert tree.states()[""] == "canceled"
    assert queue.violations() == []


def test_a_pipeline_that_never_began_runs_none(queue: Queue) -> None:
    held = NESTED.replace("beside: {type: command, command: 'true'}", f"beside: {STEP % OUTPUT}")
    held = held.replace(
        "    outputs: {}",
        '    inputs: {x: "${{parent.jobs.beside.outputs.x}}"}',
    )
    tree = submit(queue, held)
    tree.fail("beside", retry=False)
    assert states(tree, "inner", "inner.tidy", "last") == [
        "skipped/upstream",
        "skipped/upstream",
        "queued",
    ]
    tree.run("last")
    assert tree.states()[""] == "failed/error"
    assert queue.violations() == []
    queue.resume(tree.id)
    running = tree.claim("beside")
    queue.cancel(tree.id)
    assert states(tree, "inner", "inner.tidy") == ["canceled", "canceled"]
    queue.end_canceled(running)
    tree.run("last")
    assert queue.violations() == []
