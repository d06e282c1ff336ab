"""Helpers: sweep files with one thing changed."""

from __future__ import annotations

import json
from typing import Any

from mlq.errors import SpecProblem
from mlq.spec import Plan
from tests.unit.mlq.spec.jobs import compile_data, problems_of

TRAIN: dict[str, Any] = {
    "type": "sweep",
    "trial": "mlq:train",
    "inputs": {"data": "mlq:churn:1", "target": "left", "estimator": "sklearn.svm.SVC"},
    "search_space": {"C": {"type": "uniform", "min_value": 0, "max_value": 1}},
    "sampling_algorithm": "random",
    "objective": {"primary_metric": "roc_auc", "goal": "maximize"},
    "limits": {"max_total_trials": 4},
}
#: A trial as Azure's standalone sweeps have it.
COMMAND = {
    **TRAIN,
    "trial": {"command": "fit ${{inputs.data}} --c ${{search_space.C}} -o ${{outputs.model}}"},
    "inputs": {"data": {"type": "uri_file", "path": "mlq:churn:1"}},
    "outputs": {"model": {"type": "mlflow_model"}},
    "objective": {"primary_metric": "mine", "goal": "minimize"},
}


def compile_sweep(base: dict[str, Any] = TRAIN, **changes: Any) -> Plan:
    return compile_data({**base, **changes})


def sweep_problems(base: dict[str, Any] = TRAIN, **changes: Any) -> list[SpecProblem]:
    # JSON is YAML, and so has lines
    return problems_of(json.dumps({**base, **changes}, indent=1))


def sweep_problem(base: dict[str, Any] = TRAIN, **changes: Any) -> SpecProblem:
    problems = sweep_problems(base, **changes)
    assert len(problems) == 1, problems
    return problems[0]


def choice(*values: Any) -> dict[str, Any]:
    return {"type": "choice", "values": list(values)}
