"""Pipelines as trials: compiled once, one tree for each trial."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlq.spec import Plan, PlannedJob, Source, instantiate, spec_digest
from tests.unit.mlq.spec.jobs import compile_text, only_problem, problems_of

TEXT = """
type: sweep
inputs: {raw: {type: uri_file, path: "mlq:churn@latest"}, target: churned}
compute: big
trial:
  type: pipeline
  inputs:
    raw: {type: uri_file}
    target: {type: string}
    impute: {type: string, default: median}
    estimator: {type: string}
    C: {type: number}
    leaves: {type: integer, optional: true}
  jobs:
    prep:
      component: mlq:preprocess
      inputs:
        data: "${{parent.inputs.raw}}"
        target: "${{parent.inputs.target}}"
        impute_numeric: "${{parent.inputs.impute}}"
    fit:
      type: pipeline
      settings: {default_compute: gpu}
      inputs: {data: "${{parent.jobs.prep.outputs.train}}", c: "${{parent.inputs.C}}"}
      jobs:
        train:
          component: mlq:train
          inputs: {data: "${{parent.inputs.data}}", target: y, estimator: e,
                   C: "${{parent.inputs.c}}"}
      outputs: {model: "${{parent.jobs.train.outputs.model}}"}
    validate:
      component: mlq:evaluate
      inputs: {model: "${{parent.jobs.fit.outputs.model}}", data: "mlq:holdout@latest",
               champion: models:/churn@production}
  outputs: {model: "${{parent.jobs.fit.outputs.model}}"}
search_space:
  C: {type: loguniform, min_value: -5, max_value: -1}
  which:
    type: choice
    values:
      - {estimator: a.B, impute: {type: choice, values: [mean, zero]}}
      - {estimator: a.C, leaves: {type: randint, upper: 9}}
