"""Steps that always run, on a real worker: after success, failure, a cancel and a timeout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import JOBS, Stack, wait_for

DOCUMENT = (JOBS / "finally.yml").read_text()


@pytest.fixture(scope="module")
def stack(open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack("sqlite") as stack:
        stack.worker()
        yield stack


def said(stack: Stack, job: str) -> str:
    return str(stack.tree(job)["send"]["outputs"]["value"]["value"])


def hanging(flag: Path) -> str:
    return DOCUMENT.replace("echo 42 >", f"touch {flag}; sleep 600; echo 42 >")


def test_after_success(stack: Stack) -> None:
    job = stack.submit(DOCUMENT)
    stack.wait(job)
    assert said(stack, job) == "ended with 42"
    stack.assert_sound()


def test_after_a_failure_which_stays_the_outcome(stack: Stack) -> None:
    job = stack.submit(DOCUMENT.replace("luck: 1", "luck: 0"))
    row = stack.wait(job, "failed")
    assert said(stack, job) == "ended"
    assert row["error"]["step"] == "work"
    stack.assert_sound()


def test_after_a_cancel(stack: Stack, tmp_path: Path) -> None:
    flag = tmp_path / "began"
    job = stack.submit(hanging(flag))
    wait_for(flag.exists, what="the step runs")
    stack.cancel(job)
    stack.wait(job, "canceled")
    assert said(stack, job) == "ended"
    stack.assert_sound()


def test_after_a_timeout_of_the_pipeline(stack: Stack, tmp_path: Path) -> None:
    job = stack.submit(hanging(tmp_path / "began") + "timeout: 3\n")
    row = stack.wait(job, "failed", timeout_s=90)
    assert row["reason"] == "timeout"
    assert said(stack, job) == "ended"
    stack.assert_sound()
