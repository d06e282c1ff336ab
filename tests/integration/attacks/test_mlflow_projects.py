"""MLflow's API with tokens of projects: what they make and see is their project's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from mlq_api.mlflow import files, registry, tracking
from tests.integration.attacks.conftest import Api, bearer, submit_job
from tests.integration.attacks.test_projects import Team, database_url, teams

__all__ = ["database_url", "teams"]

BASE = "/mlflow/api/2.0"


def call(client: httpx.Client, method: str, path: str, **values: Any) -> dict[str, Any]:
    """An answer that must be good."""
    how: dict[str, Any] = {"params" if method == "GET" else "json": values}
    answer = client.request(method, f"{BASE}/mlflow/{path}", **how)
    assert answer.status_code == 200, (path, answer.text)
    return dict(answer.json())


class Records:
    """What a team has in MLflow's words; "hush" is in whatever nobody else may read."""

    def __init__(self, team: Team) -> None:
        self.client = client = team.client
        self.experiment = call(client, "POST", "experiments/create", name="trees")["experiment_id"]
        tag = {"key": "note", "value": "hush"}
        call(client, "POST", "experiments/set-experiment-tag", experiment_id=self.experiment, **tag)
        made = call(
            client,
            "POST",
            "runs/create",
            experiment_id=self.experiment,
            run_name="hush-run",
            tags=[tag],
        )
        self.run = made["run"]["info"]["run_id"]
        call(client, "POST", "runs/log-parameter", run_id=self.run, key="lr", value="hush")
        call(client, "POST", "runs/log-metric", run_id=self.run, key="loss", value=1, timestamp=1)
        logged = call(
            client,
            "POST",
            "logged-models",
            experiment_id=self.experiment,
            source_run_id=self.run,
            name="hush-model",
        )
        self.model = logged["model"]["info"]["model_id"]
        self.file = f"{self.experiment}/{self.run}/artifacts/m/MLmodel"
        self.model_file = f"{self.experiment}/models/{self.model}/artifacts/MLmodel"
        for address in (self.file, self.model_file):
            answer = client.put(f"{BASE}/mlflow-artifacts/artifacts/{address}", content=b"hush: 1")
            assert answer.status_code == 200, answer.text
        call(client, "POST", "registered-models/create", name="pine", description="hush")
        call(
            client,
            "POST",
            "model-versions/create",
            name="pine",
            source=f"runs:/{self.run}/m",
            run_id=self.run,
            description="hush",
        )
        call(
            client, "POST", "registered-models/alias", name="pine", alias="production", version="1"
        )

    def dump(self) -> list[Any]:
        """All of it, as the team sees it."""
        client = self.client
        searched = {"experiment_ids": [self.experiment]}
        return [
            call(client, "GET", "experiments/get", experiment_id=self.experiment),
            call(client, "POST", "runs/search", **searched),
            call(client, "POST", "logged-models/search", **searched),
            call(client, "GET", "registered-models/search"),
            call(client, "GET", "model-versions/search"),
            client.get(f"{BASE}/mlflow-artifacts/artifacts/{self.file}").text,
            client.get(f"{BASE}/mlflow-artifacts/artifacts/{self.model_file}").text,
        ]


@pytest.fixture
def red(teams: tuple[Team, Team]) -> Records:
    """Those whose records they are."""
    return Records(teams[0])


@pytest.fixture
def blue(teams: tuple[Team, Team]) -> httpx.Client:
    """Those who want them."""
    return teams[1].client


def _addresses(red: Records) -> Iterator[tuple[str, str]]:
    for route in [one for part in (tracking, files, registry) for one in part.router.routes]:
        assert isinstance(route, APIRoute)
        path = f"{BASE}{route.path}".replace("{model_id}", red.model)
        for method in sorted(route.methods):
            if "{address:path}" in path:
                for address in (red.file, red.model_file, "versions/pine/1/MLmodel"):
                    yield method, path.replace("{address:path}", address)
            else:
                yield method, path


