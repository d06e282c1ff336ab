"""Branches and loops on real workers, one of which is killed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import JOBS, Stack, wait_for

DOCUMENT = (JOBS / "control_flow.yml").read_text()


@pytest.fixture(scope="module")
def stack(open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack("postgresql") as stack:
        stack.worker()
        yield stack


def outcomes(stack: Stack, job: str) -> dict[str, str]:
    """Path -> state, with the reason where there is one."""
    tree = stack.tree(job)
    return {
        path: f"{row['state']}/{row['reason']}" if row["reason"] else row["state"]
        for path, row in tree.items()
    }


def test_a_loop_ends_when_its_body_says_so_and_one_branch_runs(stack: Stack) -> None:
    job = stack.submit(DOCUMENT)
    stack.wait(job)
    found = outcomes(stack, job)
    assert [found[f"loop.iteration-{n}"] for n in range(1, 6)] == [
        *["succeeded"] * 3,
        *["skipped/condition"] * 2,
    ]
    assert found["celebrate"] == "succeeded"
    assert {found[path] for path in ("mourn", "after_mourning")} == {"skipped/condition"}
    tree = stack.tree(job)
    assert tree["loop"]["outputs"] == tree["loop.iteration-3"]["outputs"]
    assert tree["celebrate"]["outputs"]["value"]["value"] == 3
    assert tree["choose"]["attempt"] == tree["loop"]["attempt"] == 0  # no worker had them
    stack.assert_sound()


def test_a_loop_ends_at_its_bound_with_what_it_has(stack: Stack) -> None:
    job = stack.submit(DOCUMENT.replace("goal: 3", "goal: 100"))
    stack.wait(job)
    tree = stack.tree(job)
    assert tree["loop"]["outputs"]["at"]["value"] == 5
    assert tree["loop"]["outputs"]["more"]["value"] is True
    stack.assert_sound()


def test_a_loop_goes_on_where_its_worker_was_killed(stack: Stack, tmp_path: Path) -> None:
    hang = f"if [ $next = 2 ] && mkdir {tmp_path}/once; then sleep 600; fi;"
    job = stack.submit(DOCUMENT.replace("echo $next >", f"{hang} echo $next >"))
    wait_for((tmp_path / "once").exists, what="the second iteration hangs")
    (worker,) = [part for part in stack.parts if part.is_running and "worker" in part.name]
    worker.kill()
    stack.worker()
    stack.wait(job, timeout_s=90)
    tree = stack.tree(job)
    assert [tree[f"loop.iteration-{n}"]["attempt"] for n in range(1, 6)] == [1, 2, 1, 0, 0]
    assert outcomes(stack, job)["after_mourning"] == "skipped/condition"
    stack.assert_sound()


def test_what_is_resumed_keeps_its_iterations_and_its_branch(stack: Stack, tmp_path: Path) -> None:
    flag = tmp_path / "mended"
    document = DOCUMENT.replace("echo $next >", f"test $next != 2 -o -e {flag}; echo $next >")
    job = stack.submit(document)
    stack.wait(job, "failed")
    assert outcomes(stack, job)["loop.iteration-3"] == "skipped/upstream"
    flag.touch()
    stack.resume(job)
    stack.wait(job)
    tree = stack.tree(job)
    assert [tree[f"loop.iteration-{n}"]["attempt"] for n in range(1, 6)] == [1, 2, 1, 0, 0]
    stack.assert_sound()


def test_an_output_that_is_no_boolean_fails_its_step(stack: Stack) -> None:
    job = stack.submit(DOCUMENT.replace("then echo true; else", "then echo maybe; else"))
    row = stack.wait(job, "failed")
    assert row["error"]["code"] == "invalid_output"
    assert "takes true or false; got 'maybe' (text)" in row["error"]["message"]
    found = outcomes(stack, job)
    assert {found[path] for path in ("judge", "choose", "celebrate", "mourn")} == {
        "skipped/upstream"
    }
    stack.assert_sound()
