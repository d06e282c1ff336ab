"""The sentences that a wrong key or value gets."""

from __future__ import annotations

import pytest

from tests.unit.mlq.spec.jobs import only_problem, problems_of

COMMAND = "command: 'true'\n"


@pytest.mark.parametrize(
    ("line", "path", "words", "suggestion"),
    [
        ("comandd: x", "comandd", "Unknown key 'comandd'", "command"),
        ("timout: 5", "timout", "Unknown key", "timeout"),
        ("limits: {timeot: 5}", "limits.timeot", "Unknown key", "timeout"),
        ("retries: {max_retry: 5}", "retries.max_retry", "Unknown key", "max_retries"),
        ("timeout: soon", "timeout", "must be a number; got 'soon' (text)", None),
        ("timeout: 0", "timeout", "must be greater than 0; got 0", None),
        ("timeout: true", "timeout", "must be a number; got true", None),
        ("retries: -1", "retries.max_retries", "must be at least 0", None),
        ("retries: 101", "retries.max_retries", "must be at most 100", None),
        ("retries: often", "retries", "must be a mapping; got 'often'", None),
        ("retries: {backoff: 0.5}", "retries.backoff", "must be at least 1", None),
        ("priority: 101", "priority", "must be at most 100", None),
        ("priority: high", "priority", "must be an integer; got 'high'", None),
        ("is_deterministic: 'yes'", "is_deterministic", "must be true or false", None),
        ("tags: [a]", "tags", "must be a mapping; got a list", None),
        ("tags: {a: {b: 1}}", "tags.a", "must be text; got a mapping", None),
        ("inputs: 5", "inputs", "must be a mapping; got 5", None),
        ("environment: 5", "environment", "must be a reference such as", None),
        ("depends_on: x", "depends_on", "steps follow from their bindings", None),
        ("code: ./src", "code", "is a folder on your machine", None),
        ("secrets: [1A]", "secrets[0]", "should match", None),
        ("secrets: [A]\nenvironment_variables: {A: x}", "secrets", "as well", None),
        ("distribution: {type: mpi}", "distribution.type", "by 'pytorch' only", None),
        ("resources: {gpu_memory: big}", "resources.gpu_memory", "a size such as 8GiB", None),
        ("compute: '${{parent.inputs.x}}'", "compute", "A binding cannot stand here", None),
        ("compute: 'a,b'", "compute", "cannot name a compute", None),
        ("resources: {instance_count: 4}", "resources.instance_count", "one machine", None),
        ("environment_variables: {'A=B': x}", "environment_variables", "cannot name", None),
        ("environment_variables: {A: '${{x}}'}", "environment_variables.A", "binding", None),
        ("inputs: {x: {type: ur_file, path: y}}", "inputs.x.type", "is not a type", "uri_file"),
        ("inputs: {x: {type: number, min: a}}", "inputs.x.min", "must be a number", None),
        ("outputs: {x: 5}", "outputs.x", "An output is a mapping or nothing", None),
        ("outputs: {x: {name: y}}", "outputs.x.name", "Naming an output", None),
        ("outputs: {x: '${{parent.outputs.y}}'}", "outputs.x", "root job has no parent", None),
        ("inputs: {x: '${{parent.inputs.y}}'}", "inputs.x", "root job has no parent", None),
        ("type: 5", "type", "must be text; got 5", None),
        ("type: pipelin", "type", "is no type of job", "pipeline"),
        ("type: automl", "type", "mlq has no automl jobs", None),
        ("type: spark", "type", "mlq has no Spark", None),
        ("type: import", "type", "upload data", None),
    ],
)
def test_one_wrong_line(line: str, path: str, words: str, suggestion: str | None) -> None:
    problem = only_problem(f"{COMMAND}{line}")
    assert problem.file == "job.yml"
    assert problem.line == 2
    assert problem.path == path
    assert words in problem.message
    assert problem.suggestion == suggestion


def test_all_problems_are_listed_in_the_order_of_their_lines() -> None:
    text = "retries: -1\nnam: x\ncommand: echo ${{inputs.x}}\ncompute: 'a b'"
    assert [problem.line for problem in problems_of(text)] == [1, 2, 3, 4]


def test_the_list_ends_after_a_hundred() -> None:
    steps = "".join(f"  s{number}: {{}}\n" for number in range(3000))
    problems = problems_of(f"type: pipeline\njobs:\n{steps}")
    assert len(problems) == 101
    assert "further problems are not listed" in problems[-1].message


def test_a_missing_key_is_named_where_it_belongs() -> None:
    problem = only_problem("type: pipeline\njobs:\n  a: {type: pipeline}")
    assert problem.path == "jobs.a.jobs"
    assert problem.line == 3
    assert "'jobs' is required" in problem.message
