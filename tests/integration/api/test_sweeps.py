"""Sweeps over HTTP: reading trials, and steering, without any worker but the test."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlq.db.reports import MetricValue
from mlq.db.transitions import Trial, TrialOutcome
from mlq.lifecycle import Reason, State
from mlq.service import execution
from mlq.service import sweeps as service
from mlq.service.capacity import Windows
from mlq.service.execution import Attempt, Report, SpecCache
from mlq.service.sweeps import Finished, Wanted
from mlq.sweeps.objective import Objective
from mlq.testing import invariants
from tests.integration.api.conftest import Api

SWEEP: dict[str, Any] = {
    "type": "sweep",
    "display_name": "tune",
    "trial": {"command": "fit ${{search_space.lr}} ${{search_space.depth}}"},
    "search_space": {
        "lr": {"type": "uniform", "min_value": 0, "max_value": 1},
        "depth": {"type": "choice", "values": [1, 2, 3]},
    },
    "sampling_algorithm": {"type": "random", "seed": 7},
    "objective": {"primary_metric": "r2", "goal": "maximize", "target": 2},
    "limits": {"max_total_trials": 40, "max_concurrent_trials": 2, "trial_timeout": 60},
}
WINDOWS = Windows(per_slot=8)


class Runner:
    """The first runner of a sweep, claimed, to run trials with outcomes of the test's choice."""

    def __init__(self, api: Api, sweep_id: str, *, count: int) -> None:
        self.api = api
        answer = api.as_role("admin").get(f"/v1/jobs/{sweep_id}/trials")
        assert answer.status_code == 200
        self.attempt = self._claim(sweep_id)
        given = self._advance([], count)
        assert given is not None
        self.moment = given.moment
        self.trials: list[Trial] = list(given.trials)

    def _claim(self, sweep_id: str) -> Attempt:
        with self.api.database.read() as conn:
            runner = conn.exec_driver_sql(
                "SELECT id FROM jobs WHERE role = 'runner' ORDER BY id"
            ).scalars()
            found = [str(one).replace("-", "") for one in runner]
        attempt = self.api.database.transact_single(
            execution.begin, found[0], worker="w1", lease_s=30, spec_cache=SpecCache()
        )
        assert attempt is not None
        assert attempt.claim.parent_id == sweep_id
        return attempt

    def _advance(self, finished: list[Finished], count: int) -> service.Assignment | None:
        return self.api.database.transact(
            service.advance,
            self.attempt.claim,
            finished=finished,
            wanted=Wanted(count, slice_is_over=False, size=None),
            objective=Objective("r2", "maximize", 2),
            limits=self.attempt.spec["sweep"]["limits"],
            worker="w1",
            windows=WINDOWS,
        )

    def finish(self, *ends: float | str) -> None:
        """End the first trials: a number is a value, a word what became of them."""
        finished = []
        for end in ends:
            trial = self.trials.pop(0)
            state, more = State.SUCCEEDED, {}
            if end == "failed":
                state = State.FAILED
                more = {"reason": Reason.ERROR, "error": {"code": "boom", "message": "Boom."}}
            elif end == "pruned":
                state, more = State.CANCELED, {"reason": Reason.PRUNED}
            began = self.moment + timedelta(seconds=trial.number)
            value = end if isinstance(end, float) else None
            outcome = TrialOutcome(
                trial,
                state,
                {"lr": trial.number / 10, "depth": trial.number % 3 + 1},
                started_at=began,
                finished_at=began + timedelta(seconds=0.5),
                value=value,
                **more,
            )
            metrics = [] if value is None else [
                MetricValue("r2", value / 2, 1), MetricValue("r2", value, 2),
                MetricValue("loss", 1 - value, 2),
            ]  # fmt: skip
            finished.append(Finished(outcome, metrics))
        self._advance(finished, 0)

    def end(self) -> None:
        """Hand the slot back."""
        self.api.database.transact(execution.release, self.attempt, said=Report(), windows=WINDOWS)


@pytest.fixture
def sweep(client: httpx.Client) -> str:
    answer = client.post("/v1/jobs", json=SWEEP)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.fixture
