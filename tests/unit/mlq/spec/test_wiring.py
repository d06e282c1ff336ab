# ruff: noqa: E501 - one case per line reads as a table
"""Bindings between steps: what flows, what does not fit, what goes round."""

from __future__ import annotations

import json

import pytest

from mlq.spec import Source
from tests.unit.mlq.spec.jobs import (
    compile_data,
    compile_text,
    job_at,
    only_problem,
    problems_of,
    step,
)

PREP = "  prep: {component: mlq:preprocess, inputs: {data: mlq:churn:1, target: y}}\n"


def with_prep(line: str) -> str:
    return f"type: pipeline\ninputs: {{rate: 0.5, file: {{type: uri_file, path: 'mlq:x:1'}}}}\njobs:\n{PREP}  {line}"


@pytest.mark.parametrize(
    ("line", "path", "words", "suggestion"),
    [
        # no such thing
        ("t: {component: mlq:pass, inputs: {v: '${{parent.jobs.pre.outputs.train}}'}}", "v", "no step 'pre'", "prep"),
        ("t: {component: mlq:pass, inputs: {v: '${{parent.jobs.prep.outputs.trian}}'}}", "v", "no output 'trian'", "train"),
        ("t: {component: mlq:pass, inputs: {v: '${{parent.jobs.prep.inputs.dta}}'}}", "v", "no input 'dta'", "data"),
        ("t: {component: mlq:pass, inputs: {v: '${{parent.inputs.rat}}'}}", "v", "no input 'rat'", "rate"),
        ("t: {component: mlq:score, inputs: {model: 'models:/m/1', data: 'mlq:x:1', probabilites: true}}", "probabilites", "no input", "probabilities"),
        # bindings that cannot stand here
        ("t: {component: mlq:pass, inputs: {v: '${{inputs.rate}}'}}", "v", "cannot stand here", "${{parent.inputs.rate}}"),
        ("t: {component: mlq:pass, inputs: {v: '${{parent.outputs.x}}'}}", "v", "cannot stand here", None),
        ("t: {component: mlq:pass, inputs: {v: 'x-${{parent.inputs.rate}}'}}", "v", "mixes a binding with text", None),
        ("t: {component: mlq:pass, inputs: {v: '${{steps.prep}}'}}", "v", "is no binding", None),
        ("t: {component: mlq:pass, inputs: {v: ['${{parent.inputs.rate}}']}}", "v", "inside a mapping or list", None),
        # types
        ("t: {component: mlq:register, inputs: {model: '${{parent.jobs.prep.outputs.train}}', name: m}}", "model", "takes mlflow_model; this step's output is uri_file", None),
        ("t: {component: mlq:register, inputs: {model: 'models:/m/1', name: '${{parent.jobs.prep.outputs.train}}'}}", "name", "takes string; this step's output is uri_file", None),
        ("t: {component: mlq:register, inputs: {model: 3, name: m}}", "model", "takes mlflow_model; got 3", None),
        ("t: {component: mlq:register, inputs: {model: './m', name: m}}", "model", "mlq data create", None),
        ("t: {component: mlq:register, inputs: {model: 'mlq:m', name: m}}", "model", "says no version", "mlq:m@latest"),
        ("t: {component: mlq:deploy, inputs: {model: '${{parent.inputs.file}}', endpoint: e}}", "model", "takes string; this asset is uri_file", None),
        ("t: {component: mlq:train, inputs: {data: 'mlq:x:1', estimator: e, depth: '${{parent.inputs.file}}'}}", "depth", "takes object; this asset", None),
        ("t: {component: mlq:evaluate, inputs: {model: 'models:/m/1', data: 'mlq:x:1', bootstrap_samples: '${{parent.inputs.rate}}'}}", "bootstrap_samples", "takes an integer; got 0.5", None),
        ("t: {component: mlq:evaluate, inputs: {model: 'models:/m/1', data: 'mlq:x:1', threshold: '{a'}}", "threshold", "looks like a JSON", None),
        ("t: {command: x, inputs: {v: {type: number, path: x}}}", "v.path", "has a value, not a path", None),
        ("t: {command: x, inputs: {v: {type: uri_file}}}", "v", "has no path", None),
        ("t: {command: x, inputs: {v: {type: integer, value: 12, max: 10}}}", "v.value", "at most 10", None),
        # not given
        ("t: {component: mlq:register, inputs: {name: m}}", "", "'model' is required (mlflow_model)", None),
        ("t: {component: mlq:register, inputs: {name: m, model: }}", "model", "'model' is required", None),
        # round
        ("t: {component: mlq:pass, inputs: {v: '${{parent.jobs.t.outputs.value}}'}}", "v", "waits for an output of its own", None),
        ("t: {component: mlq:pass, inputs: {v: '${{parent.jobs.t.inputs.v}}'}}", "v", "leads back to itself", None),
    ],
)  # fmt: skip
def test_one_wrong_input(line: str, path: str, words: str, suggestion: str | None) -> None:
    problem = only_problem(with_prep(line))
    assert (problem.file, problem.line) == ("job.yml", 5)
    assert problem.path == ".".join(part for part in ("jobs.t.inputs", path) if part)
    assert words in problem.message
    assert problem.suggestion == suggestion


def test_a_cycle_is_named() -> None:
    text = "type: pipeline\njobs:\n"
    for name, above in (("a", "c"), ("b", "a"), ("c", "b")):
        text += f"  {name}: {{component: mlq:pass, inputs: {{v: '${{{{parent.jobs.{above}.outputs.value}}}}'}}}}\n"
    problem = only_problem(text)
    assert problem.path == "jobs.a"
    assert problem.line == 3
    assert "a -> b -> c -> a" in problem.message


