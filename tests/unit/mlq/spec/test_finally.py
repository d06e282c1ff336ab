"""Steps under `finally`: what they compile to, and what is wrong with them."""

from __future__ import annotations

import pytest

from mlq.spec import find_code_folders, read_document
from tests.unit.mlq.spec.jobs import SAMPLES, compile_text, job_at, only_problem

TEXT = (SAMPLES / "finally.yml").read_text()


def test_they_stand_last_and_have_edges_among_themselves_only() -> None:
    plan = compile_text(TEXT)
    report, send = job_at(plan, "report"), job_at(plan, "send")
    assert (report.role, send.role) == ("finally", "finally")
    assert (report.upstreams, send.upstreams) == ((), (report.index,))
    assert [job.name for job in plan.jobs] == ["", "work", "after_work", "report", "send"]
    source = report.inputs["answer"]
    assert (source.job, source.output, source.optional) == (1, "answer", True)


def test_an_input_of_a_component_takes_its_default() -> None:
    text = """
type: pipeline
jobs:
  a: {type: command, command: 'true', outputs: {n: {type: integer}}}
finally:
  b:
    component: {command: "echo ${{inputs.n}}", inputs: {n: {type: integer, default: 7}}}
    inputs: {n: "${{parent.jobs.a.outputs.n}}"}
"""
    source = job_at(compile_text(text), "b").inputs["n"]
    assert (source.optional, source.default) == (True, 7)
    problem = only_problem(text.replace("default: 7", "min: 7"))
    assert problem.path == "finally.b.inputs.n"
    assert "whether or not this output was written" in problem.message


def test_folders_and_files_of_them_are_found() -> None:
    text = TEXT.replace("    outputs: {text", "    code: ./src\n    outputs: {text")
    assert find_code_folders(read_document(text)) == [("finally.report.code", "./src")]


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ("$[[with ${{inputs.answer}}]]", "${{inputs.answer}}", "finally.report.command", "may not"),
        ("  send:", "  work:", "finally.work", "stands under `jobs` already"),
        ("  send:", "  2:", "finally.2", "cannot name a step"),
        (
            "send: {component: mlq:pass,",
            "send: {type: pipeline, jobs: {x: {component: mlq:pass}},",
            "finally.send",
            "a command or a component",
        ),
        (
            'send: {component: mlq:pass, inputs: {value: "${{parent.jobs.report.outputs.text}}"}}',
            "send: {type: if_else, condition: true, true_block: '${{parent.jobs.work}}'}",
            "finally.send",
            "a command or a component",
        ),
        (
            'inputs: {value: "${{parent.jobs.work.outputs.answer}}"}',
            'inputs: {value: "${{parent.jobs.report.outputs.text}}"}',
            "jobs.after_work.inputs.value",
            "runs after all others",
        ),
    ],
)
def test_what_is_wrong_with_them(old: str, new: str, path: str, message: str) -> None:
    assert old in TEXT
    problem = only_problem(TEXT.replace(old, new))
    assert problem.path == path
    assert message in problem.message
