"""Sweeps: what they compile to, and what is refused before anything runs."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from mlq.spec import Plan, PlannedJob, read_document
from mlq.spec.sweep import DEFAULT_RUNNERS, MAX_GRID
from mlq.sweeps.space import parse_space
from tests.unit.mlq.spec.jobs import compile_text, job_at, only_problem
from tests.unit.mlq.spec.sweeps import (
    COMMAND,
    TRAIN,
    choice,
    compile_sweep,
    sweep_problem,
    sweep_problems,
)

PIPELINE = """
type: pipeline
settings: {default_compute: gpu}
jobs:
  prep: {component: mlq:preprocess, inputs: {data: "mlq:churn:1", target: left}}
  tune:
    type: sweep
    trial: mlq:train
    inputs:
      data: "${{parent.jobs.prep.outputs.train}}"
      recipe: "${{parent.jobs.prep.outputs.recipe}}"
      estimator: sklearn.svm.SVC
    search_space: {C: {type: loguniform, min_value: -5, max_value: -1}}
    sampling_algorithm: bayesian
    objective: {primary_metric: roc_auc, goal: maximize, target: 0.93}
    limits: {max_total_trials: 100, max_concurrent_trials: 2, timeout: 3600, trial_timeout: 5}
    early_termination: {type: median_stopping, delay_evaluation: 2}
    retries: {max_retries: 1, delay: 5}
    outputs: {model: {type: mlflow_model}}
  again:
    component: mlq:train
    inputs:
      data: "${{parent.jobs.prep.outputs.train}}"
      target: left
      estimator: sklearn.svm.SVC
      params: "${{parent.jobs.tune.outputs.best_params}}"
  validate:
    component: mlq:evaluate
    inputs:
      model: "${{parent.jobs.tune.outputs.model}}"
      data: "${{parent.jobs.prep.outputs.test}}"