def test_a_long_cycle_is_cut() -> None:
    names = [f"s{number}" for number in range(50)]
    jobs = {name: step(names[at - 1]) for at, name in enumerate(names)}
    text = f"type: pipeline\njobs: {jobs}"
    assert "… -> " in only_problem(text).message


def referring(count: int, last: str, *, typed: bool = False) -> dict[str, object]:
    """Steps s0, s1, … each of which takes the input of the next; the last one takes `last`."""
    jobs = {}
    for n in range(count):
        value: object = f"${{{{parent.jobs.s{n + 1}.inputs.v}}}}" if n + 1 < count else last
        if typed:
            value = {"type": "uri_file", "path": value}
        jobs[f"s{n}"] = {"command": "x", "inputs": {"v": value}}
    return {"type": "pipeline", "jobs": jobs}


@pytest.mark.parametrize("typed", [False, True])
def test_long_chains_of_references_end(typed: bool) -> None:
    plan = compile_data(referring(2000, "mlq:x:1", typed=typed))
    assert {job.inputs["v"].value for job in plan.jobs[1:]} == {"mlq:x:1"}


@pytest.mark.parametrize("typed", [False, True])
def test_references_that_go_round_are_refused(typed: bool) -> None:
    text = json.dumps(referring(2000, "${{parent.jobs.s0.inputs.v}}", typed=typed))
    assert "leads back to itself" in problems_of(text)[0].message


def test_an_own_output_through_another_step_is_found_from_both_ends() -> None:
    jobs = {
        "a": {"component": "mlq:pass", "inputs": {"v": "${{parent.jobs.b.inputs.v}}"}},
        "b": {"component": "mlq:pass", "inputs": {"v": "${{parent.jobs.a.outputs.value}}"}},
        "c": {"component": "mlq:pass", "inputs": {"v": "${{parent.jobs.b.inputs.v}}"}},
    }
    for order in ("abc", "cab", "cba"):
        text = json.dumps({"type": "pipeline", "jobs": {name: jobs[name] for name in order}})
        problem = only_problem(text)
        assert problem.path == "jobs.a.inputs.v"
        assert "'a' waits for an output of its own" in problem.message


def test_defaults_literals_assets_and_outputs() -> None:
    plan = compile_text(
        with_prep(
            "t: {component: mlq:train, inputs: {data: '${{parent.jobs.prep.outputs.train}}', "
            "estimator: e, learning_rate: '${{parent.inputs.rate}}', cv: '{\"kind\": \"group\"}'}}"
        )
    )
    train = job_at(plan, "t")
    assert train.upstreams == (1,)
    assert train.inputs == {
        "data": Source("output", None, 1, "train", "uri_file"),
        "estimator": Source("literal", "e", type="string"),
        "learning_rate": Source("literal", 0.5, type="object"),
        "cv": Source("literal", {"kind": "group"}, type="object"),
        "report_per": Source("literal", "fold", type="string"),
        "seed": Source("literal", 0, type="integer"),
    }
    assert job_at(plan, "prep").inputs["data"] == Source("asset", "mlq:churn:1", type="uri_file")
    assert plan.assets == ("mlq:x:1", "mlq:churn:1")
    assert plan.jobs[0].inputs["file"].kind == "asset"


def test_an_input_of_a_sibling_is_its_value() -> None:
    plan = compile_data(
        {
            "type": "pipeline",
            "jobs": {
                "a": step(),
                "b": step("a"),
                "c": {
                    "component": "mlq:pass",
                    "inputs": {"value": "${{parent.jobs.b.inputs.v_a}}", "n": 1},
                },
                "d": {"component": "mlq:pass", "inputs": {"v": "${{parent.jobs.c.inputs.n}}"}},
            },
        }
    )
    c, d = job_at(plan, "c"), job_at(plan, "d")
    assert c.inputs["value"].job == c.upstreams[0] == job_at(plan, "a").index
    assert d.inputs["v"].value == 1
    assert d.upstreams == ()


@pytest.mark.parametrize("given", ["champion: ", "champion: '${{parent.inputs.champion}}'", ""])
def test_optional_inputs_that_are_not_given_are_absent(given: str) -> None:
    plan = compile_text(
        "type: pipeline\n"
        "inputs: {champion: {type: mlflow_model, optional: true}}\n"
        "jobs:\n  v:\n    component: mlq:evaluate\n"
        f"    inputs:\n      model: models:/m/1\n      data: mlq:x:1\n      {given}"
    )
    assert "champion" not in job_at(plan, "v").inputs
    assert "champion" not in plan.jobs[0].inputs


def test_a_typed_binding_of_azure() -> None:
    plan = compile_text(
        with_prep(
            "t: {command: 'x ${{inputs.v}}', inputs: "
            "{v: {path: '${{parent.jobs.prep.outputs.train}}', mode: ro_mount}}}"
        )
    )
    assert job_at(plan, "t").inputs["v"] == Source("output", None, 1, "train", "uri_file")


def test_parameters_of_a_pipeline_are_cast() -> None:
    text = "type: pipeline\ninputs: {{n: {{type: integer, default: '{}', max: 9}}}}\njobs: {{a: {{component: mlq:pass}}}}"
    assert compile_text(text.format(7)).jobs[0].inputs["n"] == Source("literal", 7, type="integer")
    problem = only_problem(text.format(12))
    assert problem.path == "inputs.n.default"
    problem = only_problem(text.format(7).replace("default: '7'", "description: x"))
    assert problem.path == "inputs.n"
    assert "--set inputs.n=" in problem.message
