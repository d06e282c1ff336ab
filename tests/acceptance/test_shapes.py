"""Every shape of pipeline runs each of its steps once and in order, wherever it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.conftest import BROKERS, OpenStack
from tests.acceptance.stack import JOBS, Stack, assert_ran_once

PLACES = [(database, broker) for database in ("sqlite", "postgresql") for broker in BROKERS]


@pytest.fixture(scope="module", params=PLACES, ids="-".join)
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack(*request.param) as stack:
        stack.worker()
        yield stack


def line(length: int) -> dict[str, Any]:
    """A line of steps, each handing its value on."""
    steps: dict[str, Any] = {}
    for number in range(length):
        value = f"${{{{parent.jobs.s{number - 1}.outputs.value}}}}" if number else 1
        steps[f"s{number}"] = {"component": "mlq:pass", "inputs": {"value": value}}
    return {"type": "pipeline", "display_name": "line", "jobs": steps}


def fan_out(width: int) -> dict[str, Any]:
    """One step, `width` steps behind it, and one that joins them."""
    steps: dict[str, Any] = {"top": {"component": "mlq:pass", "inputs": {"value": 1}}}
    for number in range(width):
        steps[f"b{number}"] = {
            "component": "mlq:pass",
            "inputs": {"value": "${{parent.jobs.top.outputs.value}}"},
        }
    joined = {f"v{n}": f"${{{{parent.jobs.b{n}.outputs.value}}}}" for n in range(width)}
    steps["join"] = {"component": "mlq:pass", "inputs": {"value": "joined", **joined}}
    return {"type": "pipeline", "display_name": "fan", "jobs": steps}


def test_diamond(stack: Stack) -> None:
    job = stack.submit((JOBS / "diamond.yml").read_text())
    stack.wait(job)
    assert_ran_once(stack, job)


def test_line_of_fifty(stack: Stack) -> None:
    job = stack.submit(line(50))
    stack.wait(job)
    assert_ran_once(stack, job)
    assert len(stack.tree(job)) == 51
    assert stack.tree(job)["s49"]["outputs"]["value"]["value"] == 1


def test_fan_out_of_two_hundred(stack: Stack) -> None:
    job = stack.submit(fan_out(200))
    stack.wait(job)
    assert_ran_once(stack, job)
    assert len(stack.tree(job)) == 203


def test_three_levels(stack: Stack) -> None:
    job = stack.submit((JOBS / "nested3.yml").read_text())
    row = stack.wait(job)
    assert_ran_once(stack, job)
    assert row["outputs"]["value"]["value"] == 1


def test_a_single_command(stack: Stack) -> None:
    job = stack.submit((JOBS / "command.yml").read_text())
    row = stack.wait(job)
    assert_ran_once(stack, job)
    with stack.store.read(row["outputs"]["answer"]["digest"]) as answer:
        assert answer.read() == b"hello world\n"
    assert stack.log_of(job) == "hello world\n"


def test_nothing_is_left_behind(stack: Stack) -> None:
    stack.assert_sound()
    assert stack.broker.depth("cpu") == 0
    assert not list((stack.settings.home / "scratch").iterdir())


def test_plain_celery_serves_too(open_stack: OpenStack) -> None:
    with open_stack() as stack:
        worker = stack.worker(plain=True)
        job = stack.submit((JOBS / "line5.yml").read_text())
        stack.wait(job)
        assert_ran_once(stack, job)
        stack.assert_sound()
        assert worker.stop() == 0