sampling_algorithm: random
objective: {primary_metric: roc_auc, goal: maximize}
limits: {max_total_trials: 10, max_concurrent_trials: 4, trial_timeout: 60}
"""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_text(TEXT)


@pytest.fixture(scope="module")
def embedded(plan: Plan) -> dict[str, Any]:
    trial = plan.jobs[1].spec["sweep"]["trial"]
    assert trial["type"] == "pipeline"
    written: dict[str, Any] = json.loads(json.dumps(trial["plan"]))
    return written


def made(embedded: dict[str, Any], **params: Any) -> dict[str, PlannedJob]:
    return {job.path: job for job in instantiate(embedded, params)}


def test_one_runner_starts_the_trees(plan: Plan) -> None:
    assert [job.role for job in plan.jobs] == [None, "runner", "best"]
    assert [job.compute for job in plan.jobs] == [None, "big", "big"]


def test_a_trial_is_a_tree_in_the_order_of_a_plan(embedded: dict[str, Any]) -> None:
    jobs = instantiate(embedded, {"C": 0.1, "estimator": "a.B", "impute": "mean"})
    assert [(job.path, job.type, job.parent, job.compute) for job in jobs] == [
        ("", "pipeline", None, None),
        ("prep", "command", 0, "big"),
        ("fit", "pipeline", 0, None),
        ("fit.train", "command", 2, "gpu"),
        ("validate", "command", 0, "big"),
    ]
    assert [job.index for job in jobs] == [0, 1, 2, 3, 4]
    assert jobs[4].upstreams == (2,)
    assert jobs[0].timeout_s == 60
    assert jobs[0].spec["outputs"] == {"model": ["fit.train", "model"]}
    assert embedded["outputs"] == {"model": [3, "model"]}


def test_parameters_stand_where_they_are_bound(embedded: dict[str, Any]) -> None:
    jobs = made(embedded, C=0.1, estimator="a.B", impute="zero")
    assert jobs["prep"].inputs["impute_numeric"] == Source("literal", "zero", type="string")
    assert jobs["fit.train"].inputs["C"].value == 0.1
    assert jobs["prep"].inputs["target"].value == "churned"
    assert "leaves" not in jobs[""].inputs


def test_a_trial_that_is_not_given_a_parameter_takes_its_default(embedded: dict[str, Any]) -> None:
    jobs = made(embedded, C=0.1, estimator="a.C", leaves=3)
    assert jobs["prep"].inputs["impute_numeric"].value == "median"
    assert jobs[""].inputs["leaves"] == Source("literal", 3, type="integer")


def test_steps_whose_parameters_are_equal_are_equal(embedded: dict[str, Any]) -> None:
    first = made(embedded, C=0.1, estimator="a.B", impute="mean")
    second = made(embedded, C=0.2, estimator="a.B", impute="mean")
    assert first["prep"] == second["prep"]
    assert spec_digest(first["fit.train"].spec) == spec_digest(second["fit.train"].spec)
    assert first["fit.train"] != second["fit.train"]


def test_files_are_taken_from_the_inputs_of_the_runner(
    plan: Plan, embedded: dict[str, Any]
) -> None:
    jobs = made(embedded, C=0.1, estimator="a.B", impute="mean")
    given = plan.jobs[1].inputs
    for source in (jobs["prep"].inputs["data"], jobs["validate"].inputs["data"]):
        assert source.kind == "input"
        assert given[source.value].kind == "asset"
    assert given["mlq:holdout@latest"].value == "mlq:holdout@latest"
    assert plan.jobs[2].inputs == given
    assert "mlq:holdout@latest" not in plan.jobs[0].inputs
    assert set(plan.assets) == {"mlq:churn@latest", "mlq:holdout@latest"}


def test_a_champion_may_come_later(embedded: dict[str, Any]) -> None:
    champion = made(embedded, C=0.1, estimator="a.B")["validate"].inputs["champion"]
    assert (champion.kind, champion.value) == ("asset", "models:/churn@production")


def test_bindings_inside_stay_inside(embedded: dict[str, Any]) -> None:
    jobs = made(embedded, C=0.1, estimator="a.B", impute="mean")
    source = jobs["validate"].inputs["model"]
    assert (source.kind, source.job, source.output) == ("output", jobs["fit.train"].index, "model")


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("[mean, zero]", "[mean, zreo]", "search_space.which.values[0].impute.values[1]",
         "takes one of median, mean, zero"),
        ("    C: {type: number}\n", "", "search_space.C", "no input 'C'"),
        ("leaves: {type: integer, optional: true}", "leaves: {type: integer}",
         "search_space.which.values[1].leaves", "some trials"),
        ("estimator: a.B", "target: a.B", "search_space.which.values[1].estimator", "some trials"),
        ("limits:", "retries: 2\nlimits:", "retries", "set retries on its steps"),
        ("prep:\n      component: mlq:preprocess", "prep:\n      type: sweep",
         "trial.jobs.prep", "cannot stand inside the trial"),
        ('fit.outputs.model}}"}\nsearch', 'fit.outputs.x}}"}\nsearch', "trial.outputs.model",
         "has no output 'x'"),
    ],
)  # fmt: skip
def test_what_does_not_fit(old: str, new: str, path: str, words: str) -> None:
    assert old in TEXT
    found = [problem for problem in problems_of(TEXT.replace(old, new)) if problem.path == path]
    assert found, problems_of(TEXT.replace(old, new))
    assert any(words in problem.message for problem in found)


def test_steps_outside_cannot_bind_into_a_trial() -> None:
    step = TEXT.replace("\n", "\n    ")
    text = (
        f"type: pipeline\njobs:\n  tune:{step}\n"
        "  after: {component: mlq:pass, inputs: {value: '${{parent.jobs.prep.outputs.train}}'}}\n"
    )
    problem = only_problem(text)
    assert problem.path == "jobs.after.inputs.value"
    assert "no step 'prep'" in problem.message
