# ruff: noqa: E501 - one case per line reads as a table
"""Outputs of pipelines, through levels, down to the leaf that writes them."""

from __future__ import annotations

import pytest

from tests.unit.mlq.spec.jobs import SAMPLES, compile_text, job_at, only_problem

HEAD = "type: pipeline\noutputs: {model: {type: mlflow_model}}\njobs:\n"


@pytest.mark.parametrize(
    ("text", "path", "line", "words", "suggestion"),
    [
        ("  a: {command: x}", "outputs.model", 2, "No step writes this output", None),
        ("  a: {command: x, outputs: {o: '${{parent.outputs.modl}}', p: '${{parent.outputs.model}}'}}", "jobs.a.outputs.o", 4, "no output 'modl'", "model"),
        ("  a: {command: x, outputs: {o: '${{parent.inputs.model}}', p: '${{parent.outputs.model}}'}}", "jobs.a.outputs.o", 4, "goes to", None),
        ("  a: {command: x, outputs: {o: '${{parent.outputs.model}}'}}\n  b: {command: x, outputs: {o: '${{parent.outputs.model}}'}}", "jobs.b.outputs.o", 5, "'a' writes the pipeline's output 'model' already", None),
        ("  a: {component: mlq:register, inputs: {name: x, model: 'models:/m/1'}, outputs: {version: '${{parent.outputs.model}}'}}", "jobs.a.outputs.version", 4, "declared mlflow_model, but this is string", None),
        ("  a: {component: mlq:register, inputs: {name: x, model: 'models:/m/1'}, outputs: {verson: {}}}\n  b: {command: x, outputs: {o: '${{parent.outputs.model}}'}}", "jobs.a.outputs.verson", 4, "no output 'verson'", "version"),
        ("  a: {component: mlq:train, inputs: {data: 'mlq:x:1', estimator: e}, outputs: {model: {type: uri_file}}}\n  b: {command: x, outputs: {o: '${{parent.outputs.model}}'}}", "jobs.a.outputs.model.type", 4, "of type mlflow_model, not uri_file", None),
    ],
)  # fmt: skip
def test_one_wrong_output(
    text: str, path: str, line: int, words: str, suggestion: str | None
) -> None:
    problem = only_problem(HEAD + text)
    assert (problem.path, problem.line) == (path, line)
    assert words in problem.message
    assert problem.suggestion == suggestion


@pytest.mark.parametrize(
    ("outputs", "words", "suggestion"),
    [
        ("${{parent.jobs.b.outputs.value}}", "no step 'b'", None),
        ("${{parent.jobs.a.outputs.valu}}", "no output 'valu'", "value"),
        ("${{parent.outputs.x}}", "An output is a mapping, nothing, or", None),
    ],
)
def test_a_root_output_bound_in_place(outputs: str, words: str, suggestion: str | None) -> None:
    text = f"type: pipeline\noutputs: {{v: '{outputs}'}}\njobs: {{a: {{component: mlq:pass}}}}"
    problems = only_problem(text)
    assert problems.path == "outputs.v"
    assert words in problems.message
    assert problems.suggestion == suggestion


def test_a_value_goes_down_and_up_three_levels() -> None:
    plan = compile_text((SAMPLES / "nested3.yml").read_text())
    deepest = job_at(plan, "outer.inner.b")
    after = job_at(plan, "after")
    assert after.inputs["value"].job == deepest.index
    assert after.upstreams == (job_at(plan, "outer").index,)
    assert job_at(plan, "outer.inner.a").upstreams == ()
    assert job_at(plan, "outer.inner.a").inputs["value"].job == job_at(plan, "outer.first").index
    assert job_at(plan, "outer").spec["outputs"] == {"value": ["inner.b", "value"]}
    assert plan.jobs[0].spec["outputs"] == {"value": ["after", "value"]}
    assert plan.outputs == {"value": (after.index, "value")}


def test_outputs_of_a_pipeline_component() -> None:
    plan = compile_text(
        """
type: pipeline
jobs:
  whole:
    type: pipeline
    component:
      type: pipeline
      inputs: {n: {type: integer}}
      outputs: {v: "${{parent.jobs.in.outputs.value}}"}
      jobs: {in: {component: "mlq:pass", inputs: {value: "${{parent.inputs.n}}"}}}
    inputs: {n: "3"}
  next: {component: "mlq:pass", inputs: {value: "${{parent.jobs.whole.outputs.v}}"}}
"""
    )
    inner = job_at(plan, "whole.in")
    assert inner.inputs["value"].value == 3
    assert job_at(plan, "next").inputs["value"].job == inner.index
    assert job_at(plan, "whole").type == "pipeline"
    assert job_at(plan, "whole").compute is None
