"""Types, components and commands of steps, before anything is bound."""

from __future__ import annotations

import pytest

from mlq.spec import BUILTIN, Component, JobTemplate, Port, find_builtin
from mlq.spec.tree import MAX_JOBS
from tests.unit.mlq.spec.jobs import (
    compile_data,
    compile_text,
    job_at,
    only_problem,
    problems_of,
    step,
)

PIPELINE = "type: pipeline\njobs:\n  a: "


@pytest.mark.parametrize(
    "reference", ["mlq:pass", "azureml:pass", "azureml:pass@latest", "mlq:pass:1"]
)
def test_built_in_components_are_found(reference: str) -> None:
    assert find_builtin(reference) is BUILTIN["mlq:pass"]
    plan = compile_text(f"{PIPELINE}{{component: '{reference}'}}")
    assert plan.jobs[1].component == "mlq:pass"
    assert plan.jobs[1].spec["component_version"] == "1"


@pytest.mark.parametrize(
    ("step_text", "path", "words", "suggestion"),
    [
        (
            "{component: mlq:preproces}",
            "component",
            "no component 'mlq:preproces'",
            "mlq:preprocess",
        ),
        ("{component: azureml:trane}", "component", "no component 'azureml:trane'", "mlq:train"),
        ("{component: train}", "component", "no component 'train'", "mlq:train"),
        ("{component: mlq:train:9}", "component", "has no version '9'", "mlq:train"),
        ("{component: ./train.yml}", "component", "`mlq job create` puts such files", None),
        ("{component: 5}", "component", "component's name or definition; got 5", None),
        ("{component: {type: spark}}", "component.type", "type 'spark' (text) are not", None),
        ("{component: {command: x, naem: y}}", "component.naem", "Unknown key", "name"),
        ("{component: {type: command}}", "component.command", "'command' is required", None),
        ("{component: {command: x, inputs: {i: {}}}}", "component.inputs.i", "'type' is req", None),
        (
            "{component: {command: x, inputs: {i: {type: integer, default: x}}}}",
            "component.inputs.i.default",
            "takes an integer",
            None,
        ),
        ("{component: {command: x, code: ./src}}", "component.code", "on your machine", None),
        ("{type: parallel}", "task", "is required", None),
        ("{type: base}", "type", "no base jobs", None),
        ("{}", "", "not said what this job runs", None),
        ("7", "", "must be a mapping; got 7", None),
        ("{command: x, priority: 3}", "priority", "set it at its root", None),
        ("{command: x, timeout: 5, limits: {timeout: 6}}", "timeout", "keep one", None),
        ("{type: pipeline, jobs: {}}", "jobs", "at least one step", None),
        (
            "{type: pipeline, retries: 1, jobs: {b: {command: x}}}",
            "retries",
            "not retried as a whole",
            None,
        ),
        ("{command: 'echo ${{inputs.x}}'}", "command", "names inputs.x", None),
        ("{command: 'x ${{inputs.rat}}', inputs: {rate: 1}}", "command", "no such input", "rate"),
        ("{command: 'x ${{outputs.modle}}', outputs: {model: }}", "command", "output", "model"),
        ("{command: 'x ${{search_space.x}}'}", "command", "cannot stand in a command", None),
        ("{command: 'x ${{inputs.a'}", "command", "is not closed", None),
        ("{command: 'x ${{parent.inputs.a}}'}", "command", "cannot stand in a command", None),
    ],
)
def test_one_wrong_step(step_text: str, path: str, words: str, suggestion: str | None) -> None:
    problem = only_problem(f"{PIPELINE}{step_text}")
    assert (problem.file, problem.line) == ("job.yml", 3)
    assert problem.path == ".".join(part for part in ("jobs.a", path) if part)
    assert words in problem.message
    assert problem.suggestion == suggestion


def test_a_name_of_a_step() -> None:
    problem = only_problem("type: pipeline\njobs:\n  ok: {command: x}\n  a b: {command: x}")
    assert problem.path == "jobs.a b"
    assert "cannot name a step" in problem.message