def runner(api: Api, sweep: str) -> Runner:
    """Of nine trials: five values (two the same), two failed, one pruned, one under way."""
    runner = Runner(api, sweep, count=9)
    runner.finish(0.5, "failed", 0.25, 0.75, "pruned", 0.75, "failed", 0.6)
    return runner


@pytest.fixture(autouse=True)
def _all_is_well(api: Api) -> Any:
    yield
    with api.database.read() as conn:
        assert invariants.check(conn) == []


def test_a_sweep_is_shown_with_a_summary_in_place_of_its_trials(
    client: httpx.Client, sweep: str, runner: Runner
) -> None:
    job = client.get(f"/v1/jobs/{sweep}", params={"depth": 3}).json()
    assert "children" not in job
    assert job["sweep"] == {
        "objective": {"primary_metric": "r2", "goal": "maximize", "target": 2.0},
        "sampling": {"type": "random", "rule": "random", "seed": 7},
        "early_termination": None,
        "limits": {
            "max_total_trials": 40,
            "max_concurrent_trials": 2,
            "timeout": None,
            "trial_timeout": 60,
        },
        "total": 40,
        "counts": {
            "queued": 1, "running": 0, "succeeded": 5, "failed": 2, "pruned": 1, "canceled": 0,
        },
        "best": {
            "number": 3,
            "id": job["sweep"]["best"]["id"],
            "value": 0.75,
            "params": {"lr": 0.3, "depth": 1},
        },
        "paused_at": None,
    }  # fmt: skip
    assert client.get(f"/v1/jobs/{job['sweep']['best']['id']}").json()["name"] == "3"


def test_the_answer_to_a_submission_has_the_summary_too(client: httpx.Client) -> None:
    jobs = {"tune": SWEEP, "grid": {**SWEEP, "sampling_algorithm": "grid"}}
    jobs["grid"] |= {
        "search_space": {n: {"type": "choice", "values": [1, 2]} for n in ("lr", "depth")}
    }
    jobs["grid"]["limits"] = {}
    made = client.post("/v1/jobs", json={"type": "pipeline", "jobs": jobs}).json()
    shown = client.get(f"/v1/jobs/{made['id']}").json()
    assert [step["name"] for step in made["children"]] == ["tune", "grid"]
    assert [step["sweep"] for step in made["children"]] == [
        step["sweep"] for step in shown["children"]
    ]
    assert [step["sweep"]["total"] for step in made["children"]] == [40, 4]


def test_what_only_a_sweep_knows_is_shown_nowhere(
    client: httpx.Client, sweep: str, runner: Runner
) -> None:
    children = client.get(f"/v1/jobs/{sweep}/children").json()["items"]
    assert [child["name"] for child in children] == [str(number) for number in range(9)]
    assert children[0]["params"] == {"lr": 0.0, "depth": 1}
    assert children[8]["waiting_for"] is None
    everything = client.get("/v1/jobs", params={"parent": "any"}).json()["items"]
    assert {job["name"] for job in everything} == {"", *(str(number) for number in range(9))}
    known = {job["id"] for job in everything}
    events = client.get(f"/v1/jobs/{sweep}/events").json()["items"]
    assert {event["job_id"] for event in events} <= known


def test_events_of_one_step_are_those_of_its_trials(api: Api, client: httpx.Client) -> None:
    job = client.post("/v1/jobs", json={"type": "pipeline", "jobs": {"tune": SWEEP}}).json()
    tune = job["children"][0]["id"]
    Runner(api, tune, count=2).finish(0.5)
    events = client.get(f"/v1/jobs/{tune}/events").json()["items"]
    trial = client.get(f"/v1/jobs/{tune}/trials").json()["items"][0]["id"]
    assert {event["job_id"] for event in events} == {tune, trial}


def test_a_sweep_waits_for_what_its_runners_wait_for(
    api: Api, client: httpx.Client, sweep: str
) -> None:
    words = client.get(f"/v1/jobs/{sweep}").json()["waiting_for"]
    assert words == "no live worker serves compute cpu; start one with `mlq worker -Q cpu`"
    runner = Runner(api, sweep, count=1)
    assert client.get(f"/v1/jobs/{sweep}").json()["waiting_for"] is None
    runner.end()
    client.post(f"/v1/jobs/{sweep}/pause")
    assert client.get(f"/v1/jobs/{sweep}").json()["waiting_for"] == "paused"


