"""Jobs that wait, put into another order."""

from __future__ import annotations

import pytest

from mlq.db import window
from mlq.db.engine import Database
from mlq.db.queries import jobs as query
from mlq.errors import ConflictError, MlqError
from mlq.service import ordering
from tests.integration.db.plans import Leaf, fan_out
from tests.integration.db.queue import Queue, Tree


@pytest.fixture
def waiting(queue: Queue) -> dict[str, Tree]:
    """Three single jobs behind a full window, in the order a, b, c."""
    queue.submit(fan_out(40), name="blocker", priority=100)
    return {name: queue.submit(Leaf(), name=name) for name in "abc"}


def move(queue: Queue, tree: Tree, **where: object) -> None:
    queue.database.transact(ordering.move, tree.id, actor="ann", **where)  # type: ignore[arg-type]


def order(queue: Queue, waiting: dict[str, Tree]) -> str:
    """In which order they get their messages, once there is room for all."""
    names = {tree.id: name for name, tree in waiting.items()}
    sent = queue.database.transact(window.refill, "cpu", window=200)
    heads = [one.links[0].id for one in sent]
    return "".join(names[job] for job in heads if job in names)


@pytest.mark.parametrize(
    ("name", "where", "expected"),
    [
        ("c", {"to": "front"}, "cab"),
        ("a", {"to": "back"}, "bca"),
        ("c", {"priority": 5}, "cab"),
        ("a", {"priority": -5}, "bca"),
        ("b", {"priority": 5, "to": "back"}, "bac"),
    ],
)
def test_a_job_moves(
    queue: Queue, waiting: dict[str, Tree], name: str, where: dict[str, object], expected: str
) -> None:
    move(queue, waiting[name], **where)
    assert order(queue, waiting) == expected


def test_a_job_moves_before_another_and_takes_its_priority(
    queue: Queue, waiting: dict[str, Tree]
) -> None:
    move(queue, waiting["b"], priority=7)
    move(queue, waiting["c"], before=waiting["b"].id)
    assert waiting["c"].row().priority == 7
    assert order(queue, waiting) == "cba"


def test_what_cannot_be_moved(database: Database, queue: Queue, waiting: dict[str, Tree]) -> None:
    with pytest.raises(MlqError, match="where the job is to go"):
        move(queue, waiting["a"])
    with pytest.raises(MlqError, match="from -100 to 100"):
        move(queue, waiting["a"], priority=101)
    queue.cancel(waiting["a"].id)
    with pytest.raises(ConflictError, match="has ended"):
        move(queue, waiting["a"], to="front")
    with pytest.raises(ConflictError, match="same compute"):
        move(queue, waiting["b"], before=waiting["a"].id)
    blocker = queue.submit(fan_out(2))
    with pytest.raises(ConflictError, match="A step moves"), database.write() as conn:
        ordering.move(conn, blocker.ids["s0"], to="front", actor="ann")
    with database.read() as conn:
        assert query.read(conn, waiting["b"].id)["priority"] == 0