"""


def spec_of(plan: Plan) -> dict[str, Any]:
    """The compiled sweep, as its runners have it."""
    runner = next(job for job in plan.jobs if job.role == "runner")
    sweep: dict[str, Any] = runner.spec["sweep"]
    return sweep


# what it compiles to ----------------------------------------------------------------------------


class TestStep:
    plan = compile_text(PIPELINE)

    def at(self, path: str) -> PlannedJob:
        return job_at(self.plan, path)

    def test_its_runners_and_its_best_are_its_children(self) -> None:
        tune, first, second, best = self.plan.jobs[2:6]
        assert (tune.type, tune.compute, tune.role, tune.component) == ("sweep", None, None, None)
        assert [job.path for job in (first, second, best)] == [
            "tune.runner-1",
            "tune.runner-2",
            "tune.best",
        ]
        assert [job.role for job in (first, second, best)] == ["runner", "runner", "best"]
        assert {(job.parent, job.type, job.compute) for job in (first, second, best)} == {
            (tune.index, "command", "gpu")
        }
        assert best.upstreams == (first.index, second.index)
        assert (first.downstreams, second.downstreams, best.downstreams) == (1, 1, 0)

    def test_indices_and_places_are_those_of_the_plan(self) -> None:
        assert [job.index for job in self.plan.jobs] == list(range(len(self.plan.jobs)))
        assert [job.ordinal for job in self.plan.jobs[3:6]] == [0, 1, 2]

    def test_no_chain_leads_into_or_out_of_a_sweep(self) -> None:
        assert {job.chain for job in self.plan.jobs} == {None}

    def test_later_steps_take_the_outputs_of_best(self) -> None:
        best = self.at("tune.best")
        source = self.at("validate").inputs["model"]
        assert (source.job, source.output) == (best.index, "model")
        assert self.at("validate").upstreams == (self.at("prep").index, self.at("tune").index)
        assert self.at("tune").spec["outputs"]["model"] == ["best", "model"]

    def test_the_best_parameters_are_an_output_for_other_steps(self) -> None:
        source = self.at("again").inputs["params"]
        assert (source.job, source.output, source.type) == (
            self.at("tune.best").index,
            "best_params",
            "object",
        )

    def test_the_compiled_sweep(self) -> None:
        runner, best = self.at("tune.runner-1"), self.at("tune.best")
        assert runner.spec == self.at("tune.runner-2").spec
        assert (runner.spec["type"], best.spec["type"]) == ("sweep-runner", "sweep-best")
        assert runner.spec["is_deterministic"] is False
        sweep = runner.spec["sweep"]
        assert sweep == best.spec["sweep"]
        assert {key: self.at("tune").spec[key] for key in sweep} == sweep
        trial = sweep.pop("trial")
        assert sweep == {
            "sampling": {"type": "bayesian", "seed": 0},
            "search_space": {"C": {"type": "loguniform", "min_value": -5, "max_value": -1}},
            "objective": {"primary_metric": "roc_auc", "goal": "maximize", "target": 0.93},
            "early_termination": {
                "type": "median_stopping",
                "evaluation_interval": 1,
                "delay_evaluation": 2,
            },
            "limits": {
                "max_total_trials": 100,
                "max_concurrent_trials": 2,
                "timeout_s": 3600,
                "trial_timeout_s": 5,
            },
        }
        sweep["trial"] = trial
        assert trial["component"] == "mlq:train"
        assert trial["timeout_s"] == 5
        assert trial["retries"]["max_retries"] == 1

    def test_what_is_fixed_is_given_to_the_runners(self) -> None:
        inputs = self.at("tune.runner-1").inputs
        assert inputs["data"].job == self.at("prep").index
        assert inputs["estimator"].value == "sklearn.svm.SVC"
        assert "C" not in inputs

    def test_its_time_is_watched_by_its_runners(self) -> None:
        assert self.at("tune").timeout_s is None
        assert self.at("tune.runner-1").timeout_s is None

    def test_best_is_retried_and_a_runner_is_not(self) -> None:
        assert [job.max_retries for job in self.plan.jobs[2:6]] == [0, 0, 0, 1]


def test_a_root_sweep_has_the_outputs_of_its_trial_and_its_own() -> None:
    plan = compile_sweep()
    assert plan.type == "sweep"
    assert plan.outputs == {"model": (5, "model"), "best_params": (5, "best_params"),
                            "best_value": (5, "best_value")}  # fmt: skip
    assert plan.assets == ("mlq:churn:1",)
    assert plan.warnings == ()


@pytest.mark.parametrize(
    ("changes", "runners"),
    [
        ({"limits": {"max_total_trials": 100}}, DEFAULT_RUNNERS),
        ({"limits": {"max_total_trials": 3}}, 3),
        ({"limits": {"max_total_trials": 100, "max_concurrent_trials": 40}}, 40),
        ({"sampling_algorithm": "grid", "search_space": {"C": choice(1, 2)}, "limits": {}}, 2),
    ],
)
def test_there_are_no_more_runners_than_trials(changes: dict[str, Any], runners: int) -> None:
    plan = compile_sweep(**changes)
    assert [job.role for job in plan.jobs[1:]] == ["runner"] * runners + ["best"]


def test_the_sweep_of_a_command_declares_its_inputs_and_outputs() -> None:
    plan = compile_sweep(COMMAND, environment_variables={"A": 1})
    trial = spec_of(plan)["trial"]
    assert trial["command"] == "fit ${{inputs.data}} --c ${{inputs.C}} -o ${{outputs.model}}"
    assert trial["outputs"] == {"model": {"type": "mlflow_model"}}
    assert trial["environment_variables"] == {"A": "1"}
    assert "component" not in trial
    assert plan.outputs.keys() == {"model", "best_params", "best_value"}


def test_a_component_with_ports_is_given_what_it_declares() -> None:
    component = {
        "command": "fit --c ${{inputs.C}} --depth ${{inputs.depth}} > ${{outputs.model}}",
        "inputs": {"C": {"type": "number"}, "depth": {"type": "integer", "default": 3}},
        "outputs": {"model": {"type": "uri_file"}},
    }
    plan = compile_sweep(COMMAND, trial=component, inputs={}, outputs={"model": None})
    assert {name: source.value for name, source in plan.jobs[1].inputs.items()} == {"depth": 3}
    assert plan.jobs[-1].spec["outputs"]["model"] == {"type": "uri_file"}


def test_a_port_with_a_default_may_be_swept_in_some_trials_only() -> None:
    component = {
        "command": "fit --c ${{inputs.C}} --depth ${{inputs.depth}}",
        "inputs": {"C": {"type": "number"}, "depth": {"type": "integer", "default": 3}},
    }
    space = {"model": choice({"C": 1}, {"C": 2, "depth": choice(4, 5)})}
    plan = compile_sweep(COMMAND, trial=component, inputs={}, search_space=space, outputs={})
    assert plan.jobs[1].inputs["depth"].value == 3
    problem = sweep_problem(
        COMMAND, trial=component, inputs={}, outputs={}, search_space={"m": choice({"C": 1}, {})}
    )
    assert "some trials of this search space are not given it" in problem.message


def test_parameters_of_conditional_spaces_reach_their_ports() -> None:
    space = {
        "model": choice(
            {"estimator": "a.B", "C": {"type": "uniform", "min_value": 0, "max_value": 1}},
            {"estimator": "a.C", "depth": {"type": "randint", "upper": 5}},
        )
    }
    inputs = {"data": "mlq:churn:1", "target": "left"}
    assert "estimator" not in compile_sweep(search_space=space, inputs=inputs).jobs[1].inputs
    space["model"]["values"][1].pop("estimator")
    problem = sweep_problem(search_space=space, inputs=inputs)
    assert problem.path == "search_space.model.values[0].estimator"
    assert "some trials" in problem.message


def test_words_of_azures_package_are_understood() -> None:
    spec = spec_of(
        compile_sweep(
            sampling_algorithm={"type": "random", "seed": 3, "rule": "Sobol"},
            objective={"primary_metric": "roc_auc", "goal": "Maximize"},
            early_termination={
                "type": "Bandit",
                "slack_factor": 0.0,
                "slack_amount": 0.2,
                "evaluation_interval": 0,
            },
        )
    )
    assert spec["sampling"] == {"type": "random", "seed": 3, "rule": "sobol"}
    assert spec["objective"]["goal"] == "maximize"
    assert spec["early_termination"] == {
        "type": "bandit",
        "evaluation_interval": 1,
        "delay_evaluation": 0,
        "slack_factor": None,
        "slack_amount": 0.2,
    }


def test_defaults_of_hyperband() -> None:
    policy = spec_of(compile_sweep(early_termination={"type": "hyperband"}))["early_termination"]
    assert (policy["min_resource"], policy["reduction_factor"]) == (1, 3)


def test_exponents_of_another_base_become_exponents_of_e() -> None:
    space = {
        "C": {"type": "loguniform", "min_value": -3, "max_value": 0},
        "m": choice({"t": {"type": "lognormal", "mu": 1, "sigma": 2}}, 7),
        "u": {"type": "uniform", "min_value": -3, "max_value": 0},
    }
    plan = compile_sweep(search_space=space, sampling_algorithm={"type": "random", "logbase": 10})
    scaled = spec_of(plan)["search_space"]
    assert math.exp(scaled["C"]["min_value"]) == pytest.approx(1e-3)
    assert scaled["C"]["max_value"] == 0
    assert math.exp(scaled["m"]["values"][0]["t"]["mu"]) == pytest.approx(10)
    assert scaled["u"] == space["u"]
    plain = compile_sweep(search_space=space, sampling_algorithm={"type": "random", "logbase": "e"})
    assert spec_of(plain)["search_space"] == parse_space(space).as_dict()


@pytest.mark.parametrize(
    "changes",
    [
        {"limits": {"timeout": 60}},
        {"limits": {}, "timeout": 60},
        {"limits": {}, "objective": {**TRAIN["objective"], "target": 0.9}},
        {"limits": {}, "sampling_algorithm": "grid", "search_space": {"C": choice(1, 2)}},
        {
            "limits": {"max_total_trials": 5},
            "sampling_algorithm": "grid",
            "search_space": {"C": {"type": "randint", "upper": 10**9}},
        },
    ],
)
def test_what_bounds_a_sweep(changes: dict[str, Any]) -> None:
    assert compile_sweep(**changes).type == "sweep"


# what is refused --------------------------------------------------------------------------------

UNIFORM = {"type": "uniform", "min_value": 0, "max_value": 1}


@pytest.mark.parametrize(
    ("changes", "path", "words", "suggestion"),
    [
        ({"search_space": {}}, "search_space", "is empty", None),
        ({"search_space": None}, "search_space", "'search_space' is required", None),
        ({"search_space": 3}, "search_space", "must be a mapping", None),
        ({"search_space": {"C": {**UNIFORM, "min_value": 2}}}, "search_space.C.min_value",
         "greater than max_value", None),
        ({"search_space": {"C": {**UNIFORM, "min_value": 1}}}, "search_space.C.max_value",
         "nothing varies", None),
        ({"search_space": {"C": {**UNIFORM, "type": "quniform", "q": 0}}}, "search_space.C.q",
         "greater than 0", None),
        ({"search_space": {"C": {**UNIFORM, "type": "unifrom"}}}, "search_space.C.type",
         "no distribution 'unifrom'", "uniform"),
        ({"search_space": {"C": choice("${{parent.inputs.x}}")}}, "search_space.C.values[0]",
         "A binding cannot stand here", None),
        ({"search_space": {"seed": UNIFORM}}, "search_space.seed", "takes an integer", None),
        ({"search_space": {"seed": choice(0, "1")}}, "search_space.seed.values[1]",
         "takes an integer; got '1' (text)", None),
        ({"search_space": {"seed": choice(-1)}}, "search_space.seed.values[0]",
         "takes at least 0", None),
        ({"search_space": {"C": UNIFORM, "recipe": choice("mlq:a:1")}},
         "search_space.recipe.values[0]", "no files", None),
        ({"inputs": {**TRAIN["inputs"], "C": 1}}, "search_space.C", "under `inputs` as well", None),
        ({"inputs": {**TRAIN["inputs"], "params": {"C": 1}}}, "search_space.C",
         "under `inputs.params` already", None),
        ({"sampling_algorithm": None}, "sampling_algorithm", "required", None),
        ({"sampling_algorithm": "bayes"}, "sampling_algorithm", "one of grid, random", "bayesian"),
        ({"sampling_algorithm": {"type": "random", "rule": "sobl"}}, "sampling_algorithm.rule",
         "one of random, sobol", "sobol"),
        ({"sampling_algorithm": {"type": "random", "logbase": 1}}, "sampling_algorithm.logbase",
         "greater than 1", None),
        ({"sampling_algorithm": {"type": "random", "seed": -1}}, "sampling_algorithm.seed",
         "at least 0", None),
        ({"sampling_algorithm": {"type": "bayesian", "rule": "sobol"}}, "sampling_algorithm.rule",
         "'bayesian' has no rule", None),
        ({"sampling_algorithm": "grid"}, "search_space.C.type", "can be counted", None),
        ({"sampling_algorithm": "grid", "limits": {},
          "search_space": {"C": {"type": "randint", "upper": 10**9}}},
         "search_space", "1,000,000,000 points", None),
        ({"limits": {}}, "limits.max_total_trials", "Nothing would end this sweep", None),
        ({"limits": {"max_total_trials": 0}}, "limits.max_total_trials", "at least 1", None),
        ({"limits": {"max_total_trials": 1, "max_concurrent_trials": 0}},
         "limits.max_concurrent_trials", "at least 1", None),
        ({"limits": {"max_total_trials": 1, "trial_timeout": 0}}, "limits.trial_timeout",
         "greater than 0", None),
        ({"limits": {"max_trials": 1}}, "limits.max_trials", "Unknown key", "max_total_trials"),
        ({"limits": {"max_total_trials": 1, "timeout": 5}, "timeout": 6}, "timeout", "keep one",
         None),
        ({"early_termination": {"type": "bandit"}}, "early_termination", "one of slack_factor",
         None),
        ({"early_termination": {"type": "bandit", "slack_factor": 1, "slack_amount": 1}},
         "early_termination", "one of slack_factor", None),
        ({"early_termination": {"type": "truncation_selection"}},
         "early_termination.truncation_percentage", "required", None),
        ({"early_termination": {"type": "truncation_selection", "truncation_percentage": 100}},
         "early_termination.truncation_percentage", "at most 99", None),
        ({"early_termination": {"type": "median_stopping", "slack_factor": 1}},
         "early_termination.slack_factor", "belongs to the policy 'bandit'", None),
        ({"early_termination": {"type": "hyperbnd"}}, "early_termination.type", "must be one of",
         "hyperband"),
        ({"trial": None}, "trial", "'trial' is required", None),
        ({"trial": "mlq:trian"}, "trial", "no component", "mlq:train"),
        ({"trial": "./train.yml"}, "trial", "`mlq job create` puts such files", None),
        ({"trial": 3}, "trial", "component's name or definition", None),
        ({"trial": TRAIN}, "trial", "cannot itself be a sweep", None),
        ({"trial": {"component": "mlq:train"}}, "trial.component", "`trial: mlq:train`", None),
        ({"trial": {"command": "x", "code": "./src"}}, "trial.code", "on your machine", None),
        ({"trail": 1}, "trail", "Unknown key", "trial"),
    ],
)  # fmt: skip
def test_one_wrong_key(
    changes: dict[str, Any], path: str, words: str, suggestion: str | None
) -> None:
    problem = sweep_problem(**changes)
    assert problem.path == path
    assert words in problem.message
    assert problem.suggestion == suggestion
    assert problem.file == "job.yml"
    text = json.dumps({**TRAIN, **changes}, indent=1)
    assert problem.line == read_document(text).line_of(path)


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"trial": {"command": "x ${{search_space.D}}"}}, "trial.command", "no such parameter"),
        ({"trial": {"command": "x ${{inputs.D}}"}}, "trial.command", "no such input"),
        ({"search_space": {"C": choice(1), "m": choice({"D": 1}, {"E": 1})},
          "trial": {"command": "x ${{search_space.C}} ${{search_space.D}} $[[${{inputs.E}}]]"}},
         "trial.command", "some trials are not given"),
        ({"trial": {"command": "x", "inputs": {"D": {"type": "number"}}}, "inputs": {"D": 1}},
         "search_space.C", "no input 'C'"),
        ({"trial": {"command": "x ${{inputs.C}}", "inputs": {"C": {"type": "boolean"}}},
          "inputs": {}}, "search_space.C", "takes true or false"),
        ({"trial": {"command": "x ${{inputs.C}}", "inputs": {"C": {"type": "number", "max": 0.5}}},
          "inputs": {}}, "search_space.C", "takes at most 0.5"),
        ({"trial": {"command": "x ${{inputs.C}}", "outputs": {"best_value": None}},
          "outputs": {}}, "trial.outputs.best_value", "an output 'best_value' of its own"),
    ],
)  # fmt: skip
def test_what_a_command_cannot_be_given(changes: dict[str, Any], path: str, words: str) -> None:
    problem = sweep_problem(COMMAND, **{"outputs": {}, **changes})
    assert problem.path == path
    assert words in problem.message


@pytest.mark.parametrize(
    ("space", "path"),
    [
        ({"C": choice(1, None)}, "search_space.C.values[1]"),
        ({"m": choice({"C": 1}, {"C": None})}, "search_space.m.values[1].C"),
    ],
)
def test_null_reaches_no_command(space: dict[str, Any], path: str) -> None:
    trial = {"command": "x ${{inputs.C}}"}
    changes = {"search_space": space, "trial": trial, "inputs": {}, "outputs": {}}
    problem = sweep_problem(COMMAND, **changes)
    assert problem.path == path
    assert "cannot be given null" in problem.message
    assert problem.file == "job.yml"
    text = json.dumps({**COMMAND, **changes}, indent=1)
    assert problem.line == read_document(text).line_of(path)


def test_a_parameter_of_an_estimator_may_be_null() -> None:
    space = {"max_depth": choice(None, 3)}
    plan = compile_sweep(search_space=space)
    assert plan.jobs[0].spec["search_space"] == space


def test_bounds_of_a_log_type_reach_the_bounds_of_the_port() -> None:
    component = {"command": "x ${{inputs.C}}", "inputs": {"C": {"type": "number", "max": 0.1}}}
    space = {"C": {"type": "loguniform", "min_value": -3, "max_value": math.log(0.1)}}
    assert compile_sweep(COMMAND, trial=component, inputs={}, outputs={}, search_space=space)


def test_a_parameter_that_the_command_does_not_use_is_said() -> None:
    plan = compile_sweep(COMMAND, trial={"command": "x ${{inputs.data}}"}, outputs={})
    assert plan.warnings == ("The command of the trial does not use 'C' of the search space.",)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    problems = sweep_problems(
        trial="mlq:trian",
        search_space={"C": {"type": "uniform"}, "D": {"type": "x"}},
        objective={"goal": "up"},
        limits={"max_total_trials": 0},
    )
    assert {problem.path for problem in problems} == {
        "trial",
        "search_space.C",
        "search_space.D.type",
        "objective.goal",
        "objective.primary_metric",
        "limits.max_total_trials",
    }


def test_a_type_may_be_left_out() -> None:
    assert compile_sweep({k: v for k, v in TRAIN.items() if k != "type"}).type == "sweep"


def test_search_space_names_nothing_outside_a_trial() -> None:
    problem = only_problem("command: x ${{search_space.C}}")
    assert "cannot stand in a command" in problem.message


def test_a_large_grid_needs_a_number_of_trials() -> None:
    space = {"a": {"type": "randint", "upper": MAX_GRID + 1}}
    assert (
        "points" in sweep_problem(search_space=space, sampling_algorithm="grid", limits={}).message
    )
    space["a"]["upper"] = MAX_GRID
    assert compile_sweep(search_space=space, sampling_algorithm="grid", limits={})
