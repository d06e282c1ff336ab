from __future__ import annotations

import pytest

from mlq.errors import SpecError
from mlq.spec import read_document
from mlq.spec.serving import model_uri, read_deployment, read_endpoint

ENDPOINT = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: churn
auth_mode: key
tags: {team: growth}
traffic: {blue: 90, green: 10}
mirror_traffic: {red: 5}
"""
DEPLOYMENT = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: churn
model: azureml:churn:3
instance_type: Standard_DS3_v2
instance_count: 1
request_settings: {request_timeout_ms: 500}
data_collector:
  collections:
    model_inputs: {enabled: 'True'}
  sampling_rate: 0.2
drift: {psi: null, accuracy: 0.9}
"""


def test_an_azure_endpoint_file_is_read() -> None:
    found = read_endpoint(read_document(ENDPOINT))
    assert (found.name, found.tags) == ("churn", {"team": "growth"})
    assert found.traffic == {"blue": 90, "green": 10}
    assert found.mirror_traffic == {"red": 5}
    assert found.ignored == ("auth_mode",)


def test_an_azure_deployment_file_is_read() -> None:
    found = read_deployment(read_document(DEPLOYMENT))
    assert (found.name, found.endpoint_name, found.model) == ("blue", "churn", "models:/churn/3")
    assert found.settings == {
        "request_timeout_ms": 500,
        "sampling_rate": 0.2,
        "drift": {"psi": None, "accuracy": 0.9},
    }
    assert found.ignored == ("instance_count", "instance_type")


@pytest.mark.parametrize(
    ("text", "path", "said"),
    [
        ("name: x\ncode_configuration: {code: .}", "code_configuration", "scoring script"),
        ("name: x\nmodle: models:/x/1", "modle", "not a key"),
        ("name: x\nmodel: {path: ./here}", "model", "registered model"),
        ("name: x\nrequest_settings: {request_timeout_ms: 0}", "request_timeout_ms", "above 0"),
        ("name: x\ndata_collector: {sampling_rate: 2}", "sampling_rate", "share from 0 to 1"),
        ("name: x\ndrift: {spi: 2}", "drift.spi", "not a key here"),
        ("name: x\ntags: [a]", "tags", "a mapping"),
    ],
)
def test_a_deployment_file_is_refused_by_line_and_path(text: str, path: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_deployment(read_document(text, file="blue.yml"))
    problem = caught.value.problems[0]
    assert path in problem.path
    assert said in problem.message
    assert (problem.file, problem.line) == ("blue.yml", 2)


@pytest.mark.parametrize("share", ["-1", "101", "0.5", "true", "many"])
def test_traffic_is_whole_percents(share: str) -> None:
    with pytest.raises(SpecError, match="in percent"):
        read_endpoint(read_document(f"traffic: {{blue: {share}}}"))


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("azureml:churn:3", "models:/churn/3"),
        ("azureml:churn@latest", "models:/churn@latest"),
        ("mlq:churn@production", "models:/churn@production"),
        ("models:/churn/3", "models:/churn/3"),
        ("./model", None),
    ],
)
def test_references_to_models(written: str, uri: str | None) -> None:
    assert model_uri(written) == uri
