"""`parallel_for`: what it compiles to, and what is wrong with it."""

from __future__ import annotations

import pytest

from mlq.spec.embedded import ITEMS
from tests.unit.mlq.spec.jobs import SAMPLES, compile_text, job_at, only_problem

TEXT = (SAMPLES / "parallel_for.yml").read_text()
FIRST = "first: {word: hello}"


def test_its_body_is_laid_out_once_beside_the_leaves_that_expand_and_collect() -> None:
    plan = compile_text(TEXT)
    each, expand, collect = (job_at(plan, f"each{end}") for end in ("", ".expand", ".collect"))
    assert (each.type, each.spec["spread"]) == ("parallel_for", {"max_concurrency": 2})
    assert (expand.role, collect.role) == ("expand", "collect")
    embedded = expand.spec["plan"]["jobs"]
    assert [job["path"] for job in embedded] == ["", "multiply"]
    assert embedded[1]["inputs"]["n"] == {"kind": "input", "value": "n", "type": "integer"}
    assert expand.inputs[ITEMS].job == job_at(plan, "list").index
    assert each.upstreams == (job_at(plan, "list").index,)
    assert not [job for job in plan.jobs if job.name in ("one", "multiply")]


def test_items_of_the_file_are_written_out_for_it() -> None:
    expand = job_at(compile_text(TEXT), "every.expand")
    text = {"type": "string", "value": "hello"}
    assert expand.spec["spread"]["items"][0] == ["first", {"word": text}]
    assert expand.inputs["mark"].value == "!"


def test_who_binds_to_the_body_or_the_loop_is_given_what_was_collected() -> None:
    plan = compile_text(TEXT)
    inputs = job_at(plan, "sum").inputs
    collect = job_at(plan, "each.collect").index
    assert {(source.job, source.output) for source in inputs.values()} == {
        (collect, "product"),
        (collect, "report"),
    }
    assert {name: source.type for name, source in inputs.items()} == {
        "products": "object",
        "reports": "uri_folder",
    }


def test_items_may_be_json_text_or_an_input_and_bring_files() -> None:
    text = """
type: pipeline
inputs: {all: '[{"x": "mlq:churn:3"}, {"x": "mlq:churn:4"}]'}
jobs:
  body: {component: {command: "cat ${{inputs.x}}", inputs: {x: {type: uri_file}}}}
  each: {type: parallel_for, body: "${{parent.jobs.body}}", items: "${{parent.inputs.all}}"}
"""
    plan = compile_text(text)
    expand = job_at(plan, "each.expand")
    assert expand.spec["spread"]["items"][1] == ["item-2", {"x": {"input": "$items.item-2.x"}}]
    assert expand.inputs["$items.item-2.x"].value == "mlq:churn:4"
    assert set(plan.assets) == {"mlq:churn:3", "mlq:churn:4"}
    assert [job.name for job in plan.jobs] == ["", "each", "expand"]  # nothing to collect


def test_loops_choices_and_further_items_stand_in_bodies() -> None:
    inner = "\n".join("      " + line for line in TEXT.splitlines()[5:])
    text = f"""
type: pipeline
jobs:
  outer:
    type: pipeline
    inputs: {{factor: 0}}
    jobs:
{inner}
  each: {{type: parallel_for, body: "${{{{parent.jobs.outer}}}}", items: [{{factor: 1}}]}}
"""
    paths = [job["path"] for job in job_at(compile_text(text), "each.expand").spec["plan"]["jobs"]]
    assert "each.expand" in paths


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ("max_concurrency: 2", "max_concurrency: 0", "jobs.each.max_concurrency", "at least 1"),
        (FIRST, "first: 3", "jobs.every.items", "'first' is 3"),
        (FIRST, "a.b: {word: hello}", "jobs.every.items", "named by their keys"),
        (FIRST, "first: {}", "jobs.fixed.command", "some items do not give"),
        ("items: {first: {word: hello}, second: {word: bye, mark: \"?\"}}", "items: []",
         "jobs.every.items", "an item, at least"),
        ("items: {first: {word: hello}, second: {word: bye, mark: \"?\"}}", "items: north",
         "jobs.every.items", "neither JSON nor a binding"),
        (
            "items: ${{parent.jobs.list.outputs.regions}}",
            "items: ${{parent.jobs.list.outputs.region}}",
            "jobs.each.items",
            "has no output 'region'",
        ),
        ("outputs: {said:", "repeat: {rounds: 2}\n    outputs: {said:", "jobs.fixed.repeat", "by"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_it(old: str, new: str, path: str, message: str) -> None:
    assert old in TEXT
    problem = only_problem(TEXT.replace(old, new))
    assert problem.path == path
    assert message in problem.message


def test_a_value_that_the_body_does_not_take() -> None:
    text = """
type: pipeline
jobs:
  body: {component: {command: "echo ${{inputs.n}}", inputs: {n: {type: integer, max: 5}}}}
  each: {type: parallel_for, body: "${{parent.jobs.body}}", items: [{n: 1}, {n: 7}]}
"""
    problem = only_problem(text)
    assert problem.path == "jobs.each.items.item-2.n"
    assert "takes at most 5; got 7" in problem.message
    assert "has no input 'm'" in only_problem(text.replace("{n: 7}", "{n: 3, m: 1}")).message
    assert "is required" in only_problem(text.replace("{n: 7}", "{}")).message


def test_the_jobs_of_all_items_count() -> None:
    items = [{"word": str(number)} for number in range(5000)]
    text = TEXT.replace(
        'items: {first: {word: hello}, second: {word: bye, mark: "?"}}', f"items: {items}"
    )
    assert "more than 5,000 jobs" in only_problem(text).message
