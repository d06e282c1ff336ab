"""Objectives against what the trials of a sweep can report."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.mlq.spec.sweeps import COMMAND, TRAIN, choice, compile_sweep, sweep_problem


def aim(metric: str, goal: str = "maximize", target: float | None = None) -> dict[str, Any]:
    return {"primary_metric": metric, "goal": goal, "target": target}


@pytest.mark.parametrize(
    ("objective", "key", "words", "suggestion"),
    [
        (aim("roc_acu"), "primary_metric", "no metric 'roc_acu'", "roc_auc"),
        (aim("neg_log_loss", target=-0.3), "primary_metric",
         "`primary_metric: log_loss` with `goal: minimize` and `target: 0.3`", "log_loss"),
        (aim("log_loss"), "goal", "better when it is smaller", "minimize"),
        (aim("roc_auc", "minimize"), "goal", "better when it is larger", "maximize"),
        (aim("log_loss", "minimize", -0.3), "target", "errors are stored positive", "0.3"),
        (aim("accuracy", target=-0.9), "target", "every trial would reach it", "0.9"),
        (aim("accuracy", target=93), "target", "never above 1", "0.93"),
        (aim("r2", target=1.5), "target", "never above 1", None),
        (aim("matthews_corrcoef", target=-2), "target", "never below -1", None),
    ],
)  # fmt: skip
def test_an_objective_that_mlq_train_cannot_reach(
    objective: dict[str, Any], key: str, words: str, suggestion: str | None
) -> None:
    problem = sweep_problem(objective=objective)
    assert problem.path == f"objective.{key}"
    assert words in problem.message
    assert problem.suggestion == suggestion


@pytest.mark.parametrize(
    "objective",
    [
        aim("log_loss", "minimize", 0.0),
        aim("r2", target=-3),
        aim("accuracy", target=1),
        aim("positive_likelihood_ratio", target=20),
        aim("precision"),
    ],
)
def test_an_objective_that_it_can(objective: dict[str, Any]) -> None:
    assert compile_sweep(objective=objective)


def test_a_command_reports_what_it_likes() -> None:
    assert compile_sweep(COMMAND, objective=aim("neg_log_loss", target=-0.3))
    assert compile_sweep(COMMAND, objective=aim("accuracy", target=93))


@pytest.mark.parametrize("component", ["mlq:preprocess", "mlq:pass"])
def test_a_component_without_metrics_cannot_be_compared(component: str) -> None:
    problem = sweep_problem(
        trial=component,
        inputs={"data": "mlq:a:1", "target": "y"} if component == "mlq:preprocess" else {},
        search_space={"test_size" if component == "mlq:preprocess" else "x": choice(0.1, 0.2)},
    )
    assert problem.path == "trial"
    assert f"{component} reports no metric" in problem.message


def test_trials_of_mlq_train_are_cross_validated() -> None:
    problem = sweep_problem(inputs={**TRAIN["inputs"], "cv": 0})
    assert (problem.path, "cv must not be 0" in problem.message) == ("inputs.cv", True)
    problem = sweep_problem(search_space={"cv": choice(3, 0)})
    assert problem.path == "search_space.cv.values[1]"
    assert compile_sweep(search_space={"cv": choice(3, 5)})


class TestPipeline:
    """A trial of several steps."""

    @staticmethod
    def changes(metric: str, **inputs: Any) -> dict[str, Any]:
        train = {"data": "mlq:a:1", "target": "y", "estimator": "e", **inputs}
        jobs = {
            "train": {
                "component": "mlq:train",
                "inputs": {**train, "C": "${{parent.inputs.C}}"},
            },
            "validate": {
                "component": "mlq:evaluate",
                "inputs": {
                    "model": "${{parent.jobs.train.outputs.model}}",
                    "data": "mlq:b:1",
                },
            },
            "register": {
                "component": "mlq:register",
                "inputs": {"model": "${{parent.jobs.train.outputs.model}}", "name": "m"},
            },
        }
        return {
            "trial": {"type": "pipeline", "jobs": jobs},
            "inputs": {},
            "objective": aim(metric),
        }

    @pytest.mark.parametrize(
        ("metric", "name", "leaves"),
        [
            ("roc_auc", "roc_auc", ["validate", "train"]),
            ("train.roc_auc", "roc_auc", ["train"]),
            ("validate.roc_auc", "roc_auc", ["validate"]),
        ],
    )
    def test_the_last_step_that_has_the_metric_is_asked_first(
        self, metric: str, name: str, leaves: list[str]
    ) -> None:
        plan = compile_sweep(**self.changes(metric)).jobs[0].spec["trial"]["plan"]
        assert plan["metric"]["name"] == name
        assert [plan["jobs"][index]["name"] for index in plan["metric"]["jobs"]] == leaves

    @pytest.mark.parametrize(
        ("metric", "path", "words"),
        [
            ("train.roc_acu", "objective.primary_metric", "no metric 'roc_acu'"),
            ("tarin.roc_auc", "objective.primary_metric", "no metric 'tarin.roc_auc'"),
            ("register.roc_auc", "objective.primary_metric", "No step of the trial reports"),
            ("precision", "trial.jobs.validate.inputs", "`scoring: precision`"),
        ],
    )
    def test_no_step_has_it(self, metric: str, path: str, words: str) -> None:
        problem = sweep_problem(**self.changes(metric))
        assert problem.path == path
        assert words in problem.message

    def test_a_step_that_is_told_to_measure_it_has_it(self) -> None:
        assert compile_sweep(**self.changes("precision", scoring="precision"))
