"""Sweeps as text."""

from __future__ import annotations

import io
from typing import Any, cast

import pytest
from rich.console import Console

from mlq.cli.job_stream import Lines
from mlq.cli.job_view import render_job, render_job_in_short, render_steps, say_detail
from mlq.cli.output import print_noted
from mlq.cli.sweep_view import (
    Pace,
    Paces,
    facts,
    milestone,
    say_missed,
    say_params,
    say_progress,
    say_trial_error,
    trial_columns,
)
from mlq.client.documents import Job, Sweep, Trial
from tests.unit.mlq.cli.test_job_view import NOW, draw, make

NONE = dict.fromkeys(("queued", "running", "succeeded", "failed", "pruned", "canceled"), 0)


def sweep(total: int | None = 40, best: float | None = 0.9125, **counts: int) -> Sweep:
    made: dict[str, Any] = {
        "objective": {"primary_metric": "roc_auc", "goal": "maximize", "target": 0.99},
        "sampling": {"type": "random", "rule": "sobol", "seed": 7},
        "early_termination": {"type": "median_stopping"},
        "limits": {"max_total_trials": total, "max_concurrent_trials": 8, "timeout": 3600},
        "total": total,
        "counts": {**NONE, **counts},
        "best": None
        if best is None
        else {"number": 3, "id": "x", "value": best, "params": {"depth": 3, "lr": 0.123456}},
        "paused_at": None,
    }
    return cast(Sweep, made)


def tune(state: str = "running", **more: Any) -> Job:
    return make("tune", state, type="sweep", sweep=sweep(succeeded=10, failed=2, running=1), **more)


def test_progress_says_what_is_done_and_what_is_best() -> None:
    words = "12/40 trials  1 running  2 failed  best roc_auc 0.9125 (depth 3, lr 0.1235)"
    assert say_progress(tune()) == words
    assert say_detail(tune()) == words
    endless = make("tune", "running", type="sweep", sweep=sweep(None, None, succeeded=3, pruned=1))
    assert say_progress(endless) == "4 trials  1 pruned"


def test_a_sweep_that_waits_says_why_and_a_paused_one_how_far_it_is() -> None:
    assert say_detail(tune(waiting_for="cpu is busy")) == "cpu is busy"
    paused = tune(waiting_for="paused")
    paused["sweep"]["paused_at"] = "2026-11-23T08:00:00Z"
    assert say_detail(paused).startswith("12/40 trials  1 running  2 failed  paused  best")
    paused["sweep"]["counts"] = {**NONE, "succeeded": 40}
    assert f"paused: mlq job resume {paused['id'][:16]} ends it" in say_detail(paused)
    pending = tune("pending", waiting_for="waiting for prep")
    assert say_detail(pending) == "waiting for prep"


def test_a_target_that_was_missed_is_said() -> None:
    ended = tune("succeeded")
    assert "target 0.99 was not reached  best roc_auc" in say_progress(ended)
    assert say_missed(tune("succeeded", reason="target")) == ""
    assert say_missed(tune()) == ""  # it may still be
    ended["sweep"]["best"] = {"number": 9, "id": "y", "value": 0.99, "params": {}}
    assert say_missed(ended) == ""  # by the last trial, when nothing was left to stop
    rounds = [tune("succeeded"), tune("succeeded"), tune("skipped")]
    rule = {"rounds": {"goal": "maximize"}}
    repeated = make("again", "succeeded", type="pipeline", children=rounds, params=rule)
    assert say_missed(repeated) == "target 0.99 was not reached in 2 rounds"
    assert any("in 2 rounds; the" in line for line in draw(render_job(repeated, url="http://h")))
    # a pipeline with a sweep among its steps is not repeated
    assert say_missed(make("p", "succeeded", type="pipeline", children=[ended])) == ""


def test_why_a_trial_failed_stands_below_it_whole() -> None:
    error = " ".join(f"word{number}" for number in range(30))
    trials = [
        {"number": 0, "state": "failed", "params": {"lr": 1}, "error": {"message": error}},
        {"number": 1, "state": "succeeded", "value": 0.5, "params": {"lr": 2}, "duration_s": 1},
    ]
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system=None)
    print_noted(console, trials, trial_columns(sweep()), note=say_trial_error)
    head, failed, *told, succeeded = (line.rstrip() for line in file.getvalue().splitlines())
    assert (head.split()[0], failed.split()[:2]) == ("TRIAL", ["0", "failed"])
    assert " ".join(" ".join(told).split()) == error
    assert succeeded.split()[:2] == ["1", "succeeded"]


def test_values_are_said_as_people_write_them() -> None:
    params = {"a": 0.00012345, "b": "rbf", "c": True, "d": None, "e": [1, 2], "f": 3}
    assert say_params(params) == "a 0.0001234, b rbf, c true, d null, e [1, 2], f 3"


def test_the_end_is_foretold_from_the_pace() -> None:
    pace = Pace()
    assert pace.foretell(10) is None
    for second in range(5):
        pace.note(second * 2, at=float(second))
    assert pace.foretell(10) == 5.0
    pace.note(8, at=8.0)  # slower
    assert pace.foretell(10) == 10.0


