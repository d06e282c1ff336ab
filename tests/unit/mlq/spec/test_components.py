"""Component files by themselves: what is in them is checked before any job runs them."""

from __future__ import annotations

import pytest

from mlq.errors import SpecError, SpecProblem
from mlq.spec import check_component, read_document
from tests.unit.mlq.spec.jobs import compile_text, job_at, only_problem

PORTS = """\
inputs:
  file: {type: uri_file}
  text: {type: string}
  word: {type: string, enum: [pear, fig]}
  number: {type: number, min: 3}
  whole: {type: integer, max: -3}
  flag: {type: boolean}
"""


def problem_of(text: str) -> SpecProblem:
    with pytest.raises(SpecError) as caught:
        check_component(read_document(text, file="component.yml"))
    (problem,) = caught.value.problems
    return problem


def test_what_is_required_needs_no_value_yet() -> None:
    check_component(
        read_document(f"{PORTS}command: run ${{{{inputs.file}}}} ${{{{inputs.number}}}}")
    )
    check_component(
        read_document(
            f"{PORTS}outputs: {{out: {{type: uri_file}}}}\n"
            "jobs:\n  a:\n    command: cp ${{inputs.f}} ${{outputs.out}}\n"
            "    inputs: {f: '${{parent.inputs.file}}'}\n"
            "    outputs: {out: '${{parent.outputs.out}}'}\n"
        )
    )


@pytest.mark.parametrize(
    ("text", "path", "line", "words"),
    [
        ("inputs: {x: 1}\ncommand: run ${{inputs.y}}", "command", 2, "no such input"),
        (
            "outputs: {o: {type: uri_file}}\njobs: {a: {command: x}}",
            "outputs.o",
            1,
            "No step writes this output",
        ),
        ("command: x\nenviroment: y", "enviroment", 2, "Unknown key"),
        ("type: spark", "type", 1, "not supported by this version"),
        ("command: x\ncode: ./src", "code", 2, "a folder on your machine"),
        (
            "jobs: {a: {command: x, inputs: {y: '${{parent.inputs.z}}'}}}",
            "jobs.a.inputs.y",
            1,
            "no",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, path: str, line: int, words: str) -> None:
    problem = problem_of(text)
    assert (problem.path, problem.line) == (path, line)
    assert words in problem.message


def test_a_command_writes_what_its_pipeline_declares() -> None:
    plan = compile_text(
        """
type: pipeline
outputs: {text: {type: uri_file}}
jobs:
  a: {command: "x > ${{outputs.text}}", outputs: {text: "${{parent.outputs.text}}"}}
"""
    )
    assert job_at(plan, "a").spec["outputs"] == {"text": {"type": "uri_file"}}


@pytest.mark.parametrize(
    ("environment", "path", "words"),
    [
        ("{imazge: x}", "environment.imazge", "Unknown key"),
        ("{conda_file: ./conda.yml}", "environment.conda_file", "a file on your machine"),
    ],
)
def test_environments(environment: str, path: str, words: str) -> None:
    problem = only_problem(f"command: x\nenvironment: {environment}")
    assert problem.path == path
    assert words in problem.message


def test_the_type_of_a_step_is_text() -> None:
    assert only_problem("jobs: {a: {type: [if_else]}}").path == "jobs.a.type"
