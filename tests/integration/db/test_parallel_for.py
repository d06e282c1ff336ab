"""`parallel_for` in the database: items are added, take turns, and are collected once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from mlq.db import spreads
from mlq.db.queries import queues
from mlq.db.queries.jobs import read
from mlq.db.tables import jobs
from mlq.service import spreading
from mlq.service.execution import Attempt
from tests.integration.db.queue import Queue, Tree, race
from tests.integration.db.test_control_flow import submit

BODY = "{type: command, command: 'true', inputs: {n: 0}, outputs: {x: {type: integer}}}"
ITEMS = "[{n: 1}, {n: 2}, {n: 3}]"
TEXT = f"""
type: pipeline
jobs:
  find: {{type: command, command: 'true', outputs: {{all: {{type: object}}}}}}
  body: {BODY}
  each:
    type: parallel_for
    body: ${{{{parent.jobs.body}}}}
    items: ${{{{parent.jobs.find.outputs.all}}}}
    max_concurrency: 2
  after: {{type: command, command: 'true', inputs: {{x: "${{{{parent.jobs.each.outputs.x}}}}"}}}}
"""
INNER = TEXT.replace(
    BODY,
    f"{{type: pipeline, inputs: {{n: 0}}, jobs: {{a: {BODY}}}, "
    'outputs: {x: "${{parent.jobs.a.outputs.x}}"}}',
)
FOUND = [{"n": 1}, {"n": 2}, {"n": 3}]
GOES_ON = "settings: {continue_on_step_failure: true}\n"


def add(queue: Queue, attempt: Attempt, *, only: int | None = None) -> None:
    """Add the items of an attempt that expands."""
    parent = attempt.claim.parent_id
    assert parent is not None
    with queue.database.read() as conn:
        wanted = spreading.find_items(conn, attempt, project="default")
        planted = spreads.count_items(conn, parent)
    for piece in spreading.pieces(attempt, wanted[:only], planted=planted):
        queue.database.transact(spreading.plant, attempt, piece)


def expanded(queue: Queue, text: str = TEXT, found: Any = FOUND) -> Tree:
    """A tree whose items have been added; `find` is done."""
    tree = submit(queue, text)
    queue.succeed(tree.claim("find"), all=found)
    attempt = tree.claim("each.expand")
    add(queue, attempt)
    assert queue.succeed(attempt) is not None
    return look(queue, tree)


def look(queue: Queue, tree: Tree) -> Tree:
    """The tree with the jobs that it has now."""
    with queue.database.read() as conn:
        rows = conn.execute(select(jobs.c.path, jobs.c.id).where(jobs.c.root_id == tree.id))
        tree.ids = {row.path: row.id for row in rows}
    return tree


def states(tree: Tree, *names: str) -> Sequence[str]:
    found = tree.states()
    return [found[f"each.{name}"] for name in names]


THREE = ("item-1", "item-2", "item-3")


def test_items_take_turns_and_are_collected_in_the_end(queue: Queue) -> None:
    tree = expanded(queue)
    assert states(tree, *THREE, "collect") == ["queued", "queued", "pending", "pending"]
    with queue.database.read() as conn:
        words = queues.waiting_words(conn, [read(conn, tree.ids["each.item-3"])])
    assert list(words.values()) == ["waits for its turn among the items"]
    assert queue.violations() == []
    attempt = tree.claim("each.item-2")
    assert attempt.inputs["n"].value == 2
    queue.succeed(attempt, x=20)
    assert states(tree, *THREE) == ["queued", "succeeded", "queued"]
    tree.run("each.item-1", "each.item-3")
    assert states(tree, "collect") == ["queued"]
    assert queue.violations() == []
    queue.succeed(tree.claim("each.collect"), x=[10, 20, 30])
    attempt = tree.claim("after")
    assert attempt.inputs["x"].value == [10, 20, 30]
    queue.succeed(attempt)
    assert tree.states()[""] == "succeeded"
    assert queue.violations() == []


def test_items_that_are_pipelines(queue: Queue) -> None:
    tree = expanded(queue, INNER)
    assert states(tree, "item-1", "item-1.a", "item-3", "item-3.a") == [
        "running",
        "queued",
        "pending",
        "pending",
    ]
    for number in (1, 2, 3):
        queue.succeed(tree.claim(f"each.item-{number}.a"), x=number)
    assert tree.row("each.item-3").outputs["x"]["value"] == 3
    assert states(tree, "collect") == ["queued"]
    assert queue.violations() == []


def test_no_items_are_none_to_wait_for(queue: Queue) -> None:
    tree = expanded(queue, found=[])
    assert states(tree, "collect") == ["queued"]
    assert queue.violations() == []


def test_an_attempt_after_a_loss_adds_the_rest(queue: Queue) -> None:
    tree = submit(queue, TEXT)
    queue.succeed(tree.claim("find"), all=FOUND)
    attempt = tree.claim("each.expand")
    add(queue, attempt, only=2)
    assert states(look(queue, tree), "item-1", "item-2") == ["pending"] * 2  # not before all are
    queue.lose(attempt)
    assert queue.violations() == []
    attempt = tree.claim("each.expand")
    add(queue, attempt)
    queue.succeed(attempt)
    assert states(look(queue, tree), *THREE) == ["queued", "queued", "pending"]
    assert queue.violations() == []


def test_a_failure_ends_it_and_a_resume_goes_on(queue: Queue) -> None:
    tree = expanded(queue)
    running = tree.claim("each.item-1")
    tree.fail("each.item-2", retry=False)
    assert states(tree, *THREE, "collect") == [
        "running",
        "failed/error",
        "skipped/upstream",
        "skipped/upstream",
    ]
    queue.succeed(running, x=1)
    assert tree.states()["each"] == "failed/error"
    assert tree.row("each").error["step"] == "each.item-2"
    assert queue.violations() == []
    queue.resume(tree.id)
    assert states(tree, "expand", *THREE) == ["succeeded", "succeeded", "queued", "queued"]
    assert queue.violations() == []
    tree.run("each.item-3", "each.item-2")
    queue.succeed(tree.claim("each.collect"), x=[1])
    assert tree.states()["after"] == "queued"
    assert queue.violations() == []


def test_others_go_on_after_a_failure_where_the_pipeline_does(queue: Queue) -> None:
    tree = expanded(queue, GOES_ON + TEXT)
    tree.fail("each.item-1", retry=False)
    tree.run("each.item-2", "each.item-3")
    assert states(tree, "collect") == ["skipped/upstream"]
    assert tree.states()["each"] == "failed/error"
    assert queue.violations() == []
    queue.resume(tree.id)
    tree.run("each.item-1")
    queue.succeed(tree.claim("each.collect"), x=[1])
    tree.run("after")
    assert tree.states()[""] == "succeeded"
    assert queue.violations() == []


def test_items_that_cannot_be_read_fail_it(queue: Queue) -> None:
    for text in (TEXT, GOES_ON + TEXT):
        tree = submit(queue, text)
        queue.succeed(tree.claim("find"), all=FOUND)
        tree.fail("each.expand", retry=False)
        assert states(tree, "collect") == ["skipped/upstream"]
        assert tree.states()["each"] == "failed/error"
        assert "step" not in tree.row("each").error  # nobody knows that leaf
        assert queue.violations() == []


def test_it_is_canceled_with_its_pipeline_and_resumed(queue: Queue) -> None:
    tree = expanded(queue)
    running = tree.claim("each.item-1")
    queue.cancel(tree.id)
    queue.end_canceled(running)
    assert states(tree, "expand", *THREE, "collect") == ["succeeded", *["canceled"] * 4]
    assert queue.violations() == []
    queue.resume(tree.id)
    assert states(tree, *THREE) == ["queued", "queued", "pending"]
    tree.run(*(f"each.{name}" for name in THREE))
    queue.succeed(tree.claim("each.collect"), x=[1])
    tree.run("after")
    assert tree.states()[""] == "succeeded"
    assert queue.violations() == []


def test_an_item_that_ends_often_starts_one_other(queue: Queue) -> None:
    tree = expanded(queue, found=[{"n": n} for n in range(6)])
    attempt = tree.claim("each.item-1")
    race(*[lambda: queue.succeed(attempt, x=1)] * 4)
    names = [f"item-{n}" for n in range(1, 7)]
    assert states(tree, *names) == ["succeeded", "queued", "queued", *["pending"] * 3]
    attempts = [tree.claim("each.item-2"), tree.claim("each.item-3")]
    race(*(lambda each=each: queue.succeed(each, x=1) for each in attempts))  # type: ignore[misc]
    assert states(tree, *names) == [*["succeeded"] * 3, "queued", "queued", "pending"]
    assert queue.violations() == []


def test_items_in_items(queue: Queue) -> None:
    nested = f"""
type: pipeline
jobs:
  outer:
    type: pipeline
    inputs: {{n: 0}}
    jobs:
      body: {BODY}
      each: {{type: parallel_for, body: "${{{{parent.jobs.body}}}}", items: {ITEMS}}}
    outputs: {{x: "${{{{parent.jobs.each.outputs.x}}}}"}}
  each: {{type: parallel_for, body: "${{{{parent.jobs.outer}}}}", items: {ITEMS}}}
"""
    tree = submit(queue, nested)
    attempt = tree.claim("each.expand")
    add(queue, attempt)
    queue.succeed(attempt)
    look(queue, tree)
    attempt = tree.claim("each.item-2.each.expand")
    add(queue, attempt)
    queue.succeed(attempt)
    assert states(look(queue, tree), "item-2.each.item-3") == ["queued"]
    assert queue.violations() == []
    tree.run(*(f"each.item-2.each.{name}" for name in THREE), "each.item-2.each.collect")
    assert states(tree, "item-2") == ["succeeded"]
    assert queue.violations() == []