def test_a_trial_has_its_parameters_value_and_times(
    client: httpx.Client, sweep: str, runner: Runner
) -> None:
    found = client.get(f"/v1/jobs/{sweep}/trials").json()["items"]
    best, failed, waits = found[3], found[1], found[8]
    assert best | {"id": "", "started_at": "", "finished_at": ""} == {
        "number": 3, "id": "", "state": "succeeded", "reason": None, "error": None,
        "params": {"lr": 0.3, "depth": 1}, "value": 0.75, "metrics": {"loss": 0.25, "r2": 0.75},
        "attempt": 1, "worker": "w1", "started_at": "", "finished_at": "", "duration_s": 0.5,
    }  # fmt: skip
    assert failed["error"] == {"code": "boom", "message": "Boom."}
    assert (waits["state"], waits["params"], waits["value"]) == ("queued", None, None)


@pytest.mark.parametrize(
    ("sort", "numbers"),
    [
        ("number", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("-number", [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ("value", [2, 0, 7, 3, 5, 1, 4, 6, 8]),
        ("-value", [3, 5, 7, 0, 2, 1, 4, 6, 8]),
        ("metric:loss", [3, 5, 7, 0, 2, 1, 4, 6, 8]),
        ("-metric:loss", [2, 0, 7, 3, 5, 1, 4, 6, 8]),
        ("metric:nothing", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_trials_are_paged_in_any_order(
    client: httpx.Client, sweep: str, runner: Runner, sort: str, numbers: list[int]
) -> None:
    seen: list[int] = []
    params: dict[str, Any] = {"sort": sort, "limit": 2}
    while True:
        page = client.get(f"/v1/jobs/{sweep}/trials", params=params).json()
        seen += [trial["number"] for trial in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == numbers


@pytest.mark.parametrize(
    ("state", "numbers"),
    [("succeeded", [0, 2, 3, 5, 7]), ("failed", [1, 6]), ("pruned", [4]), ("canceled", [])],
)
def test_trials_of_one_state(
    client: httpx.Client, sweep: str, runner: Runner, state: str, numbers: list[int]
) -> None:
    page = client.get(f"/v1/jobs/{sweep}/trials", params={"state": state}).json()
    assert [trial["number"] for trial in page["items"]] == numbers


@pytest.mark.parametrize(
    "params",
    [{"sort": "lr"}, {"sort": "metric:"}, {"cursor": "x"}, {"cursor": "1:nan"}, {"state": "ok"}],
)
def test_questions_that_make_no_sense(
    client: httpx.Client, sweep: str, params: dict[str, str]
) -> None:
    answer = client.get(f"/v1/jobs/{sweep}/trials", params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_the_curve_of_the_best_value_so_far(
    client: httpx.Client, sweep: str, runner: Runner
) -> None:
    curve = client.get(f"/v1/jobs/{sweep}/trials/best").json()
    assert [(point["number"], point["value"]) for point in curve["points"]] == [(0, 0.5), (3, 0.75)]
    assert curve["objective"]["primary_metric"] == "r2"


def test_the_importance_of_parameters(client: httpx.Client, sweep: str, runner: Runner) -> None:
    found = client.get(f"/v1/jobs/{sweep}/trials/importance").json()
    assert found["succeeded"] == 5
    assert found["importance"].keys() == {"lr", "depth"}
    assert math.isclose(sum(found["importance"].values()), 1)


def test_trials_as_a_table(client: httpx.Client, sweep: str, runner: Runner) -> None:
    answer = client.get(f"/v1/jobs/{sweep}/trials/export")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert f'filename="trials-{sweep[:16]}.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["number"] for row in rows] == [str(number) for number in range(9)]
    assert (rows[3]["value"], rows[3]["params.lr"], rows[4]["state"]) == ("0.75", "0.3", "pruned")


def test_trials_as_a_study(
    client: httpx.Client, sweep: str, runner: Runner, tmp_path: Path
) -> None:
    import optuna

    answer = client.get(f"/v1/jobs/{sweep}/trials/export", params={"format": "optuna"})
    assert answer.status_code == 200, answer.text
    file = tmp_path / "study.db"
    file.write_bytes(answer.content)
    study = optuna.load_study(study_name="tune", storage=f"sqlite:///{file}")
    assert len(study.trials) == 9
    assert (study.best_value, study.best_trial.user_attrs["number"]) == (0.75, 3)
    assert study.trials[3].intermediate_values == {1: 0.375, 2: 0.75}


def test_a_job_that_is_no_sweep_says_which_are(client: httpx.Client) -> None:
    job = client.post("/v1/jobs", json={"type": "pipeline", "jobs": {"tune": SWEEP}}).json()
    for path in ("/trials", "/trials/best", "/trials/export"):
        answer = client.get(f"/v1/jobs/{job['id']}{path}")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_a_sweep")
        assert f"tune ({job['children'][0]['id']})" in answer.json()["hint"]
    assert client.post(f"/v1/jobs/{job['id']}/pause").status_code == 409


def test_pausing_and_going_on(client: httpx.Client, sweep: str) -> None:
    path = f"/v1/jobs/{sweep}"
    paused = client.post(f"{path}/pause")
    assert paused.status_code == 200, paused.text
    assert paused.json()["sweep"]["paused_at"]
    assert client.post(f"{path}/resume").json()["sweep"]["paused_at"] is None
    assert client.post(f"{path}/resume").status_code == 409
    kinds = [event["kind"] for event in client.get(f"{path}/events").json()["items"]]
    assert kinds == ["job.submit", "job.start", "job.pause", "job.unpause"]


def test_limits_are_moved_and_the_act_is_kept(client: httpx.Client, sweep: str) -> None:
    path = f"/v1/jobs/{sweep}"
    change = {"max_total_trials": 80, "max_concurrent_trials": 3, "timeout": 600}
    limits = client.patch(f"{path}/limits", json=change).json()["sweep"]["limits"]
    assert limits == change | {"timeout": 600.0, "trial_timeout": 60}
    assert (
        client.patch(f"{path}/limits", json={"timeout": None}).json()["sweep"]["limits"]["timeout"]
        is None
    )
    event = client.get(f"{path}/events").json()["items"][-2]
    assert (event["kind"], event["actor"], event["detail"]) == (
        "job.set_limits", "admin", change,
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"max_total_trials": 0},
        {"max_concurrent_trials": 1.5},
        {"timeout": "soon"},
        {"timeout": 0},
        {"max_trials": 3},
        {"max_total_trials": 10**9},
    ],
)
def test_limits_that_make_no_sense(
    client: httpx.Client, sweep: str, change: dict[str, Any]
) -> None:
    answer = client.patch(f"/v1/jobs/{sweep}/limits", json=change)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_adding_points(client: httpx.Client, sweep: str, runner: Runner) -> None:
    path = f"/v1/jobs/{sweep}/trials"
    answer = client.post(path, json={"points": [{"lr": 3, "depth": 8}, {"lr": 4, "depth": 9}]})
    assert (answer.status_code, answer.json()) == (201, {"trials": [9, 10]})
    added = client.get(path, params={"sort": "-number"}).json()["items"][0]
    assert (added["state"], added["params"]) == ("queued", {"lr": 4, "depth": 9})
    assert client.get(f"/v1/jobs/{sweep}").json()["sweep"]["total"] == 42


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"points": [{"lr": 1, "dept": 1}]}', "Did you mean 'depth'?"),
        ('{"points": [{"lr": NaN, "depth": 1}]}', "not JSON"),
        ('{"points": []}', "points"),
        ('{"points": [3]}', "points.0"),
        (json.dumps({"points": [{"lr": 1, "depth": 1}] * 1001}), "at most 1000"),
    ],
)
def test_points_that_make_no_sense(client: httpx.Client, sweep: str, body: str, words: str) -> None:
    answer = client.post(f"/v1/jobs/{sweep}/trials", content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert words in answer.text


def test_looking_is_for_everybody_and_steering_is_not(api: Api, sweep: str) -> None:
    viewer = api.as_role("viewer")
    assert viewer.get(f"/v1/jobs/{sweep}/trials").status_code == 200
    assert viewer.post(f"/v1/jobs/{sweep}/pause").status_code == 403
    assert api.as_role("submitter").post(f"/v1/jobs/{sweep}/pause").status_code == 200
