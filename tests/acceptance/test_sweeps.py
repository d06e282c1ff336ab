"""Sweeps from their file to the best trial: every way in which trials and sweeps end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, select

from mlq.db.tables import metrics as table
from tests.acceptance.conftest import PAIRS, OpenStack, usually
from tests.acceptance.stack import Stack
from tests.acceptance.sweeps import (
    OBJECTIVE,
    assert_whole,
    choice,
    importable,
    summary,
    sweep,
    up_to,
)

PYTHON = f"{sys.executable} -P -c"


@pytest.fixture(scope="module", params=usually(PAIRS[:1]), ids="-".join)
def stack(request: pytest.FixtureRequest, open_stack: OpenStack) -> Iterator[Stack]:
    with importable(), open_stack(*request.param, sweep_slice_s=1) as stack:
        stack.worker()
        yield stack
        stack.assert_sound()


def command_sweep(script: str, space: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A sweep of a Python script, a grid of two at once unless `more` says otherwise."""
    return {
        "type": "sweep",
        "display_name": "command",
        "trial": {"command": f'{PYTHON} "{script}"'},
        "search_space": space,
        "sampling_algorithm": "grid",
        "objective": OBJECTIVE,
        "limits": {"max_concurrent_trials": 2},
        **more,
    }


def metrics(stack: Stack, job_id: str) -> list[tuple[str, int, float]]:
    """All values that a job has reported: (key, step, value)."""

    def rows(conn: Connection) -> list[tuple[str, int, float]]:
        query = select(table.c.key, table.c.step, table.c.value).where(table.c.job_id == job_id)
        return [tuple(row) for row in conn.execute(query.order_by(table.c.id))]

    return stack.read(rows)


def test_grid_over_a_function(stack: Stack) -> None:
    space = {"x": choice(*range(6)), "y": choice(0, 1, 2)}
    row = stack.wait(stack.submit(sweep("bowl", space)))
    rows = assert_whole(stack, row["id"], count=18)
    assert summary(rows) == {"succeeded": 18}
    assert len({tuple(sorted(one["params"].items())) for one in rows}) == 18
    assert row["outputs"]["best_params"]["value"] == {"x": 3, "y": 1}
    assert row["outputs"]["best_value"]["value"] == row["value"] == 0


def test_all_trials_fail(stack: Stack) -> None:
    inputs = {"bad": "raise", "at": 1}
    row = stack.wait(stack.submit(sweep("fussy", {"x": choice(1)}, inputs)), "failed")
    assert summary(assert_whole(stack, row["id"], count=1)) == {"failed/error": 1}
    assert row["error"]["code"] == "no_successful_trial"
    assert "the reactor is too hot" in row["error"]["message"]


@pytest.mark.parametrize(
    ("bad", "reason", "code", "words"),
    [
        ("raise", "error", "exception", "the reactor is too hot"),
        ("nan", "error", "metric_nan", "'score' of the trial is nan"),
        ("endless", "error", "metric_nan", "'score' of the trial is inf"),
        ("missing", "error", "metric_missing", "did not report its primary metric 'score'"),
        ("text", "error", "no_number", "a value of type str"),
        ("oom", "oom", "oom", "out of memory"),
        ("exit", "error", "exit", "called sys.exit(3)"),
        ("crash", "lost", "lost", "died"),
        ("kill", "lost", "lost", "died"),
        ("hang", "timeout", "timeout", "longer than its timeout"),
    ],
)
def test_one_bad_trial(stack: Stack, bad: str, reason: str, code: str, words: str) -> None:
    inputs = {"bad": bad, "at": 7}
    limits = {"trial_timeout": 1} if bad == "hang" else {}
    row = stack.wait(stack.submit(sweep("fussy", {"x": up_to(12)}, inputs, limits=limits)))
    rows = assert_whole(stack, row["id"], count=12)
    assert summary(rows) == {"succeeded": 11, f"failed/{reason}": 1}
    (failed,) = (one for one in rows if one["state"] == "failed")
    assert failed["params"] == {"x": 7}
    assert failed["error"]["code"] == code
    assert words in failed["error"]["message"]
    assert failed["lost_count"] == (3 if reason == "lost" else 0)
    assert sum(one["lost_count"] for one in rows) == failed["lost_count"]
    assert row["outputs"]["best_params"]["value"] == {"x": 11}


def test_target_stops_the_others(stack: Stack) -> None:
    space = {"x": up_to(400)}
    row = stack.wait(stack.submit(sweep("line", space, {"seconds": 0.02}, target=9)))
    rows = assert_whole(stack, row["id"])
    counts = summary(rows)
    assert row["reason"] == "target"
    assert 1 <= counts["succeeded"] < 200
    assert counts["succeeded"] + counts["canceled"] == len(rows) < 400
    assert row["outputs"]["best_value"]["value"] == row["value"] >= 9