def test_what_leads_to_a_broken_step_is_not_reported_again() -> None:
    text = f"{PIPELINE}{{component: mlq:pas}}\n  b: {{component: mlq:pass, inputs: "
    problem = only_problem(text + "{value: '${{parent.jobs.a.outputs.value}}'}}")
    assert problem.path == "jobs.a.component"


@pytest.mark.parametrize("kind", ["", "type: command, ", "type: component, "])
def test_an_inline_command_component(kind: str) -> None:
    plan = compile_text(
        f"""
type: pipeline
jobs:
  a:
    {kind.replace(", ", "")}
    component:
      name: own
      display_name: Own
      command: run ${{{{inputs.n}}}} $[[--m ${{{{inputs.m}}}}]] ${{{{outputs.o}}}}
      environment_variables: {{A: 1, B: 2}}
      inputs: {{n: {{type: integer, default: 4, max: 9}}, m: {{type: string, optional: true}}}}
      outputs: {{o: {{type: uri_file}}}}
    environment_variables: {{B: 3}}
    inputs: {{n: "5"}}
"""
    )
    job = job_at(plan, "a")
    assert job.component is None
    assert job.display_name == "Own"
    assert {name: source.value for name, source in job.inputs.items()} == {"n": 5}
    assert job.spec["environment_variables"] == {"A": "1", "B": "3"}
    assert job.spec["outputs"] == {"o": {"type": "uri_file"}}


def test_an_optional_input_outside_brackets_must_be_given() -> None:
    problem = only_problem(
        f"{PIPELINE}{{component: {{command: 'x ${{{{inputs.m}}}}', "
        "inputs: {m: {type: string, optional: true}}}}"
    )
    assert problem.path == "jobs.a.component.command"
    assert "$[[ … ]]" in problem.message


def test_registered_components_are_looked_up() -> None:
    template = JobTemplate("own", "3", {"command": "run ${{inputs.x}}", "inputs": {"x": 1}})
    own = Component("mlq:mine", {"x": Port("integer")}, {}, version="7")
    known = {"mlq:own:3": template, "mlq:mine@latest": own}
    plan = compile_text(
        f"{PIPELINE}{{component: 'mlq:own:3'}}\n"
        "  b: {component: 'mlq:mine@latest', inputs: {x: 2}}",
        components=known.get,
    )
    assert job_at(plan, "a").spec["command"] == "run ${{inputs.x}}"
    assert job_at(plan, "a").inputs["x"].value == 1
    assert job_at(plan, "b").spec["component_version"] == "7"


def test_what_is_ignored_is_said() -> None:
    plan = compile_text(
        """
$schema: https://example.org/pipelineJob.schema.json
type: pipeline
identity: {type: user_identity}
services: {x: {type: ssh}}
properties: {a: b}
settings: {default_datastore: azureml:store}
jobs:
  a:
    command: x
    environment: azureml:AzureML-env@latest
    resources: {instance_count: 1, shm_size: 2g}
    experiment_name: e
  b: {component: mlq:pass, is_deterministic: true}
"""
    )
    for word in ("identity", "services", "properties", "default_datastore", "one of Azure's"):
        assert any(word in warning for warning in plan.warnings)
    assert len(plan.warnings) == 8
    assert plan.jobs[1].spec["environment"] == "azureml:AzureML-env@latest"


def test_too_many_jobs() -> None:
    jobs = {f"s{number}": step() for number in range(MAX_JOBS)}
    jobs.pop("s0")
    assert len(compile_data({"type": "pipeline", "jobs": jobs}).jobs) == MAX_JOBS
    lines = "".join(f"  s{number}: {{command: x}}\n" for number in range(MAX_JOBS))
    problem = only_problem(f"type: pipeline\njobs:\n{lines}")
    assert "more than 5,000 jobs" in problem.message


def test_nesting_has_a_limit() -> None:
    def nested(levels: int) -> str:
        text = "{command: x}"
        for _ in range(levels):
            text = f"{{type: pipeline, jobs: {{a: {text}}}}}"
        return text

    assert len(compile_text(nested(15)).jobs) == 16
    assert "more than 16 levels" in problems_of(nested(16))[0].message