def test_no_route_reads_or_changes_what_another_project_has(
    red: Records, blue: httpx.Client
) -> None:
    before = red.dump()
    assert str(before).count("hush") > 8
    metric = {"key": "loss", "value": 9, "timestamp": 9, "step": 9, "model_id": red.model}
    said = {
        "run_id": red.run,
        "run_uuid": red.run,
        "experiment_id": red.experiment,
        "experiment_ids": [red.experiment, "0", "1", "2"],
        "experiment_name": "trees",
        "name": "pine",
        "new_name": "stolen",
        "version": "1",
        "alias": "production",
        "key": "note",
        "value": "stolen",
        "metric_key": "loss",
        "path": red.file.rpartition("/")[0],
        "source": f"runs:/{red.run}/m",
        "source_run_id": red.run,
        "model_id": red.model,
        "status": "FAILED",
        "description": "stolen",
        "metrics": [metric],
        "models": [{"model_id": red.model}],
        "model_json": "{}",
        "view_type": "ALL",
        "run_view_type": "ALL",
        "tags": [{"key": "note", "value": "stolen"}],
        "params": [{"key": "new", "value": "stolen"}],
    }
    tried = 0
    for method, path in _addresses(red):
        tried += 1
        if method in {"GET", "HEAD"}:
            answer = blue.request(method, path, params=said)
        else:
            answer = blue.request(method, path, json=said)
        assert answer.status_code < 500, (method, path, answer.text)
        assert "hush" not in answer.text, (method, path, answer.text)
        # Searches find nothing of it, and names of experiments are a project's own.
        is_theirs = path.endswith(("/search", "/experiments/create", "/experiments/get-by-name"))
        assert answer.status_code >= 400 or is_theirs, (method, path, answer.text)
        assert answer.status_code >= 400 or red.run not in answer.text, path
    assert tried > 50
    assert red.dump() == before


def test_a_run_of_another_project_is_not_registered(red: Records, blue: httpx.Client) -> None:
    call(blue, "POST", "registered-models/create", name="oak")
    for source in (
        f"runs:/{red.run}/m",
        f"mlflow-artifacts:/{red.file.rpartition('/')[0]}",
        f"models:/{red.model}",
        "mlflow-artifacts:/versions/pine/1",
    ):
        answer = blue.post(
            f"{BASE}/mlflow/model-versions/create", json={"name": "oak", "source": source}
        )
        assert answer.status_code in {400, 404}, (source, answer.text)
    taken = blue.post(f"{BASE}/mlflow/registered-models/create", json={"name": "pine"})
    assert taken.status_code == 400
    assert "taken" in taken.json()["message"]


def test_each_project_has_experiments_of_its_own(
    api: Api, red: Records, blue: httpx.Client
) -> None:
    mine = call(blue, "POST", "experiments/create", name="trees")["experiment_id"]
    assert mine != red.experiment
    run = call(blue, "POST", "runs/create", experiment_id="0")["run"]["info"]
    default = call(blue, "GET", "experiments/get", experiment_id="0")["experiment"]
    assert default["name"] == "Default"
    assert run["experiment_id"] == default["experiment_id"] != "0"
    found = call(blue, "POST", "runs/search", experiment_ids=["0"])["runs"]
    assert [one["info"]["run_id"] for one in found] == [run["run_id"]]
    listed = call(blue, "POST", "experiments/search")["experiments"]
    assert {one["experiment_id"] for one in listed} == {mine, default["experiment_id"]}
    everybody = api.as_role("submitter")
    assert call(everybody, "POST", "runs/search", experiment_ids=["0"]) == {"runs": []}
    seen = call(everybody, "POST", "experiments/search")["experiments"]
    of_project = {one["experiment_id"]: one["tags"] for one in seen if one["name"] == "trees"}
    assert of_project.keys() == {mine, red.experiment}
    assert {"key": "mlq.project", "value": "blue"} in of_project[mine]


def test_jobs_are_runs_of_their_projects_experiments(
    teams: tuple[Team, Team], blue: httpx.Client
) -> None:
    document = {"type": "command", "command": "true", "experiment_name": "shared-label"}
    jobs = [team.client.post("/v1/jobs", json=document).json()["id"] for team in teams]
    for team, job, other in zip(teams, jobs, reversed(jobs), strict=True):
        named = call(team.client, "GET", "experiments/get-by-name", experiment_name="shared-label")[
            "experiment"
        ]
        found = call(team.client, "POST", "runs/search", experiment_ids=[named["experiment_id"]])
        assert [one["info"]["run_id"] for one in found["runs"]] == [job]
        answer = team.client.get(f"{BASE}/mlflow/runs/get", params={"run_id": other})
        assert answer.status_code == 404


def test_code_inside_a_job_stays_in_the_jobs_project(
    api: Api, red: Records, teams: tuple[Team, Team]
) -> None:
    job = submit_job(api, teams[1].client)
    with httpx.Client(base_url=api.url, headers=bearer(job.begin())) as code:
        answer = code.post(f"{BASE}/mlflow/runs/create", json={"experiment_id": red.experiment})
        assert answer.status_code == 404, answer.text
        made = call(code, "POST", "runs/create", experiment_id="0")["run"]["info"]
    seen = call(teams[1].client, "GET", "runs/get", run_id=made["run_id"])
    assert seen["run"]["info"]["experiment_id"] == made["experiment_id"]
    answer = red.client.get(f"{BASE}/mlflow/runs/get", params={"run_id": made["run_id"]})
    assert answer.status_code == 404