def test_what_was_long_ago_does_not_count() -> None:
    pace = Pace()
    pace.note(0, at=0.0)
    pace.note(1, at=1000.0)
    pace.note(11, at=1010.0)
    assert pace.foretell(10) == 10.0


def test_of_a_sweep_that_stands_nothing_is_foretold() -> None:
    paces = Paces()
    job = make("p", "running", type="pipeline", children=[tune()])
    paces.note(job, at=0.0)
    step = tune()
    step["sweep"]["counts"]["succeeded"] = 20
    paces.note(make("p", "running", type="pipeline", children=[step]), at=10.0)
    assert paces.foretell(step) == 18.0
    assert "18.0 s left" in say_progress(step, paces)
    step["sweep"]["paused_at"] = "2026-11-23T08:00:00Z"
    assert paces.foretell(step) is None
    assert paces.foretell(tune("succeeded")) is None


def test_a_line_is_said_for_a_new_best_and_each_tenth_of_the_way() -> None:
    lines = Lines()
    assert len(list(lines.of(tune()))) == 1
    assert list(lines.of(tune())) == []
    better = tune()
    better["sweep"]["best"] = {"number": 9, "id": "y", "value": 0.95, "params": {}}
    assert [line.split("  ")[1] for line in lines.of(better)] == ["12/40 trials"]
    better["sweep"]["counts"]["succeeded"] = 13
    assert list(lines.of(better)) == []
    better["sweep"]["counts"]["succeeded"] = 14
    assert [line.split("  ")[1] for line in lines.of(better)] == ["16/40 trials"]


def test_without_a_total_a_line_is_said_for_twice_as_many() -> None:
    ways = [milestone(sweep(None, None, succeeded=count))[1] for count in (1, 2, 3, 4, 7, 8)]
    assert ways == [1, 2, 2, 3, 3, 4]


def test_the_facts_of_a_sweep() -> None:
    assert dict(facts(sweep(succeeded=10, failed=2, running=1))) == {
        "objective": "maximize roc_auc, until 0.99",
        "sampling": "random (sobol), seed 7",
        "stops early": "median stopping",
        "limits": "40 trials, 8 at once, 1 h 00 min in all",
        "trials": "13 of 40: 1 running, 10 succeeded, 2 failed",
        "best": "trial 3: roc_auc 0.9125 (depth 3, lr 0.1235)",
    }


@pytest.mark.parametrize(
    ("trial", "cells"),
    [
        (
            {"state": "succeeded", "value": 0.5, "params": {"lr": 1}, "duration_s": 0.25},
            ["7", "succeeded", "0.5", "0.3", "0.25 s", "lr 1"],
        ),
        (
            {"state": "failed", "error": {"message": "Boom.\nline 2"}, "params": {"lr": 1}},
            ["7", "failed", "", "0.3", "", "lr 1"],
        ),
        (
            {"state": "canceled", "reason": "pruned", "params": None},
            ["7", "pruned", "", "0.3", "", ""],
        ),
    ],
)
def test_a_trial_is_one_line(trial: dict[str, Any], cells: list[str]) -> None:
    columns = trial_columns(sweep(), sort="-metric:loss")
    assert [column.title for column in columns] == [
        "TRIAL", "STATE", "ROC_AUC", "LOSS", "DURATION", "PARAMETERS",
    ]  # fmt: skip
    shown = {"number": 7, "metrics": {"loss": 0.3}, **trial}
    assert [column.read(shown) for column in columns] == cells


def test_show_lists_the_best_trials_at_80_columns() -> None:
    params = {f"parameter_{number}": 0.123456 for number in range(9)}
    trials = [
        {"number": number, "state": "succeeded", "value": 0.9, "params": params, "duration_s": 1}
        for number in range(10)
    ]
    lines = draw(render_job(tune(), url="http://h", now=NOW, best=cast("list[Trial]", trials)))
    assert max(len(line) for line in lines) <= 80
    assert lines[-11].split() == ["TRIAL", "ROC_AUC", "DURATION", "PARAMETERS"]
    assert lines[-1].endswith("…")


def test_a_trial_shows_its_parameters() -> None:
    lines = draw(render_job(make("3", params={"lr": 0.1}), url="http://h", now=NOW))
    assert "  params     lr 0.1" in lines


def test_what_was_asked_for_is_answered_with_how_far_it_is() -> None:
    head, progress = draw(render_job_in_short(tune()))
    assert head.startswith("● tune  running")
    assert progress.startswith("  12/40 trials")
    assert len(draw(render_job_in_short(make("prep")))) == 1


def test_a_sweep_among_steps_is_one_line() -> None:
    job = make("p", "running", type="pipeline", children=[make("prep", duration_s=1), tune()])
    lines = draw(render_steps(job, now=NOW, fold=False))
    assert len(lines) == 2
    assert "12/40 trials" in lines[1]
