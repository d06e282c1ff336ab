"""Batch endpoints over HTTP, on a database of each kind."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import yaml

from mlq.service import execution
from mlq.service.execution import Report
from tests.integration.api.conftest import Api
from tests.integration.db.queue import Queue

COMPONENT = {
    "type": "pipeline",
    "inputs": {
        "value": {"type": "string"},
        "times": {"type": "integer", "default": 1},
    },
    "outputs": {"result": {"type": "object"}},
    "jobs": {
        "work": {
            "component": "mlq:pass",
            "inputs": {
                "value": "${{parent.inputs.value}}",
                "times": "${{parent.inputs.times}}",
            },
            "outputs": {"value": "${{parent.outputs.result}}"},
        }
    },
}


def publish(client: httpx.Client, **component: Any) -> httpx.Response:
    client.put("/v1/batch-endpoints/work", json={"name": "work"})
    deployment = {
        "name": "blue",
        "type": "pipeline",
        "component": {**COMPONENT, **component},
        "settings": {"default_compute": "cpu", "continue_on_step_failure": False},
    }
    return client.put("/v1/batch-endpoints/work/deployments/blue", json=deployment)


def invoke(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v1/batch-endpoints/work/jobs", json=body)


def test_a_pipeline_is_published_invoked_and_its_result_found_by_the_endpoint(
    api: Api, client: httpx.Client
) -> None:
    made = publish(client)
    assert (made.status_code, made.json()["version"]) == (201, 1)
    endpoint = client.get("/v1/batch-endpoints/work").json()
    assert endpoint["default_deployment"] == "blue", "the first one is the default"
    assert set(endpoint["deployments"][0]["inputs"]) == {"value", "times"}

    job = invoke(client, inputs={"value": "x"})
    assert job.status_code == 201, job.text
    (step,) = job.json()["children"]
    assert job.json()["tags"]["mlq.batch_deployment"] == "blue:1"
    latest = "/v1/batch-endpoints/work/jobs/latest/outputs/result"
    assert client.get(latest).status_code == 404

    queue = Queue(api.database)
    attempt = queue.claim(step["id"])
    assert attempt is not None
    assert {name: one.value for name, one in attempt.inputs.items()} == {"value": "x", "times": 1}
    api.database.transact(
        execution.succeed,
        attempt,
        {"value": {"type": "object", "value": attempt.inputs["value"].value}},
        said=Report(),
        windows=queue.windows,
        refill=True,
    )
    (listed,) = client.get("/v1/batch-endpoints/work/jobs").json()["items"]
    assert (listed["job_id"], listed["state"], listed["version"]) == (
        job.json()["id"],
        "succeeded",
        1,
    )


def test_a_change_is_the_next_version_and_the_old_one_can_be_invoked(client: httpx.Client) -> None:
    publish(client)
    assert publish(client).status_code == 200, "the same is the same version"
    changed = {**COMPONENT["inputs"], "times": {"type": "integer", "default": 7}}  # type: ignore[dict-item]
    assert publish(client, inputs=changed).json()["version"] == 2
    for version, expected in ((None, 7), (1, 1), (2, 7)):
        job = invoke(client, inputs={"value": "x"}, version=version).json()
        assert job["inputs"]["times"]["value"] == expected, job["inputs"]
    answer = invoke(client, inputs={"value": "x"}, version=3)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_inputs_are_checked_before_a_job_is_made(client: httpx.Client) -> None:
    publish(client)
    answer = invoke(client, inputs={"valu": "x"})
    assert answer.status_code == 422
    problems = {problem["path"]: problem for problem in answer.json()["problems"]}
    assert problems["inputs.valu"]["suggestion"] == "value"
    assert "required" in problems["inputs.value"]["message"]
    assert invoke(client, inputs={"value": "x", "times": "often"}).status_code == 422
    assert client.get("/v1/jobs").json()["items"] == []


def test_the_default_moves_and_deployments_go(client: httpx.Client) -> None:
    publish(client)
    green = {"name": "green", "type": "pipeline", "component": COMPONENT}
    path = "/v1/batch-endpoints/work/deployments/green"
    assert client.put(path, json=green, params={"set_default": True}).status_code == 201
    assert client.get("/v1/batch-endpoints/work").json()["default_deployment"] == "green"
    assert client.delete(path).status_code == 409
    back = {"name": "work", "defaults": {"deployment_name": "blue"}}
    assert client.put("/v1/batch-endpoints/work", json=back).status_code == 200
    wrong = {"name": "work", "defaults": {"deployment_name": "bleu"}}
    assert "blue" in client.put("/v1/batch-endpoints/work", json=wrong).json()["hint"]
    assert client.delete(path).status_code == 204
    assert client.delete("/v1/batch-endpoints/work").status_code == 204
    assert client.get("/v1/batch-endpoints").json()["items"] == []


AZURE_MODEL = """\
$schema: https://azuremlschemas.azureedge.net/latest/modelBatchDeployment.schema.json
name: scoring
endpoint_name: work
type: model
model: models:/churn@production
compute: azureml:cpu
resources: {instance_count: 1}
settings: {mini_batch_size: 10, output_action: append_row}
"""


def test_a_model_is_a_deployment_too(client: httpx.Client) -> None:
    client.put("/v1/batch-endpoints/work", json={"name": "work"})
    made = client.put(
        "/v1/batch-endpoints/work/deployments/scoring",
        content=AZURE_MODEL,
        headers={"content-type": "application/yaml"},
    )
    assert made.status_code == 201, made.text
    assert made.json()["job"]["settings"] == {"default_compute": "azureml:cpu"}
    answer = invoke(client, inputs={"data": "mlq:rows@latest"})
    # neither the model nor the data is there
    assert answer.status_code == 422
    assert {"churn", "rows"} <= {
        word for word in ("churn", "rows") if word in yaml.safe_dump(answer.json())
    }


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"name": "x", "type": "model"}, "model"),
        ({"name": "x", "type": "pipeline", "component": "./p.yml"}, "component"),
        ({"name": "x", "type": "pipline"}, "type"),
        ({"name": "y", "model": "models:/a/1"}, "name"),
        ({"name": "x", "model": "models:/a/1", "endpoint_name": "other"}, "endpoint_name"),
    ],
)
def test_a_wrong_deployment_is_refused_by_its_key(
    client: httpx.Client, document: dict[str, Any], path: str
) -> None:
    client.put("/v1/batch-endpoints/work", json={"name": "work"})
    answer = client.put("/v1/batch-endpoints/work/deployments/x", json=document)
    assert answer.status_code == 422, answer.text
    assert [problem["path"] for problem in answer.json()["problems"]] == [path]


def test_another_project_does_not_see_it(api: Api, client: httpx.Client) -> None:
    publish(client)
    assert client.post("/v1/projects", json={"name": "other"}).status_code == 201
    other = {"mlq-project": "other"}
    assert client.get("/v1/batch-endpoints", headers=other).json()["items"] == []
    for method, path in (
        ("GET", "/v1/batch-endpoints/work"),
        ("PUT", "/v1/batch-endpoints/work"),
        ("POST", "/v1/batch-endpoints/work/jobs"),
        ("GET", "/v1/batch-endpoints/work/jobs"),
    ):
        answer = client.request(method, path, json={"name": "work"}, headers=other)
        assert answer.status_code == 404, (method, path)
