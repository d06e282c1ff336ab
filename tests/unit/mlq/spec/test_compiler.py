"""From files to plans: order, chains, computes, limits of time; and nothing but SpecError."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlq.errors import SpecError
from mlq.spec import Document, Plan, compile_job, spec_digest
from tests.unit.mlq.spec.jobs import (
    SAMPLES,
    compile_data,
    compile_text,
    job_at,
    only_problem,
    problems_of,
    step,
)


def sample(name: str) -> Plan:
    return compile_text((SAMPLES / name).read_text(), computes=frozenset({"cpu"}))


def test_the_loop() -> None:
    plan = sample("penguins.yml")
    assert [job.path for job in plan.jobs] == [
        "",
        "prep",
        "train",
        "validate",
        "register",
        "deploy",
    ]
    assert [job.upstreams for job in plan.jobs] == [(), (), (1,), (1, 2), (2, 3), (4,)]
    assert [job.is_deterministic for job in plan.jobs[1:]] == [True, True, True, False, False]
    assert [(job.chain, job.chain_position) for job in plan.jobs[4:]] == [(4, 0), (4, 1)]
    assert plan.assets == ("mlq:penguins@latest",)
    assert plan.experiment == "penguins"
    assert plan.warnings == ()


def test_a_line_is_one_chain() -> None:
    plan = sample("line5.yml")
    assert [job.chain for job in plan.jobs] == [None, 1, 1, 1, 1, 1]
    assert [job.chain_position for job in plan.jobs[1:]] == [0, 1, 2, 3, 4]
    assert [job.downstreams for job in plan.jobs[1:]] == [1, 1, 1, 1, 0]
    assert plan.outputs == {"value": (5, "value")}
    assert plan.experiment == "Default"


def test_a_diamond_has_no_chain() -> None:
    plan = sample("diamond.yml")
    assert {job.chain for job in plan.jobs} == {None}
    assert job_at(plan, "top").downstreams == 2
    assert job_at(plan, "bottom").upstreams == (2, 3)


def test_chains_break_at_pipelines() -> None:
    plan = sample("nested3.yml")
    assert [(job.path, job.chain) for job in plan.jobs if job.chain is not None] == [
        ("outer.inner.a", 5),
        ("outer.inner.b", 5),
    ]


def test_a_command_is_a_plan_of_one() -> None:
    plan = sample("command.yml")
    (job,) = plan.jobs
    assert (plan.type, job.type, job.parent, job.path, job.compute) == (
        "command",
        "command",
        None,
        "",
        "cpu",
    )
    assert job.spec["environment_variables"] == {"GREETED": "world"}
    assert job.spec["outputs"] == {"answer": {"type": "uri_file"}}
    assert job.timeout_s == 60
    assert job.is_deterministic is False
    assert plan.outputs == {"answer": (0, "answer")}


@pytest.mark.parametrize(
    ("step", "component", "spec"),
    [
        (None, None, None),
        (True, None, None),
        (False, None, False),
        (None, False, False),
        (True, False, None),
    ],
)
def test_warm_starts_are_switched_off_by_the_step_or_its_component(
    step: bool | None, component: bool | None, spec: bool | None
) -> None:
    inline = {"type": "command", "command": "python train.py"}
    plan = compile_data(
        {
            "type": "pipeline",
            "jobs": {
                "a": {"component": {**inline, "warm_start": component}, "warm_start": step},
            },
        }
    )
    assert job_at(plan, "a").spec.get("warm_start") is spec


def test_what_the_root_says() -> None:
    plan = compile_text(
        """
type: pipeline
name: nightly
description: all of it
tags: {team: risk, year: 2026}
experiment_name: churn
priority: -5
settings: {continue_on_step_failure: true, force_rerun: true}
jobs:
  a: {command: x, display_name: First, description: d, tags: {k: v}, is_deterministic: true}
"""
    )
    assert (plan.display_name, plan.jobs[0].name, plan.experiment) == (
        "nightly",
        "nightly",
        "churn",
    )
    assert (plan.description, plan.tags) == ("all of it", {"team": "risk", "year": "2026"})
    assert (plan.priority, plan.force_rerun) == (-5, True)
    assert plan.jobs[0].spec["continue_on_step_failure"] is True
    a = plan.jobs[1]
    assert (a.display_name, a.name, a.description, a.tags) == ("First", "a", "d", {"k": "v"})
    assert a.is_deterministic is True


def test_timeouts_and_retries() -> None:
    plan = compile_text(
        """
