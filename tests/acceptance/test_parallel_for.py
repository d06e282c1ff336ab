"""`parallel_for` on real workers, one of which is killed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import JOBS, Stack, wait_for

DOCUMENT = (JOBS / "parallel_for.yml").read_text()


@pytest.fixture(scope="module")
def stack(open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack("postgresql") as stack:
        stack.worker()
        yield stack


def test_items_that_a_step_has_found(stack: Stack) -> None:
    job = stack.submit(DOCUMENT)
    stack.wait(job)
    tree = stack.tree(job)
    assert [tree[f"each.item-{n}"]["outputs"]["product"]["value"] for n in (1, 2, 3)] == [3, 6, 9]
    assert tree["each"]["outputs"]["product"]["value"] == [3, 6, 9]
    assert tree["sum"]["outputs"]["sum"]["value"] == 18
    with stack.store.read(tree["sum"]["outputs"]["names"]["digest"]) as names:
        assert names.read() == b"north\nsouth\nwest\n"
    assert tree["every"]["outputs"]["said"]["value"] == ["hello!", "bye?"]
    assert tree["each"]["attempt"] == 0  # no worker had it
    stack.assert_sound()


def test_what_are_no_items(stack: Stack) -> None:
    job = stack.submit(DOCUMENT.replace('{"region":"west","n":3}', '{"region":"west","m":3}'))
    row = stack.wait(job, "failed")
    assert row["error"]["step"] == "each"
    assert row["error"]["code"] == "invalid_items"
    assert "'item-3' gives 'm', which is no input of the body" in row["error"]["message"]
    stack.assert_sound()


def test_an_item_is_done_again_where_its_worker_was_killed(stack: Stack, tmp_path: Path) -> None:
    hang = f"if [ ${{{{inputs.n}}}} = 2 ] && mkdir {tmp_path}/once; then sleep 600; fi; echo $(("
    job = stack.submit(DOCUMENT.replace("echo $(($", f"{hang}$"))
    wait_for((tmp_path / "once").exists, what="the second item hangs")
    (worker,) = [part for part in stack.parts if part.is_running and "worker" in part.name]
    worker.kill()
    stack.worker()
    stack.wait(job, timeout_s=90)
    tree = stack.tree(job)
    assert tree["each.item-2.multiply"]["attempt"] == 2
    assert tree["sum"]["outputs"]["sum"]["value"] == 18
    stack.assert_sound()
