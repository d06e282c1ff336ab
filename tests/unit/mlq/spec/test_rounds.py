"""Repeated jobs: what they compile to, and what is refused before anything runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlq.spec import Plan, apply_overrides, compile_job, read_document
from tests.unit.mlq.spec.jobs import compile_data, compile_text, job_at, only_problem, problems_of
from tests.unit.mlq.spec.sweeps import COMMAND, TRAIN, compile_sweep, sweep_problem, sweep_problems

TARGET = {"primary_metric": "roc_auc", "goal": "maximize", "target": 0.9}
TWICE = {"rounds": 2, "widen": {"limits.max_total_trials": 2}}

STEP = """
type: pipeline
outputs: {model: {type: mlflow_model}}
jobs:
  prep: {component: mlq:preprocess, inputs: {data: "mlq:churn:1", target: left}}
  tune:
    type: sweep
    display_name: Tuning
    trial: mlq:train
    repeat: {rounds: 3, widen: {limits.max_total_trials: 1.5, limits.timeout: 2}}
    inputs:
      data: "${{parent.jobs.prep.outputs.train}}"
      recipe: "${{parent.jobs.prep.outputs.recipe}}"
      estimator: sklearn.svm.SVC
    search_space: {C: {type: loguniform, min_value: -5, max_value: -1}}
    sampling_algorithm: {type: bayesian, seed: 7}
    objective: {primary_metric: roc_auc, goal: maximize, target: 0.93}
    limits: {max_total_trials: 5, max_concurrent_trials: 2, timeout: 60}
    outputs: {model: "${{parent.outputs.model}}"}
  validate:
    component: mlq:evaluate
    inputs:
      model: "${{parent.jobs.tune.outputs.model}}"
      data: "${{parent.jobs.prep.outputs.test}}"
"""

ROOT = """
type: pipeline
display_name: churn
tags: {team: growth}
priority: 5
experiment_name: nightly
repeat: {rounds: 2, widen: {jobs.fit.inputs.n_estimators: 3, inputs.folds: 2}}
timeout: 60
settings: {default_compute: gpu, force_rerun: true}
inputs: {folds: {type: integer, value: 3}, kept: 1}
outputs: {version: "${{parent.jobs.register.outputs.version}}"}
jobs:
  fit:
    component: mlq:train
    inputs:
      data: "mlq:churn:1"
      target: left
      estimator: sklearn.ensemble.RandomForestClassifier
      n_estimators: 50
      cv: "${{parent.inputs.folds}}"
      seed: "${{parent.inputs.kept}}"
  validate:
    component: mlq:evaluate
    inputs: {model: "${{parent.jobs.fit.outputs.model}}", data: "mlq:churn:1", threshold: "roc_auc >= 0.9"}
  register:
    component: mlq:register
    inputs:
      model: "${{parent.jobs.fit.outputs.model}}"
      name: churn
      report: "${{parent.jobs.validate.outputs.report}}"
