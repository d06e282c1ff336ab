"""Job files as Azure's command line takes them; `tests/oracle` asks Azure's own package."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.spec import read_document
from mlq.spec.azure import ENVIRONMENT, Export, export

DIGEST = "ab" * 32


def exported(text: str) -> Export:
    return export(read_document(text))


def job_of(text: str) -> dict[str, Any]:
    return exported(text).files["job.yml"]


def test_a_command() -> None:
    made = exported(f"""
command: python train.py ${{{{inputs.data}}}}
code: artifact:sha256:{DIGEST}
inputs: {{data: {{type: uri_file, path: "artifact:sha256:{DIGEST}/a.csv"}}, columns: [a, b]}}
outputs: {{model: }}
compute: cpu
timeout: 59.7
retries: 3
warm_start: false
""")
    job = made.files["job.yml"]
    assert job["type"] == "command"
    assert job["code"] == f"./code/{DIGEST[:12]}"
    assert job["inputs"] == {
        "data": {"type": "uri_file", "path": f"./data/{DIGEST[:12]}/a.csv"},
        "columns": '["a","b"]',
    }
    assert job["outputs"] == {"model": {"type": "uri_folder"}}
    assert (job["compute"], job["environment"]) == ("azureml:cpu", ENVIRONMENT)
    assert job["limits"] == {"timeout": 60}
    assert made.artifacts == {
        f"code/{DIGEST[:12]}": DIGEST,
        f"data/{DIGEST[:12]}/a.csv": DIGEST,
    }
    assert list(made.notes) == ["job: without retries, warm_start."]


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("mlq:churn:3", "azureml:churn:3"),
        ("mlq:churn@latest", "azureml:churn@latest"),
        ("models:/churn/3", "azureml:churn:3"),
        ("models:/churn@production", "azureml:churn@latest"),
        ("https://example.org/a.csv", "https://example.org/a.csv"),
    ],
)
def test_references(written: str, there: str) -> None:
    job = job_of(f"command: x\ninputs: {{x: {{type: custom_model, path: '{written}'}}}}")
    assert job["inputs"]["x"]["path"] == there


def test_requirements_are_a_conda_file() -> None:
    environment = job_of("command: x\nenvironment: {requirements: [numpy]}")["environment"]
    assert environment["conda_file"]["dependencies"][-1] == {"pip": ["numpy"]}
    assert environment["image"]


def test_a_sweep_over_a_step_of_mlq_is_a_step() -> None:
    job = job_of("""
trial: mlq:train
inputs: {data: mlq:churn@latest, estimator: sklearn.linear_model.LogisticRegression}
search_space: {C: {type: uniform, min_value: 0, max_value: 1}}
objective: {primary_metric: roc_auc, goal: maximize, target: 0.9}
sampling_algorithm: random
limits: {max_total_trials: 3}
""")
    sweep = job["jobs"]["sweep"]
    assert sweep["trial"] == "azureml:mlq-train:1"
    assert sweep["inputs"]["data"] == {"type": "uri_file", "path": "azureml:churn@latest"}
    assert "target" not in sweep["objective"]


def test_pipelines_in_place_become_files() -> None:
    made = exported("""
inputs: {n: 3}
outputs: {made: "${{parent.jobs.inner.outputs.made}}"}
jobs:
  inner:
    type: pipeline
    inputs: {n: "${{parent.inputs.n}}"}
    outputs: {made: }
    jobs:
      a:
        command: echo ${{inputs.n}} > ${{outputs.made}}
        inputs: {n: "${{parent.inputs.n}}"}
        outputs: {made: "${{parent.outputs.made}}"}
""")
    step = made.files["job.yml"]["jobs"]["inner"]
    assert (step["type"], step["component"]) == ("pipeline", "./inner.yml")
    assert step["outputs"] == {"made": "${{parent.outputs.made}}"}
    assert made.files["inner.yml"]["inputs"] == {"n": {"type": "integer"}}
    assert made.files["job.yml"]["outputs"] == {"made": {"type": "uri_folder"}}
