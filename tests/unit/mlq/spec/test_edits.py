"""--set, local paths, component files."""

from __future__ import annotations

import pytest

from mlq.errors import SpecError
from mlq.spec import (
    apply_overrides,
    compile_job,
    find_component_files,
    find_local_paths,
    read_document,
    replace,
)

TEXT = """\
type: pipeline
inputs:
  raw: {type: uri_file, path: ./churn.csv}
  rate: {type: number, default: 0.1}
  target: churned
jobs:
  prep:
    component: mlq:preprocess
    inputs: {data: "${{parent.inputs.raw}}", target: "${{parent.inputs.target}}"}
  other:
    component: mlq:preprocess
    inputs: {data: local.csv, target: y, types: {path: x.csv}}
  own: {component: ./own.yml}
  nested:
    type: pipeline
    jobs:
      deep: {command: "true", inputs: {x: {type: uri_folder, path: data/}}}
      inline: {component: {type: pipeline, jobs: {far: {component: far.yaml}}}}
"""


def test_set() -> None:
    document = read_document(TEXT)
    changed = apply_overrides(
        document,
        [
            "inputs.target=left",
            "inputs.raw=mlq:churn@latest",
            "inputs.rate=0.5",
            "settings.force_rerun=true",
            "display_name=mine",
            "jobs.prep.inputs.test_size=0.3",
            "inputs.target=gone",
        ],
    ).data
    assert changed["inputs"] == {
        "raw": {"type": "uri_file", "path": "mlq:churn@latest"},
        "rate": {"type": "number", "default": 0.1, "value": 0.5},
        "target": "gone",
    }
    assert changed["settings"] == {"force_rerun": True}
    assert changed["display_name"] == "mine"
    assert changed["jobs"]["prep"]["inputs"]["test_size"] == 0.3
    assert document.data["inputs"]["target"] == "churned"


@pytest.mark.parametrize(
    ("override", "words", "suggestion", "line"),
    [
        ("inputs.targt=x", "no input 'targt'", "target", 2),
        ("job.prep.compute=gpu", "no 'job'", "jobs", 1),
        ("jobs.pre.compute=gpu", "no 'pre'", "prep", 6),
        ("display_nam=x", "no key 'display_nam'", "display_name", 1),
        ("type.x=1", "no 'type' to set", None, 1),
        ("inputs.target", "is not PATH=VALUE", None, 1),
        ("=1", "is not PATH=VALUE", None, 1),
        ("inputs.target=[1", "cannot be read", None, 5),
        ("inputs.target=1e400", "The value of '--set inputs.target=1e400' cannot", None, 5),
    ],
)
def test_set_refuses_unknown_paths(
    override: str, words: str, suggestion: str | None, line: int
) -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides(read_document(TEXT, file="job.yml"), [override])
    (problem,) = caught.value.problems
    assert words in problem.message
    assert problem.file == "job.yml"
    assert problem.line == line
    if suggestion is not None:
        assert problem.suggestion == suggestion


def test_local_paths_are_found_and_replaced() -> None:
    document = read_document(TEXT)
    assert find_local_paths(document) == [
        ("inputs.raw.path", "./churn.csv"),
        ("jobs.other.inputs.data", "local.csv"),
        ("jobs.nested.jobs.deep.inputs.x.path", "data/"),
    ]
    for path, _ in find_local_paths(document):
        document = replace(document, path, "mlq:churn:1")
    assert find_local_paths(document) == []


def test_component_files_are_found() -> None:
    assert find_component_files(read_document(TEXT)) == [
        ("jobs.own.component", "./own.yml"),
        ("jobs.nested.jobs.inline.component.jobs.far.component", "far.yaml"),
    ]


def test_an_edited_job_compiles() -> None:
    document = apply_overrides(
        read_document("type: command\ninputs: {x: {type: integer}}\ncommand: 'run ${{inputs.x}}'"),
        ["inputs.x=3"],
    )
    assert compile_job(document, computes=None).jobs[0].inputs["x"].value == 3


SWEEP = """\
type: pipeline
jobs:
  tune:
    type: sweep
    trial: mlq:train
    inputs: {data: rows.csv, target: y, estimator: e}
    search_space: {C: {type: uniform, min_value: 0, max_value: 1}}
    objective: {primary_metric: r2, goal: maximize}
  own:
    type: sweep
    trial: ./own.yml
    inputs: {data: {type: uri_file, path: mine.csv}}
  inline:
    type: sweep
    trial:
      type: pipeline
      jobs: {deep: {component: deep.yml, inputs: {x: {type: uri_file, path: deep.csv}}}}
"""


def test_files_of_sweeps_are_found() -> None:
    document = read_document(SWEEP)
    assert find_local_paths(document) == [
        ("jobs.tune.inputs.data", "rows.csv"),
        ("jobs.own.inputs.data.path", "mine.csv"),
        ("jobs.inline.trial.jobs.deep.inputs.x.path", "deep.csv"),
    ]
    assert find_component_files(document) == [
        ("jobs.own.trial", "./own.yml"),
        ("jobs.inline.trial.jobs.deep.component", "deep.yml"),
    ]


def test_set_in_a_sweep() -> None:
    root = read_document(
        "trial: mlq:train\nsampling_algorithm: random\ninputs: {data: mlq:a:1, estimator: e}\n"
        "search_space: {C: {type: uniform, min_value: 0, max_value: 1}}\n"
        "objective: {primary_metric: r2, goal: maximize}"
    )
    changed = apply_overrides(
        root,
        [
            "limits.max_total_trials=3",
            "objective.target=0.5",
            "search_space.C.max_value=2",
            "early_termination.type=median_stopping",
            "sampling_algorithm=bayesian",
        ],
    )
    spec = compile_job(changed, computes=None).jobs[0].spec
    assert spec["limits"]["max_total_trials"] == 3
    assert spec["objective"]["target"] == 0.5
    assert spec["search_space"]["C"]["max_value"] == 2
    assert spec["early_termination"]["type"] == "median_stopping"
    with pytest.raises(SpecError) as caught:
        apply_overrides(root, ["objectiv=1"])
    assert caught.value.problems[0].suggestion == "objective"
