"""Sweeps for acceptance tests, and what a test asks of them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy.engine import RowMapping

from mlq.db import sweeps
from mlq.lifecycle import TERMINAL
from tests.acceptance.stack import JOBS, Stack

OBJECTIVE = {"primary_metric": "score", "goal": "maximize"}
ENDS = {"job.succeed", "job.fail", "job.cancel", "job.skip"}


@contextmanager
def importable() -> Iterator[None]:
    """Let the workers that are started meanwhile import `objectives`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(JOBS))
        yield


def choice(*values: Any) -> dict[str, Any]:
    return {"type": "choice", "values": list(values)}


def up_to(count: int) -> dict[str, Any]:
    """Whole numbers from 0 on."""
    return {"type": "randint", "upper": count}


def sweep(
    function: str,
    space: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    *,
    target: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A sweep of a function of `objectives`; a grid unless `more` says otherwise."""
    return {
        "type": "sweep",
        "display_name": function,
        "trial": "mlq:call",
        "inputs": {"function": f"objectives:{function}", "metric": "score", **(inputs or {})},
        "search_space": dict(space),
        "sampling_algorithm": "grid",
        "objective": OBJECTIVE if target is None else {**OBJECTIVE, "target": target},
        **more,
    }


def trials(stack: Stack, sweep_id: str) -> list[RowMapping]:
    """The trials of a sweep by number."""
    tree = stack.tree(stack.job(sweep_id)["root_id"])
    found = [
        row for row in tree.values() if row["role"] == "trial" and row["parent_id"] == sweep_id
    ]
    return sorted(found, key=lambda row: int(row["ordinal"]))


def done(stack: Stack, sweep_id: str) -> int:
    """How many trials have ended."""
    counts = stack.read(sweeps.count_by_state, sweep_id)
    return sum(count for state, count in counts.items() if state in {*TERMINAL, "pruned"})


def assert_whole(stack: Stack, sweep_id: str, *, count: int | None = None) -> list[RowMapping]:
    """Assert that each trial has one outcome and nothing below the sweep lives on; the trials."""
    rows = trials(stack, sweep_id)
    if count is not None:
        assert [row["ordinal"] for row in rows] == list(range(count))
    ends = Counter(
        event["job_id"]
        for event in stack.events(stack.job(sweep_id)["root_id"])
        if event["kind"] in ENDS
    )
    for row in rows:
        assert row["state"] in TERMINAL, f"{row['path']}: {stack.brief(row)}"
        assert ends[row["id"]] == 1, f"{row['path']}: {ends[row['id']]} outcomes"
    stack.assert_sound()
    return rows


def summary(rows: list[RowMapping]) -> Counter[str]:
    """state or state/reason -> number of trials."""
    return Counter(
        f"{row['state']}/{row['reason']}" if row["reason"] else row["state"] for row in rows
    )


BOWL = 500


def bowl(**more: Any) -> dict[str, Any]:
    """A grid of BOWL trials of 20 ms; the best is number 76."""
    space = {"x": choice(*range(20)), "y": choice(*range(25))}
    return sweep("bowl", space, {"seconds": 0.02}, **more)


def commands(script: str, count: int, **more: Any) -> dict[str, Any]:
    """A sweep of shell commands that say `score`."""
    say = "${{inputs.x}}"
    log = f"{sys.executable} -P -c 'import mlq; mlq.log_metric(\"score\", {say})'"
    return {
        **sweep("line", {"x": up_to(count)}, limits={"max_concurrent_trials": 2}),
        "trial": {"command": f"{script}; {log}"},
        "inputs": {},
        **more,
    }


def runners(stack: Stack, sweep_id: str) -> list[Any]:
    """Rows of the leaves that try a sweep's trials."""
    tree = stack.tree(stack.job(sweep_id)["root_id"])
    return [row for row in tree.values() if row["role"] == "runner"]


def assert_undisturbed(stack: Stack, sweep_id: str) -> None:
    """Assert that a `bowl` has come to what it comes to when nothing happens."""
    row = stack.wait(sweep_id)
    rows = assert_whole(stack, sweep_id, count=BOWL)
    assert summary(rows) == {"succeeded": BOWL}
    assert len({(one["params"]["x"], one["params"]["y"]) for one in rows}) == BOWL
    assert row["outputs"]["best_params"]["value"] == {"x": 3, "y": 1}
    assert row["value"] == 0
