"""Branches and loops in the database: decided once, where the step they wait for ends."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.db.queries import queues
from mlq.db.queries.jobs import read
from mlq.service import jobs as service
from mlq.spec import compile_job, read_document
from tests.integration.db.queue import Queue, Tree, race

STEP = "{type: command, command: 'true'%s}"
WRITES = ", outputs: {%s: {type: boolean}}"

CHOICE = f"""
type: pipeline
jobs:
  ask: {STEP % (WRITES % "yes")}
  also: {STEP % (WRITES % "done")}
  choose:
    type: if_else
    condition: ${{{{parent.jobs.ask.outputs.yes}}}}
    true_block: ${{{{parent.jobs.left}}}}
    false_block: ${{{{parent.jobs.right}}}}
  left: {STEP % ""}
  right:
    type: pipeline
    jobs: {{deep: {STEP % (WRITES % "x")}}}
    outputs: {{x: "${{{{parent.jobs.deep.outputs.x}}}}"}}
  join:
    type: command
    command: 'true'
    inputs:
      a: "${{{{parent.jobs.right.outputs.x}}}}"
      b: "${{{{parent.jobs.also.outputs.done}}}}"
"""
LOOP = f"""
type: pipeline
jobs:
  body: {STEP % (WRITES % "more")}
  loop:
    type: do_while
    body: ${{{{parent.jobs.body}}}}
    condition: more
    limits: {{max_iteration_count: 3}}
"""


def submit(queue: Queue, text: str) -> Tree:
    submitted = queue.database.transact(
        service.submit,
        compile_job(read_document(text), computes=None),
        actor="ann",
        document=text,
        media_type="application/yaml",
        windows=queue.windows,
    )
    return Tree(queue, submitted.job_id, submitted.deliveries)


def test_one_branch_runs(queue: Queue) -> None:
    tree = submit(queue, CHOICE)
    queue.succeed(tree.claim("also"), done=True)
    queue.succeed(tree.claim("ask"), yes=True)
    assert tree.states()["choose"] == "succeeded"
    assert {tree.states()[path] for path in ("right", "right.deep", "join")} == {
        "skipped/condition"
    }
    assert tree.row("choose").outputs["condition"] == {"type": "boolean", "value": True}
    tree.run("left")
    assert tree.states()[""] == "succeeded"


def test_the_other_branch_runs(queue: Queue) -> None:
    tree = submit(queue, CHOICE)
    queue.succeed(tree.claim("also"), done=True)
    queue.succeed(tree.claim("ask"), yes=False)
    assert tree.states()["left"] == "skipped/condition"
    queue.succeed(tree.claim("right.deep"), x=True)
    tree.run("join")
    assert tree.states()[""] == "succeeded"


def test_a_condition_known_at_submit_is_decided_there(queue: Queue) -> None:
    tree = submit(queue, CHOICE.replace("${{parent.jobs.ask.outputs.yes}}", "false"))
    assert tree.states()["choose"] == "succeeded"
    assert tree.states()["left"] == "skipped/condition"
    assert tree.states()["right.deep"] == "queued"
    tree.run("ask")


def test_a_choice_waits_for_its_condition_in_words(queue: Queue) -> None:
    tree = submit(queue, CHOICE)
    with queue.database.read() as conn:
        words = queues.waiting_words(conn, [read(conn, tree.ids["choose"])])
    assert words == {tree.ids["choose"]: "waiting for ask"}


def test_without_its_condition_neither_branch_runs_and_a_resume_decides(queue: Queue) -> None:
    tree = submit(queue, CHOICE)
    queue.succeed(tree.claim("also"), done=True)
    tree.fail("ask", retry=False)
    states = tree.states()
    assert {states[path] for path in ("choose", "left", "right", "join")} == {"skipped/upstream"}
    queue.resume(tree.id)
    queue.succeed(tree.claim("ask"), yes=True)
    tree.run("left")
    assert tree.states()[""] == "succeeded"


def test_a_value_that_is_no_boolean_fails_the_choice(queue: Queue) -> None:
    tree = submit(queue, CHOICE)
    queue.succeed(tree.claim("also"), done=True)
    queue.succeed(tree.claim("ask"), yes="maybe")
    assert tree.row("choose").error["code"] == "missing_output"
    assert tree.states()["left"] == "skipped/upstream"


@pytest.mark.parametrize("first", ["also", "ask"])
def test_a_choice_that_was_made_stands_after_a_resume(queue: Queue, first: str) -> None:
    tree = submit(queue, CHOICE + "settings: {continue_on_step_failure: true}")
    works: dict[str, Any] = {
        "also": lambda: tree.fail("also", retry=False),
        "ask": lambda: queue.succeed(tree.claim("ask"), yes=True),
    }
    works.pop(first)()
    next(iter(works.values()))()
    tree.run("left")
    assert tree.states()[""] == "failed/error"
    queue.resume(tree.id)
    assert tree.states()["choose"] == "succeeded"
    queue.succeed(tree.claim("also"), done=True)
    assert tree.states()["right"] == tree.states()["join"] == "skipped/condition"
    assert tree.states()[""] == "succeeded"


def test_a_choice_is_canceled_with_its_pipeline(queue: Queue) -> None:
    tree = submit(queue, CHOICE)
    queue.cancel(tree.id)
    assert set(tree.states().values()) == {"canceled"}


def test_a_loop_goes_on_as_long_as_its_body_says_so(queue: Queue) -> None:
    tree = submit(queue, LOOP)
    queue.succeed(tree.claim("loop.iteration-1"), more=True)
    queue.succeed(tree.claim("loop.iteration-2"), more=False)
    assert tree.states()["loop.iteration-3"] == "skipped/condition"
    assert tree.row("loop").outputs["more"]["value"] is False
    assert tree.states()[""] == "succeeded"


def test_a_loop_ends_at_its_bound(queue: Queue) -> None:
    tree = submit(queue, LOOP)
    for number in (1, 2, 3):
        queue.succeed(tree.claim(f"loop.iteration-{number}"), more=True)
    assert tree.states()[""] == "succeeded"
    assert tree.row("loop").outputs["more"]["value"] is True


def test_a_loop_says_what_its_iterations_wait_for(queue: Queue) -> None:
    tree = submit(queue, LOOP)
    second = tree.ids["loop.iteration-2"]
    with queue.database.read() as conn:
        words = queues.waiting_words(conn, [read(conn, second)])
    assert words == {second: "needed only if iteration-1 goes on"}


def test_an_iteration_that_fails_ends_the_loop_and_is_resumed(queue: Queue) -> None:
    tree = submit(queue, LOOP)
    queue.succeed(tree.claim("loop.iteration-1"), more=True)
    tree.fail("loop.iteration-2", retry=False)
    assert tree.states()["loop"] == "failed/error"
    queue.resume(tree.id)
    assert tree.states()["loop.iteration-1"] == "succeeded"
    queue.succeed(tree.claim("loop.iteration-2"), more=False)
    assert tree.states()[""] == "succeeded"


def test_an_iteration_has_one_successor_however_often_its_end_is_told(queue: Queue) -> None:
    tree = submit(queue, LOOP)
    attempt = tree.claim("loop.iteration-1")
    race(*[lambda: queue.succeed(attempt, more=True)] * 4)
    assert tree.states()["loop.iteration-2"] == "queued"
    assert tree.states()["loop.iteration-3"] == "pending"
    queue.lose(tree.claim("loop.iteration-2"))
    queue.succeed(tree.claim("loop.iteration-2"), more=False)
    assert tree.states()[""] == "succeeded"