def test_timeout_ends_with_the_best_so_far(stack: Stack) -> None:
    document = sweep("line", {"x": up_to(10_000)}, {"seconds": 0.02}, limits={"timeout": 1.5})
    row = stack.wait(stack.submit(document))
    rows = assert_whole(stack, row["id"])
    best = max(one["value"] for one in rows if one["state"] == "succeeded")
    assert row["reason"] == "timeout"
    assert row["outputs"]["best_value"]["value"] == best


def test_timeout_before_any_trial_has_ended(stack: Stack) -> None:
    document = sweep("fussy", {"x": choice(1)}, {"bad": "hang", "at": 1}, limits={"timeout": 1})
    row = stack.wait(stack.submit(document), "failed")
    assert row["error"]["code"] == "no_successful_trial"
    assert_whole(stack, row["id"], count=1)


def test_nested_choices_pass_on_what_belongs_together(stack: Stack) -> None:
    space = {
        "model": choice(
            {"kind": "tree", "depth": choice(2, 3)},
            {"kind": "line", "rate": {"type": "quniform", "min_value": 1, "max_value": 4, "q": 1}},
        )
    }
    row = stack.wait(stack.submit(sweep("kind", space)))
    rows = assert_whole(stack, row["id"], count=6)
    assert summary(rows) == {"succeeded": 6}
    assert row["outputs"]["best_params"]["value"] == {"kind": "line", "rate": 4}


def test_bayesian_with_early_termination_prunes(stack: Stack) -> None:
    space = {"x": {"type": "uniform", "min_value": 0, "max_value": 1}}
    row = stack.wait(
        stack.submit(
            sweep(
                "climb",
                space,
                sampling_algorithm={"type": "bayesian", "seed": 3},
                early_termination={"type": "median_stopping", "delay_evaluation": 2},
                limits={"max_total_trials": 40},
            )
        )
    )
    rows = assert_whole(stack, row["id"], count=40)
    counts = summary(rows)
    assert counts["canceled/pruned"] >= 4
    assert counts["succeeded"] + counts["canceled/pruned"] == 40
    assert row["outputs"]["best_value"]["value"] >= 0.9


LOGS = "import mlq; mlq.log_metric('score', ${{inputs.x}})"


def test_grid_over_a_command(stack: Stack) -> None:
    row = stack.wait(stack.submit(command_sweep(LOGS, {"x": up_to(4)})))
    assert summary(assert_whole(stack, row["id"], count=4)) == {"succeeded": 4}
    assert row["outputs"]["best_params"]["value"] == {"x": 3}
    assert row["value"] == 3


@pytest.mark.parametrize(
    ("script", "reason", "code"),
    [
        ("print(1)", "error", "metric_missing"),
        ("import mlq; mlq.log_metric('score', float('nan'))", "error", "metric_nan"),
        ("raise SystemExit(3)", "error", "error"),
        ("import ctypes; ctypes.string_at(0)", "error", "error"),
        ("import time; time.sleep(600)", "timeout", "timeout"),
    ],
    ids=["silent", "nan", "exit", "crash", "hang"],
)
def test_one_bad_command(stack: Stack, script: str, reason: str, code: str) -> None:
    script = f"x = ${{{{inputs.x}}}}\nif x != 1: {LOGS}\nelse: {script}"
    document = command_sweep(script, {"x": up_to(3)}, limits={"trial_timeout": 3})
    row = stack.wait(stack.submit(document))
    rows = assert_whole(stack, row["id"], count=3)
    assert summary(rows) == {"succeeded": 2, f"failed/{reason}": 1}
    assert rows[1]["state"] == "failed"
    assert rows[1]["error"]["code"] == code
    assert rows[1]["params"] == {"x": 1}
    assert row["outputs"]["best_params"]["value"] == {"x": 2}


def test_commands_are_pruned_by_what_they_log(stack: Stack) -> None:
    script = (
        "import mlq, time\n"
        "for step in range(1, 30):\n"
        "    mlq.log_metric('score', ${{inputs.x}} * step, step=step); time.sleep(0.1)\n"
    )
    document = command_sweep(
        script,
        {"x": choice(9, 8, 1, 2)},
        early_termination={"type": "bandit", "slack_amount": 5, "delay_evaluation": 2},
    )
    row = stack.wait(stack.submit(document))
    rows = assert_whole(stack, row["id"], count=4)
    assert [one["reason"] for one in rows[2:]] == ["pruned", "pruned"]
    assert row["outputs"]["best_params"]["value"] == {"x": 9}
    assert all(len(metrics(stack, one["id"])) < 29 for one in rows[2:]), "they were left to run"


