"""Environments by registered name and version, over HTTP, on a database of each kind."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

CHURN = {
    "name": "churn",
    "image": "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest",
    "conda_file": {"dependencies": ["python=3.11", {"pip": ["numpy>=1"]}]},
}


def register(client: httpx.Client, document: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/v1/environments", json=document)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


def plan(client: httpx.Client, environment: str) -> httpx.Response:
    job = {"command": "true", "environment": environment}
    return client.post("/v1/jobs", params={"dry_run": True}, json=job)


def test_versions_by_content(client: httpx.Client) -> None:
    made = client.post("/v1/environments", json=CHURN)
    assert made.status_code == 201
    assert made.json()["id"] == "mlq:churn:1"
    assert made.json()["requirements"] == ["numpy>=1"]
    assert "image is kept" in made.json()["warnings"][0]
    assert client.post("/v1/environments", json={**CHURN, "$schema": "x"}).status_code == 200
    assert register(client, {**CHURN, "description": "more"})["version"] == "2"
    assert register(client, {**CHURN, "version": "2026.1"})["version"] == "2026.1"
    versions = client.get("/v1/environments/churn/versions").json()["items"]
    assert [one["version"] for one in versions] == ["2026.1", "2", "1"]
    shown = client.get("/v1/environments/churn", params={"version": "1"}).json()
    assert shown["definition"] == CHURN
    assert client.get("/v1/environments").json()["items"][0]["version"] == "2026.1"
    changed = client.post("/v1/environments", json={**CHURN, "version": "2", "image": "other"})
    assert changed.status_code == 409


def test_jobs_name_them(client: httpx.Client) -> None:
    register(client, {"name": "named", "requirements": ["numpy"]})
    job = {"command": "true", "environment": "azureml:named@latest"}
    made = client.post("/v1/jobs", json=job)
    assert made.status_code == 201, made.text
    assert plan(client, "mlq:named:1").json()["warnings"] == []
    register(client, {"name": "named", "requirements": ["numpy", "scipy"]})
    assert plan(client, "azureml:named@latest").status_code == 200
    missing = plan(client, "azureml:named:7")
    assert missing.status_code == 422
    assert "There is no environment 'named:7'" in missing.text


@pytest.mark.parametrize(
    "environment",
    [
        "azureml:AzureML-sklearn-1.5@latest",
        "azureml://registries/azureml/environments/sklearn-1.5/labels/latest",
        "azureml://registries/azureml/environments/sklearn-1.5/versions/21",
    ],
)
def test_of_azures_own_the_workers_stands_in(client: httpx.Client, environment: str) -> None:
    job = client.post("/v1/jobs", json={"command": "true", "environment": environment})
    assert job.status_code == 201, job.text
    events = client.get(f"/v1/jobs/{job.json()['id']}/events").json()["items"]
    (warning,) = events[0]["detail"]["warnings"]
    assert "one of Azure's" in warning


def test_one_of_azures_names_can_be_registered(client: httpx.Client) -> None:
    name = "azureml://registries/azureml/environments/acpt-2/labels/latest"
    assert plan(client, name).json()["warnings"]
    register(client, {"name": "acpt-2", "requirements": ["numpy"]})
    assert plan(client, name).json()["warnings"] == []


def test_components_keep_the_version_they_were_registered_with(client: httpx.Client) -> None:
    register(client, {"name": "pinned", "requirements": ["numpy"]})
    component = {
        "type": "command",
        "name": "uses_pinned",
        "command": "true",
        "environment": "azureml:pinned@latest",
    }
    made = client.post("/v1/components", json=component)
    assert made.status_code == 201, made.text
    assert made.json()["definition"]["environment"] == "mlq:pinned:1"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"requirements": ["numpy"]}, "has no name"),
        ({"name": "x"}, "Nothing is said of what is in this environment"),
        ({"name": "x", "imagge": "y"}, "Unknown key"),
        ({"name": "x", "image": 3}, "must be text"),
        ({"name": "x", "conda_file": "./conda.yml"}, "a file on your machine"),
        ({"name": "x", "requirements": ["no way!"]}, "is no requirement"),
        ({"name": "x", "version": "latest", "image": "y"}, "cannot be a version"),
    ],
)
def test_what_is_refused(client: httpx.Client, document: dict[str, Any], words: str) -> None:
    answer = client.post("/v1/environments", json=document)
    assert answer.status_code in (400, 422)
    assert words in answer.text


def test_names_that_are_none(client: httpx.Client) -> None:
    assert "names no environment" in plan(client, "python:3.11 ").text
    assert "Did you mean 'azureml:churn@latest'" in plan(client, "azureml:churn").text
    assert "a file on your machine" in plan(client, "./env.yml").text


def test_projects_keep_their_own(client: httpx.Client) -> None:
    for project in ("pears", "figs"):
        assert client.post("/v1/projects", json={"name": project}).status_code in (200, 201)
    pears, figs = ({"mlq-project": project} for project in ("pears", "figs"))
    theirs = {"name": "theirs", "requirements": ["numpy"]}
    made = client.post("/v1/environments", json=theirs, headers=pears)
    assert made.status_code == 201, made.text
    job = {"command": "true", "environment": "azureml:theirs:1"}
    assert client.post("/v1/jobs", json=job, headers=pears).status_code == 201
    assert client.post("/v1/jobs", json=job, headers=figs).status_code == 422
    assert client.get("/v1/environments/theirs", headers=figs).status_code == 404
    assert client.post("/v1/environments", json=theirs, headers=figs).status_code == 409
    assert client.get("/v1/environments", headers=figs).json()["items"] == []