"""  # noqa: E501


def sweeps_of(plan: Plan) -> list[dict[str, Any]]:
    return [dict(job.spec) for job in plan.jobs if job.type == "sweep"]


# what it compiles to ----------------------------------------------------------------------------


class TestStep:
    plan = compile_text(STEP)

    def test_it_is_an_inner_job_with_a_child_per_round(self) -> None:
        tune = job_at(self.plan, "tune")
        rounds = [job for job in self.plan.jobs if job.parent == tune.index]
        assert (tune.type, tune.role, tune.compute, tune.display_name) == (
            "pipeline", None, None, "Tuning",
        )  # fmt: skip
        assert tune.spec == {"rounds": {"goal": "maximize"}}
        assert [(job.path, job.type, job.role, job.ordinal, job.upstreams) for job in rounds] == [
            ("tune.round-1", "sweep", "round", 0, ()),
            ("tune.round-2", "sweep", "round", 1, ()),
            ("tune.round-3", "sweep", "round", 2, ()),
        ]
        assert [job.display_name for job in rounds] == ["round-1", "round-2", "round-3"]

    def test_every_round_has_the_budget_of_the_one_before_widened(self) -> None:
        limits = [spec["limits"] for spec in sweeps_of(self.plan)]
        assert [limit["max_total_trials"] for limit in limits] == [5, 8, 11]
        assert [limit["timeout_s"] for limit in limits] == [60, 120, 240]
        assert {limit["max_concurrent_trials"] for limit in limits} == {2}

    def test_every_round_tries_other_parameters(self) -> None:
        assert [spec["sampling"]["seed"] for spec in sweeps_of(self.plan)] == [7, 8, 9]

    def test_its_inputs_are_bound_where_it_stands(self) -> None:
        prep, tune = job_at(self.plan, "prep"), job_at(self.plan, "tune")
        assert tune.upstreams == (prep.index,)
        for path in ("tune", "tune.round-3", "tune.round-3.runner-1"):
            assert job_at(self.plan, path).inputs["data"].job == prep.index

    def test_what_follows_takes_the_outputs_of_the_whole(self) -> None:
        tune, validate = job_at(self.plan, "tune"), job_at(self.plan, "validate")
        source = validate.inputs["model"]
        assert (source.job, source.output, source.type) == (tune.index, "model", "mlflow_model")
        assert tune.index in validate.upstreams
        assert self.plan.outputs == {"model": (tune.index, "model")}
        assert self.plan.jobs[0].spec["outputs"] == {"model": ["tune", "model"]}


class TestRoot:
    plan = compile_text(ROOT)

    def test_the_root_says_what_holds_for_all(self) -> None:
        plan, root = self.plan, self.plan.jobs[0]
        assert (plan.type, plan.display_name, plan.priority) == ("pipeline", "churn", 5)
        assert (plan.experiment, plan.force_rerun) == ("nightly", True)
        assert root.spec == {"rounds": {"goal": None}}
        assert plan.outputs == {"version": (0, "version")}
        assert plan.warnings == ()
        assert [job.tags for job in plan.jobs if job.role == "round"] == [{}, {}]

    def test_each_round_is_the_pipeline_with_its_own_time(self) -> None:
        assert [job.timeout_s for job in self.plan.jobs if not job.path.count(".")] == [
            None,
            60,
            60,
        ]
        assert job_at(self.plan, "round-2").spec["outputs"] == {"version": ["register", "version"]}
        assert job_at(self.plan, "round-2.fit").compute == "gpu"

    def test_inputs_of_steps_and_of_the_pipeline_can_be_widened(self) -> None:
        fits = [job_at(self.plan, f"round-{number}.fit").inputs for number in (1, 2)]
        assert [fit["n_estimators"].value for fit in fits] == [50, 150]
        assert [fit["cv"].value for fit in fits] == [3, 6]
        assert [fit["seed"].value for fit in fits] == [1, 1]

    def test_steps_bind_within_their_round(self) -> None:
        fit, register = job_at(self.plan, "round-2.fit"), job_at(self.plan, "round-2.register")
        assert register.inputs["model"].job == fit.index


def test_a_sweep_alone_can_be_repeated() -> None:
    plan = compile_sweep(objective=TARGET, repeat=TWICE)
    assert plan.type == "pipeline"
    assert [spec["limits"]["max_total_trials"] for spec in sweeps_of(plan)] == [4, 8]
    assert plan.outputs["best_value"] == (0, "best_value")


def test_a_sweep_over_a_command_keeps_the_outputs_it_declares() -> None:
    objective = {**COMMAND["objective"], "target": 0.1}  # type: ignore[dict-item]
    plan = compile_sweep(COMMAND, objective=objective, repeat={"rounds": 2})
    best = [job for job in plan.jobs if job.role == "best"]
    assert [job.spec["outputs"]["model"] for job in best] == [{"type": "mlflow_model"}] * 2
    assert plan.jobs[0].spec == {"rounds": {"goal": "minimize"}}


def test_a_pipeline_component_can_be_repeated_as_a_step() -> None:
    gate = {"component": "mlq:evaluate", "inputs": {"model": "${{parent.inputs.model}}"}}
    gate["inputs"]["data"] = "mlq:churn:1"  # type: ignore[index]
    component = {
        "type": "pipeline",
        "display_name": "Checks",
        "inputs": {"model": {"type": "mlflow_model"}, "times": {"type": "integer", "default": 1}},
        "jobs": {"gate": gate},
    }
    inputs = {"model": "models:/churn/1", "times": 2}
    repeat = {"rounds": 2, "widen": {"inputs.times": 2}}
    step = {"component": component, "inputs": inputs, "repeat": repeat}
    plan = compile_data({"type": "pipeline", "jobs": {"try": step}})
    assert job_at(plan, "try").display_name == "Checks"
    assert [job_at(plan, f"try.round-{n}").inputs["times"].value for n in (1, 2)] == [2, 4]
    assert job_at(plan, "try.round-2.gate").inputs["model"].value == "models:/churn/1"


def test_rounds_nest_and_no_seed_comes_twice() -> None:
    inner = {**TRAIN, "objective": TARGET, "repeat": {"rounds": 3}}
    plan = compile_data({"type": "pipeline", "repeat": {"rounds": 2}, "jobs": {"tune": inner}})
    assert job_at(plan, "round-2.tune.round-3.best").role == "best"
    seeds = [spec["sampling"]["seed"] for spec in sweeps_of(plan)]
    assert len(seeds) == len(set(seeds)) == 6


def test_a_pipeline_that_nothing_rejects_says_so() -> None:
    plan = compile_data(
        {"type": "pipeline", "repeat": {"rounds": 2}, "jobs": {"a": {"component": "mlq:pass"}}}
    )
    assert [warning for warning in plan.warnings if "is never repeated" in warning]


def test_rounds_can_be_set_at_submit() -> None:
    document = read_document(json.dumps({**TRAIN, "objective": TARGET}))
    plan = compile_job(apply_overrides(document, ["repeat.rounds=3"]), computes=None)
    assert len(sweeps_of(plan)) == 3


# what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "where", "suggestion"),
    [
        ("limits.max_total_trails", "limits.max_total_trails", "max_total_trials"),
        ("limit.max_total_trials", "limit", "limits"),
        ("jobs.tune.limits.timeout", "jobs", None),
        ("repeat.rounds", "repeat", None),
        ("priority", "priority", None),
    ],
)
def test_what_is_to_be_widened_must_be_there(path: str, where: str, suggestion: str | None) -> None:
    problem = sweep_problem(objective=TARGET, repeat={"rounds": 2, "widen": {path: 2}})
    assert problem.path == f"repeat.widen.{path}"
    assert f"no '{where}' to widen" in problem.message
    assert problem.suggestion == suggestion
    assert problem.line is not None


@pytest.mark.parametrize("path", ["trial", "limits", "objective.goal", ""])
def test_only_numbers_are_widened(path: str) -> None:
    problem = sweep_problem(objective=TARGET, repeat={"rounds": 2, "widen": {path: 2}})
    assert "Only a number can be widened" in problem.message


@pytest.mark.parametrize(
    "repeat",
    [{}, {"rounds": 0}, {"rounds": 21}, {"rounds": 2.5}, {"rounds": 2, "widen": {"x": 0}}, 3],
)
def test_repeat_is_checked_as_every_key(repeat: Any) -> None:
    problems = sweep_problems(objective=TARGET, repeat=repeat)
    assert all(problem.path.startswith("repeat") for problem in problems)


def test_a_repeated_sweep_needs_a_target() -> None:
    problem = sweep_problem(repeat=TWICE)
    assert (problem.path, "set objective.target" in problem.message) == ("repeat", True)


@pytest.mark.parametrize("job", ["command: echo", "component: mlq:pass"])
def test_only_sweeps_and_pipelines_are_repeated(job: str) -> None:
    problem = only_problem(f"{{type: pipeline, jobs: {{a: {{{job}, repeat: {{rounds: 2}}}}}}}}")
    assert problem.path == "jobs.a.repeat"
    assert "Only sweeps and pipelines are repeated" in problem.message


def test_a_trial_holds_no_repeated_job() -> None:
    inner = {"type": "pipeline", "repeat": {"rounds": 2}, "jobs": {"a": {"component": "mlq:train"}}}
    problems = sweep_problems(trial={"type": "pipeline", "jobs": {"inner": inner}}, inputs={})
    assert "cannot stand inside the trial" in problems[0].message


def test_a_problem_of_the_job_is_told_once_and_where_it_stands() -> None:
    problem = only_problem(
        ROOT.replace("n_estimators: 50", "n_estimators: 50\n      seed2: '${{x}}'")
    )
    assert problem.path == "jobs.fit.inputs.seed2"


def test_a_problem_of_a_later_round_names_the_round() -> None:
    repeat = {"rounds": 4, "widen": {"limits.max_total_trials": 100}}
    limit, note = sweep_problems(objective=TARGET, repeat=repeat, limits={"max_total_trials": 999})
    assert limit.path == "limits.max_total_trials"
    assert (note.path, "round-3 is not valid" in note.message) == ("repeat.widen", True)


def test_an_input_that_grows_beyond_its_port_names_the_round() -> None:
    problems = problems_of("""
type: pipeline
repeat: {rounds: 3, widen: {jobs.prep.inputs.test_size: 2, jobs.gate.inputs.seed: 2}}
jobs:
  prep: {component: mlq:preprocess, inputs: {data: "mlq:x:1", target: y, test_size: 0.3}}
  gate:
    component: mlq:evaluate
    inputs: {model: models:/m/1, data: "${{parent.jobs.prep.outputs.test}}", seed: 1}
""")
    assert [problem.path for problem in problems] == ["repeat.widen", "jobs.prep.inputs.test_size"]
    assert "round-3 is not valid" in problems[0].message


def test_numbers_do_not_grow_without_end() -> None:
    repeat = {"rounds": 20, "widen": {"inputs.max_iter": 100}}
    problem = sweep_problem(
        objective=TARGET, repeat=repeat, inputs={**TRAIN["inputs"], "max_iter": 1}
    )
    assert problem.path == "repeat.widen.inputs.max_iter"
    assert "In round 9 this would be 1e+16" in problem.message


def test_a_root_binds_no_output_to_a_parent() -> None:
    problem = sweep_problem(
        objective=TARGET, repeat=TWICE, outputs={"model": "${{parent.outputs.model}}"}
    )
    assert problem.path == "outputs.model"