def test_what_no_trial_can_run_with_fails_the_sweep(stack: Stack) -> None:
    row = stack.wait(stack.submit(sweep("bowel", {"x": up_to(50)})), "failed")
    assert row["error"]["code"] == "unknown_function"
    assert "Did you mean 'objectives:bowl'?" in row["error"]["hint"]
    stack.assert_sound()


def test_a_trial_of_a_sampler_that_learns_keeps_its_parameters_when_it_hangs(stack: Stack) -> None:
    document = sweep(
        "fussy",
        {"x": up_to(6)},
        {"bad": "hang", "at": 4},
        sampling_algorithm={"type": "bayesian", "seed": 1},
        limits={"max_total_trials": 6, "max_concurrent_trials": 1, "trial_timeout": 1},
    )
    row = stack.wait(stack.submit(document))
    rows = assert_whole(stack, row["id"], count=6)
    assert summary(rows) == {"succeeded": 5, "failed/timeout": 1}
    assert sorted(one["params"]["x"] for one in rows) == list(range(6))


def test_a_command_reports_each_value_once(stack: Stack) -> None:
    script = "import mlq\nfor s in (1, 2): mlq.log_metric('score', ${{inputs.x}} * s, step=s)"
    row = stack.wait(stack.submit(command_sweep(script, {"x": choice(4)})))
    (trial,) = assert_whole(stack, row["id"], count=1)
    assert trial["value"] == 8
    assert metrics(stack, trial["id"]) == [("score", 1, 4.0), ("score", 2, 8.0)]


def test_trials_leave_nothing_on_the_disk(stack: Stack) -> None:
    script = (
        "import mlq, pathlib\n"
        "left = pathlib.Path.cwd().parents[1].glob('*/*/big')\n"
        "mlq.log_metric('score', len(list(left)))\n"
        "pathlib.Path('big').write_text('x' * 9)"
    )
    document = command_sweep(script, {"x": up_to(4)}, limits={"max_concurrent_trials": 1})
    row = stack.wait(stack.submit(document))
    rows = assert_whole(stack, row["id"], count=4)
    assert {one["value"] for one in rows} == {0}


X = {"x": up_to(3)}


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"search_space": {}}, "search_space", "is empty"),
        ({"search_space": {"x": {"type": "randint", "upper": 0}}}, "search_space.x.upper", "1"),
        ({"search_space": {"x": {"type": "uniform", "min_value": 3, "max_value": 1}}},
         "search_space.x.min_value", "greater than max_value"),
        ({"search_space": {"x": {"type": "unifrom", "min_value": 0, "max_value": 1}}},
         "search_space.x.type", "no distribution 'unifrom'"),
        ({"search_space": {"x": up_to(10**9)}}, "search_space", "1,000,000,000 points"),
        ({"objective": {**OBJECTIVE, "goal": "maximise"}}, "objective.goal", "maximize"),
        ({"objective": {**OBJECTIVE, "target": "high"}}, "objective.target", "number"),
        ({"limits": {"max_total_trials": -1}}, "limits.max_total_trials", "at least 1"),
        ({"limits": {"trial_timeout": 0}}, "limits.trial_timeout", "greater than 0"),
        ({"early_termination": {"type": "bandit"}}, "early_termination", "slack_factor"),
        ({"trial": "mlq:cal"}, "trial", "no component"),
        ({"sampling_algorithm": "simulated_annealing"}, "sampling_algorithm", "bayesian"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)  # fmt: skip
def test_the_api_says_which_key_is_wrong(
    api: Stack, changes: dict[str, Any], key: str, words: str
) -> None:
    assert api.api is not None
    document = json.dumps({**sweep("line", X), **changes})
    answer = api.api.post(
        "/v1/jobs", content=document, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    problems = {one["path"]: one["message"] for one in answer.json()["problems"]}
    assert words in problems[key], problems


@pytest.fixture(scope="module")
def api(open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack() as stack:
        stack.start_api()
        yield stack


def test_numbers_that_are_none_are_shown(api: Stack) -> None:
    with importable():
        worker = api.worker(slots=1)
    for bad in ("nan", "endless"):
        job = api.submit(sweep("fussy", X, {"bad": bad, "at": 1}))
        api.wait(job)
        shown = api.api_get(f"/v1/jobs/{job}/children", limit=200)["items"]
        (trial,) = (one for one in shown if one["error"])
        assert trial["error"]["code"] == "metric_nan"
        assert api.api_get(f"/v1/jobs/{trial['id']}/metrics") is not None
    assert worker.stop() == 0