type: pipeline
timeout: 100
jobs:
  a: {command: x, timeout: 1.5, retries: 3}
  b:
    command: x
    limits: {timeout: 60}
    retries: {max_retries: 2, delay: 0, backoff: 1, max_delay: 9}
  c: {command: x}
"""
    )
    root, a, b, c = plan.jobs
    assert [job.timeout_s for job in plan.jobs] == [100, 1.5, 60, None]
    assert [job.max_retries for job in plan.jobs] == [0, 3, 2, 0]
    assert b.spec["retries"] == {"max_retries": 2, "delay_s": 0, "backoff": 1, "max_delay_s": 9}
    assert a.spec["retries"]["delay_s"] == c.spec["retries"]["delay_s"] == 1
    assert root.spec["timeout_s"] == 100


def test_what_steps_demand_beside_a_slot() -> None:
    plan = compile_text("""\
type: pipeline
jobs:
  plain: {command: "true"}
  features: {command: "true", limits: {concurrency: store, timeout: 60}}
  train:
    command: "true"
    resources: {gpu_memory: 1.5GiB, instance_count: 1}
    limits: {concurrency: [licence, store, licence]}
    distribution: {type: pytorch, process_count_per_instance: 4}
  tune:
    type: sweep
    trial: {type: command, command: "true ${{search_space.x}}", resources: {gpu_memory: 500Mi}}
    search_space: {x: {type: choice, values: [1, 2]}}
    sampling_algorithm: grid
    objective: {primary_metric: m, goal: maximize}
    limits: {concurrency: store, max_concurrent_trials: 2}
""")
    demands = {job.path: dict(job.demands) for job in plan.jobs if job.demands}
    sweep = {"limits": ["store"], "gpu_memory_bytes": 500 << 20}
    assert demands == {
        "features": {"limits": ["store"]},
        "train": {"limits": ["licence", "store"], "gpu_memory_bytes": 3 << 29},
        "tune.runner-1": sweep,
        "tune.runner-2": sweep,
    }
    processes = {job.path: job.spec.get("processes") for job in plan.jobs}
    assert {path: count for path, count in processes.items() if count} == {"train": 4}
    assert job_at(plan, "features").spec == {**job_at(plan, "plain").spec, "timeout_s": 60.0}, (
        "what it waits for does not change what it computes, nor whether it is reused"
    )


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (
            "type: pipeline\nlimits: {concurrency: a}\njobs: {x: {command: 'true'}}\n",
            "limits.concurrency",
            "set limits.concurrency on its steps",
        ),
        ("command: 'true'\nlimits: {concurrency: '?'}\n", "limits.concurrency[0]", ""),
    ],
)
def test_demands_that_cannot_be(text: str, path: str, words: str) -> None:
    problem = only_problem(text)
    assert problem.path == path
    assert words in problem.message


def test_computes_are_inherited() -> None:
    plan = compile_text(
        """
type: pipeline
settings: {default_compute: azureml:gpu-cluster}
jobs:
  a: {command: x}
  b: {command: x, compute: azureml:big}
  c: {type: pipeline, settings: {default_compute: small}, jobs: {d: {command: x}}}
  e: {type: pipeline, jobs: {f: {command: x}}}
""",
        compute_aliases={"gpu-cluster": "gpu"},
    )
    leaves = {job.path: job.compute for job in plan.jobs if job.type == "command"}
    assert leaves == {"a": "gpu", "b": "big", "c.d": "small", "e.f": "gpu"}
    assert compile_text("command: x", default_compute="any").jobs[0].compute == "any"


def test_an_unknown_compute_is_named_where_it_is_written() -> None:
    problem = only_problem(
        "type: pipeline\nsettings:\n  default_compute: gpuu\n"
        "jobs: {a: {command: x}, b: {command: x}}",
        computes=frozenset({"cpu", "gpu"}),
    )
    assert (problem.path, problem.line) == ("settings.default_compute", 3)
    assert problem.suggestion == "gpu"
    assert "`mlq worker -Q gpuu`" in problem.message
    problem = only_problem("command: x", computes=frozenset())
    assert "There are none yet" in problem.message


def test_a_pipeline_written_for_azure() -> None:
    plan = compile_text(
        """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
inputs:
  images: {type: uri_folder, path: azureml:cifar@latest, mode: ro_mount}
outputs:
  trained:
