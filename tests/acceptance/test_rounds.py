"""Retraining on real workers: again, on a wider budget, until it is good enough."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlq.data import demo_file
from mlq.service import models
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import JOBS, Stack
from tests.acceptance.sweeps import assert_whole, choice, importable, sweep, trials


@pytest.fixture(scope="module", params=["postgresql"])
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with importable(), open_stack(request.param) as stack:
        stack.worker()
        yield stack
        stack.assert_sound()


def rounds_of(stack: Stack, job: str) -> list[str]:
    """State and reason of each round of a root."""
    rows = [row for row in stack.tree(job).values() if row["parent_id"] == job]
    rows.sort(key=lambda row: int(row["ordinal"]))
    return [f"{row['state']}/{row['reason']}" for row in rows]


def test_a_sweep_is_repeated_until_its_target(stack: Stack) -> None:
    search = sweep(
        "line",
        {"x": choice(0, 1, 2, 3, 4, 5, 6, 7)},
        target=5,
        limits={"max_total_trials": 2, "max_concurrent_trials": 1},
        repeat={"rounds": 4, "widen": {"limits.max_total_trials": 2}},
    )
    binding = "${{parent.jobs.tune.outputs.best_value}}"
    use = {"component": "mlq:pass", "inputs": {"value": binding}}
    job = stack.submit({"type": "pipeline", "jobs": {"tune": search, "use": use}})
    stack.wait(job)
    tree = stack.tree(job)
    tune, third = tree["tune"], tree["tune.round-3"]
    assert (tune["state"], tune["reason"], tune["value"]) == ("succeeded", "target", 5)
    assert tune["outputs"]["best_value"]["value"] == 5
    assert tune["outputs"] == third["outputs"]
    assert (third["state"], third["reason"]) == ("succeeded", "target")
    assert tree["tune.round-4"]["reason"] == "condition"
    assert [len(trials(stack, tree[f"tune.round-{n}"]["id"])) for n in (1, 2)] == [2, 4]
    for number in (1, 2, 3):
        assert_whole(stack, tree[f"tune.round-{number}"]["id"])


def test_a_sweep_that_misses_its_target_hands_over_its_best_round(stack: Stack) -> None:
    search = sweep(
        "line",
        {"x": {"type": "uniform", "min_value": 0, "max_value": 1}},
        sampling_algorithm="random",
        target=2,
        limits={"max_total_trials": 3, "max_concurrent_trials": 1},
        repeat={"rounds": 3},
    )
    job = stack.submit(search)
    row = stack.wait(job)
    tree = stack.tree(job)
    values = [tree[f"round-{number}"]["value"] for number in (1, 2, 3)]
    assert len(set(values)) == 3  # each round drew other points
    assert (row["reason"], row["value"]) == (None, max(values))
    assert row["outputs"]["best_value"]["value"] == max(values)


def test_the_champion_stays_until_a_round_beats_it(stack: Stack) -> None:
    penguins = demo_file("penguins.csv").read_bytes()
    stack.upload("penguins", penguins, file_name="penguins.csv")
    document = (JOBS / "retrain.yml").read_text()
    first = stack.submit(document)
    stack.wait(first, timeout_s=90)
    # nothing to compare with: the first round is good enough
    assert rounds_of(stack, first) == ["succeeded/None", *["skipped/condition"] * 2]
    champion = stack.read(models.find_version, "penguins", version="production")
    assert champion.version == 1

    again = stack.submit(document)
    stack.wait(again, timeout_s=90)
    tree = stack.tree(again)
    assert rounds_of(stack, again) == ["failed/rejected", "succeeded/None", "skipped/condition"]
    assert {path for path, row in tree.items() if row["reason"] == "cached"} == {
        "round-1.prep",
        "round-1.train",
        "round-2.prep",
    }
    # the round that was refused has registered and deployed nothing
    assert {tree[f"round-1.{step}"]["state"] for step in ("register", "deploy")} == {"skipped"}
    winner = stack.read(models.find_version, "penguins", version="production")
    assert (winner.version, winner.job_id) == (2, tree["round-2.register"]["id"])

    # nothing beats it by as much again
    third = stack.submit(document.replace("rounds: 3", "rounds: 2"))
    row = stack.wait(third, "failed", timeout_s=90)
    assert (row["reason"], row["error"]["step"]) == ("rejected", "round-2.validate")
    assert stack.read(models.find_version, "penguins", version="production") == winner
