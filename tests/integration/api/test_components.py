"""Components by registered name and version, over HTTP, on a database of each kind."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.api.conftest import Api

SORT = {
    "type": "command",
    "name": "sort_lines",
    "inputs": {"text": {"type": "string"}},
    "outputs": {"sorted": {"type": "uri_file"}},
    "command": "echo ${{inputs.text}} | sort > ${{outputs.sorted}}",
}
TWICE = {
    "type": "pipeline",
    "name": "twice",
    "inputs": {"text": {"type": "string"}},
    "outputs": {"sorted": {"type": "uri_file"}},
    "jobs": {
        "sort": {
            "component": "azureml:sort_lines@latest",
            "inputs": {"text": "${{parent.inputs.text}}"},
            "outputs": {"sorted": "${{parent.outputs.sorted}}"},
        }
    },
}


def register(client: httpx.Client, document: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/v1/components", json=document)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


def plan(client: httpx.Client, component: str) -> httpx.Response:
    job = {"jobs": {"a": {"component": component, "inputs": {"text": "fig"}}}}
    return client.post("/v1/jobs", params={"dry_run": True}, json=job)


def test_versions_by_content(client: httpx.Client) -> None:
    made = client.post("/v1/components", json=SORT)
    assert made.status_code == 201
    assert made.json()["id"] == "mlq:sort_lines:1"
    assert made.json()["inputs"]["text"]["type"] == "string"
    assert made.headers["location"] == "/v1/components/sort_lines?version=1"
    again = client.post("/v1/components", json={**SORT, "$schema": "x"})
    assert (again.status_code, again.json()["id"]) == (200, "mlq:sort_lines:1")
    assert register(client, {**SORT, "description": "Sorts."})["id"] == "mlq:sort_lines:2"
    versions = client.get("/v1/components/sort_lines/versions").json()["items"]
    assert [one["version"] for one in versions] == ["2", "1"]
    shown = client.get("/v1/components/azureml:sort_lines:1").json()
    assert shown["definition"]["command"] == SORT["command"]
    assert client.get("/v1/components/sort_lines").json()["version"] == "2"
    items = client.get("/v1/components").json()["items"]
    assert items[-1]["id"] == "mlq:sort_lines:2"
    assert "mlq:train" in {item["id"] for item in items}


def test_a_version_of_the_file_stays_what_it_is(client: httpx.Client) -> None:
    assert register(client, {**SORT, "version": "1.2.0"})["id"] == "mlq:sort_lines:1.2.0"
    assert register(client, {**SORT, "version": "1.2.0"})["id"] == "mlq:sort_lines:1.2.0"
    answer = client.post("/v1/components", json={**SORT, "version": "1.2.0", "command": "true"})
    assert answer.status_code == 409
    assert "says something else" in answer.json()["detail"]
    # a number that a file has taken is not given again
    register(client, {**SORT, "version": "3", "description": "three"})
    assert register(client, {**SORT, "description": "next"})["version"] == "4"


def test_jobs_name_them(client: httpx.Client) -> None:
    register(client, SORT)
    for reference in ("azureml:sort_lines:1", "mlq:sort_lines@latest", "mlq:sort_lines"):
        assert plan(client, reference).status_code == 200
    refused = plan(client, "azureml:sort_lines:7")
    assert refused.status_code == 422
    assert "There is no component" in refused.text
    job = {
        "jobs": {"a": {"component": "azureml:sort_lines@latest", "inputs": {"text": "fig"}}},
    }
    first = client.post("/v1/jobs", json=job)
    assert first.status_code == 201, first.text
    # the same file again: `latest` is another version by now, with another input
    register(client, {**SORT, "inputs": {"words": {"type": "string"}}, "command": "true"})
    second = client.post("/v1/jobs", json=job)
    assert second.status_code == 422
    assert "has no input 'text'" in second.text


def test_what_a_component_names_is_pinned(client: httpx.Client) -> None:
    register(client, SORT)
    made = register(client, TWICE)
    assert made["definition"]["jobs"]["sort"]["component"] == "mlq:sort_lines:1"
    register(client, {**SORT, "inputs": {}, "command": "true"})
    answer = plan(client, "mlq:twice@latest")
    assert answer.status_code == 200, answer.text
    assert [job["path"] for job in answer.json()["jobs"]] == ["", "a", "a.sort"]


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        ({**SORT, "name": "train"}, 422, "a component of mlq itself"),
        ({**SORT, "name": "a b"}, 422, "cannot be the name of a component"),
        ({key: SORT[key] for key in SORT if key != "name"}, 422, "has no name"),
        ({**SORT, "version": "latest"}, 422, "cannot be a version"),
        ({**SORT, "command": "run ${{inputs.nothing}}"}, 422, "there is no such input"),
        ({**TWICE, "name": "lonely"}, 422, "There is no component"),
        ({**SORT, "code": "./src"}, 422, "a folder on your machine"),
    ],
)
def test_what_is_refused(
    client: httpx.Client, document: dict[str, Any], status: int, words: str
) -> None:
    answer = client.post("/v1/components", json=document)
    assert answer.status_code == status
    assert words in answer.text


def test_projects_keep_their_own(api: Api, client: httpx.Client) -> None:
    for project in ("pears", "figs"):
        assert client.post("/v1/projects", json={"name": project}).status_code in (200, 201)
    pears, figs = ({"mlq-project": project} for project in ("pears", "figs"))
    made = client.post("/v1/components", json=SORT, headers=pears)
    assert made.status_code == 201, made.text
    job = {"jobs": {"a": {"component": "mlq:sort_lines:1", "inputs": {"text": "fig"}}}}
    assert client.post("/v1/jobs", json=job, headers=pears).status_code == 201
    assert client.post("/v1/jobs", json=job, headers=figs).status_code == 422
    assert client.get("/v1/components/sort_lines", headers=figs).status_code == 404
    assert client.get("/v1/components/train", headers=figs).status_code == 200
    assert client.post("/v1/components", json=SORT, headers=figs).status_code == 409
    listed = client.get("/v1/components", headers=figs).json()["items"]
    assert "mlq:sort_lines" not in {item["name"] for item in listed}