settings: {default_compute: azureml:cpu-cluster, default_datastore: azureml:blobs}
jobs:
  prep:
    type: command
    inputs: {raw: "${{parent.inputs.images}}"}
    outputs: {clean: }
    environment: azureml:AzureML-sklearn-1.5@latest
    command: >-
      python /srv/prep.py --raw ${{inputs.raw}} --clean ${{outputs.clean}}
  train:
    type: command
    compute: azureml:gpu-cluster
    inputs:
      data: {type: uri_folder, path: "${{parent.jobs.prep.outputs.clean}}", mode: download}
      epochs: 10
    outputs: {model: "${{parent.outputs.trained}}"}
    environment: azureml:AzureML-sklearn-1.5@latest
    resources: {instance_count: 1}
    limits: {timeout: 3600}
    command: python /srv/train.py --epochs ${{inputs.epochs}} ${{inputs.data}} ${{outputs.model}}
""",
        compute_aliases={"cpu-cluster": "cpu", "gpu-cluster": "gpu"},
        computes=frozenset({"cpu", "gpu"}),
    )
    assert [job.compute for job in plan.jobs] == [None, "cpu", "gpu"]
    assert plan.assets == ("mlq:cifar@latest",)
    assert plan.outputs == {"trained": (2, "model")}
    assert plan.jobs[2].chain == 1


def test_a_spec_is_the_same_from_run_to_run() -> None:
    first, second = sample("penguins.yml"), sample("penguins.yml")
    assert [spec_digest(job.spec) for job in first.jobs] == [
        spec_digest(job.spec) for job in second.jobs
    ]


def test_all_problems_of_a_file_come_at_once() -> None:
    text = "type: pipeline\njobs:\n  a: {component: mlq:pas}\n"
    text += "  b: {component: mlq:pass, comput: x}\n  c: {type: spark}"
    assert [problem.path for problem in problems_of(text)] == [
        "jobs.a.component",
        "jobs.b.comput",
        "jobs.c.type",
    ]


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, Any]:
    """A random DAG of up to 40 steps, some of them pipelines of one step."""
    jobs: dict[str, Any] = {}
    for number in range(draw(st.integers(1, 40))):
        names = sorted(jobs)
        above = draw(st.sets(st.sampled_from(names), max_size=3)) if names else set()
        made = step(*sorted(above))
        if draw(st.integers(0, 4)) == 0:
            inputs = {name: f"${{{{parent.inputs.{name}}}}}" for name in made["inputs"]}
            made = {
                "type": "pipeline",
                "inputs": made["inputs"],
                "outputs": {"value": "${{parent.jobs.in.outputs.value}}"},
                "jobs": {"in": {"component": "mlq:pass", "inputs": inputs}},
            }
        jobs[f"s{number}"] = made
    names = draw(st.permutations(sorted(jobs)))
    return {"type": "pipeline", "jobs": {name: jobs[name] for name in names}}


@settings(deadline=None)  # the machine may be busy
@given(pipelines())
def test_random_pipelines(data: dict[str, Any]) -> None:
    plan = compile_data(data)
    by_path = {job.path: job for job in plan.jobs}
    assert [job.index for job in plan.jobs] == list(range(len(plan.jobs)))
    waited = [0] * len(plan.jobs)
    for job in plan.jobs:
        assert job.parent is None or job.parent < job.index
        for above in job.upstreams:
            assert above < job.index
            assert plan.jobs[above].parent == job.parent
            waited[above] += 1
        for source in job.inputs.values():
            assert source.job is not None
            assert source.job < job.index
            assert plan.jobs[source.job].type == "command"
    assert waited == [job.downstreams for job in plan.jobs]
    for name, raw in data["jobs"].items():
        expected = {by_path[text.split(".")[2]].index for text in raw["inputs"].values()}
        assert set(by_path[name].upstreams) == expected
    siblings: dict[int | None, list[int]] = {}
    for job in plan.jobs:
        siblings.setdefault(job.parent, []).append(job.ordinal)
    assert all(ordinals == list(range(len(ordinals))) for ordinals in siblings.values())
    chains: dict[int, list[int]] = {}
    for job in plan.jobs:
        if job.chain is not None:
            assert job.type == "command"
            chains.setdefault(job.chain, []).append(job.chain_position)
            if job.chain_position:
                (above,) = job.upstreams
                assert plan.jobs[above].chain == job.chain
                assert plan.jobs[above].chain_position == job.chain_position - 1
                assert plan.jobs[above].downstreams == 1
    for head, positions in chains.items():
        assert plan.jobs[head].chain == head
        assert sorted(positions) == list(range(len(positions)))
        assert 2 <= len(positions) <= 20


def test_a_line_of_fifty_is_three_chains() -> None:
    jobs = {f"s{n}": step(*([f"s{n - 1}"] if n else [])) for n in range(50)}
    plan = compile_data({"type": "pipeline", "jobs": jobs})
    assert [job.chain for job in plan.jobs[1:]] == [1] * 20 + [21] * 20 + [41] * 10


WORDS = st.sampled_from(
    ["type", "pipeline", "command", "component", "mlq:train", "mlq:pass", "jobs", "inputs",
     "outputs", "a", "b", "c", "value", "data", "path", "uri_file", "string", "number",
     "settings", "default_compute", "limits", "timeout", "retries", "environment", "optional",
     "default", "enum", "min", "max", "code", "compute", "tags", "identity", "trial", "sweep",
     "search_space", "objective", "primary_metric", "goal", "maximize", "sampling_algorithm",
     "grid", "random", "choice", "values", "max_total_trials", "$schema", "<<"]
)  # fmt: skip
TEXTS = WORDS | st.text(max_size=5) | st.sampled_from(
    ["${{parent.inputs.a}}", "${{parent.jobs.a.outputs.value}}", "${{parent.jobs.b.inputs.a}}",
     "${{parent.outputs.a}}", "${{inputs.a}}", "$[[", "${{", "mlq:a:1", "models:/a/1", "./a"]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, width=16) | TEXTS
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=25,
)
STEPS = st.fixed_dictionaries(
    {},
    optional={
        "component": st.sampled_from(["mlq:train", "mlq:pass", "mlq:register"]) | NESTED,
        "command": TEXTS | NESTED,
        "type": TEXTS,
        "inputs": st.dictionaries(WORDS, NESTED, max_size=4) | NESTED,
        "outputs": st.dictionaries(WORDS, NESTED, max_size=4) | NESTED,
        "jobs": st.dictionaries(WORDS, NESTED, max_size=3),
        "settings": NESTED,
        "compute": NESTED,
    },
)
DRAWN = st.fixed_dictionaries(
    {"type": st.sampled_from(["choice", "uniform", "qlognormal", "randint"])},
    optional={
        "values": st.lists(NESTED, max_size=3),
        "min_value": SCALARS,
        "max_value": SCALARS,
        "q": SCALARS,
        "mu": SCALARS,
        "sigma": SCALARS,
        "upper": SCALARS,
    },
)
TRIALS = st.sampled_from(["mlq:train", "mlq:pass"]) | STEPS | NESTED
SWEEPS = st.fixed_dictionaries(
    {"trial": TRIALS | st.fixed_dictionaries({"jobs": st.dictionaries(WORDS, STEPS, max_size=3)})},
    optional={
        "search_space": st.dictionaries(WORDS, DRAWN | NESTED, max_size=3) | NESTED,
        "sampling_algorithm": st.sampled_from(["grid", "random", "bayesian"]) | NESTED,
        "objective": st.just({"primary_metric": "r2", "goal": "maximize"}) | NESTED,
        "early_termination": st.just({"type": "bandit", "slack_factor": 1}) | NESTED,
        "limits": st.just({"max_total_trials": 2}) | NESTED,
        "inputs": st.dictionaries(WORDS, NESTED, max_size=4) | NESTED,
        "outputs": st.dictionaries(WORDS, NESTED, max_size=4) | NESTED,
    },
)
FILES = st.fixed_dictionaries(
    {
        "type": st.just("pipeline") | TEXTS,
        "jobs": st.dictionaries(WORDS, STEPS | SWEEPS, max_size=4),
    },
    optional={"inputs": NESTED, "outputs": NESTED, "settings": NESTED, "limits": NESTED},
)


KINDS = [FILES, SWEEPS, st.dictionaries(TEXTS, NESTED, max_size=6)]


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    # written out as one strategy it has a name of 60 kB, which hypothesis warns of
    found: dict[str, Any] = draw(draw(st.sampled_from(KINDS)))
    return found


@settings(deadline=None)  # the machine may be busy
@given(documents())
def test_whatever_is_written_there_is_a_plan_or_a_spec_error(data: dict[str, Any]) -> None:
    with suppress(SpecError):
        assert compile_job(Document(data), computes=frozenset({"cpu"})).jobs


@pytest.mark.parametrize("module", ["sqlalchemy", "celery", "pandas", "fastapi", "httpx"])
def test_importing_stays_light(module: str) -> None:
    code = f"import sys, mlq.spec; sys.exit('{module}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
