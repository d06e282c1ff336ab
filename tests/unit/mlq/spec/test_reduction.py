"""The part of a plan that one job's inputs come from."""

from __future__ import annotations

import pytest

from mlq.spec.reduction import up_to
from tests.unit.mlq.spec.jobs import compile_text

PIPELINE = """\
type: pipeline
inputs: {data: {type: uri_file, path: "mlq:d:1"}}
jobs:
  prep: {component: mlq:preprocess, inputs: {data: "${{parent.inputs.data}}", target: t, test_size: 0.2}}
  tune:
    type: sweep
    trial: mlq:train
    inputs: {data: "${{parent.jobs.prep.outputs.train}}", estimator: sklearn.linear_model.Ridge}
    search_space: {alpha: {type: choice, values: [1, 2]}}
    sampling_algorithm: grid
    objective: {primary_metric: r2, goal: maximize}
    limits: {max_concurrent_trials: 2}
    outputs: {model: {type: mlflow_model}}
  other: {component: mlq:preprocess, inputs: {data: "mlq:e:1", target: t, test_size: 0.2}}
  check: {component: mlq:evaluate, inputs: {model: "${{parent.jobs.tune.outputs.model}}", data: "${{parent.jobs.prep.outputs.test}}"}}
  keep: {component: mlq:register, inputs: {model: "${{parent.jobs.tune.outputs.model}}", name: m, report: "${{parent.jobs.check.outputs.report}}"}}
  after: {component: mlq:deploy, inputs: {model: "${{parent.jobs.keep.outputs.version}}", endpoint: m}}
"""  # noqa: E501


def test_what_a_step_came_from_without_itself_and_what_follows() -> None:
    plan = up_to(compile_text(PIPELINE), "keep")
    assert [job.path for job in plan.jobs] == [
        "",
        "prep",
        "tune",
        "tune.runner-1",
        "tune.runner-2",
        "tune.best",
        "check",
    ]
    assert plan.assets == ("mlq:d:1",), "what nobody needs is not looked for"
    for place, job in enumerate(plan.jobs):
        assert job.index == place
        assert job.parent is None or plan.jobs[job.parent].index < place
        assert all(up < len(plan.jobs) for up in job.upstreams)
    paths = {job.path: job for job in plan.jobs}
    assert paths["check"].inputs["model"].job == paths["tune.best"].index
    assert paths["check"].downstreams == 0
    assert paths["prep"].downstreams == 2


def test_a_step_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        up_to(compile_text(PIPELINE), "gone")
