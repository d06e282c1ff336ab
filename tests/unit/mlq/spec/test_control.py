"""Control nodes of a job file: what they compile to, and what is wrong with them."""

from __future__ import annotations

import pytest

from tests.unit.mlq.spec.jobs import SAMPLES, compile_text, job_at, only_problem, problems_of

TEXT = (SAMPLES / "control_flow.yml").read_text()
BOUND = "max_iteration_count: 5"


def test_a_loop_becomes_its_iterations() -> None:
    plan = compile_text(TEXT)
    loop = job_at(plan, "loop")
    assert (loop.type, loop.spec["rounds"]["condition"]) == ("do_while", "more")
    rounds = [job for job in plan.jobs if job.parent == loop.index]
    assert [job.name for job in rounds] == [f"iteration-{n}" for n in range(1, 6)]
    assert {job.role for job in rounds} == {"round"}
    assert rounds[0].inputs["at"].value == 0
    assert [job.inputs["at"].job for job in rounds[1:]] == [job.index for job in rounds[:-1]]


def test_who_binds_to_a_body_is_given_the_outputs_of_its_loop() -> None:
    plan = compile_text(TEXT)
    source = job_at(plan, "judge").inputs["at"]
    assert (source.job, source.output) == (job_at(plan, "loop").index, "at")


def test_both_branches_wait_for_the_choice() -> None:
    plan = compile_text(TEXT)
    choose = job_at(plan, "choose")
    assert (choose.type, choose.compute) == ("if_else", None)
    assert choose.spec["branches"] == [["celebrate"], ["mourn"]]
    assert all(choose.index in job_at(plan, name).upstreams for name in ("celebrate", "mourn"))
    assert choose.index not in job_at(plan, "after_mourning").upstreams


def test_loops_nest_in_pipelines() -> None:
    text = "type: pipeline\njobs:\n  inner:\n    type: pipeline\n" + "\n".join(
        "    " + line for line in TEXT.splitlines()[3:]
    )
    assert job_at(compile_text(text), "inner.loop.iteration-2").role == "round"


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        (f"limits: {{{BOUND}}}", "description: none", "jobs.loop", "needs a bound"),
        (BOUND, "max_iteration_count: 0", "jobs.loop.limits.max_iteration_count", "at least 1"),
        (BOUND, "max_iteration_count: 1000000", "jobs.loop.limits.max_iteration_count", "1000"),
        (
            "condition: ${{parent.jobs.count.outputs.more}}",
            "condition: at",
            "jobs.loop.condition",
            "takes boolean; the output 'at' is integer",
        ),
        (
            "condition: ${{parent.jobs.count.outputs.more}}",
            "condition: mroe",
            "jobs.loop.condition",
            "has no output 'mroe'",
        ),
        ("mapping: {at: at}", "mapping: {at: ta}", "jobs.loop.mapping.at", "has no input 'ta'"),
        ("mapping: {at: at}", "mapping: {ta: at}", "jobs.loop.mapping.ta", "has no output 'ta'"),
        (
            "mapping: {at: at}",
            "mapping: {at: at, more: at}",
            "jobs.loop.mapping.more",
            "is given 'at' already",
        ),
        ("body: ${{parent.jobs.count}}", "body: count", "jobs.loop.body", "names no step"),
        (
            "body: ${{parent.jobs.count}}",
            "body: ${{parent.jobs.loop}}",
            "jobs.loop.body",
            "cannot name itself",
        ),
        (
            "condition: ${{parent.jobs.judge.outputs.enough}}",
            "condition: perhaps",
            "jobs.choose.condition",
            "takes true or false",
        ),
        (
            "condition: ${{parent.jobs.judge.outputs.enough}}",
            "condition: ${{parent.jobs.count.outputs.at}}",
            "jobs.choose.condition",
            "takes boolean; this step's output is integer",
        ),
        (
            "${{parent.jobs.celebrate}}",
            "${{parent.jobs.celebrat}}",
            "jobs.choose.true_block",
            "There is no step 'celebrat'",
        ),
        (
            "${{parent.jobs.celebrate}}",
            "${{parent.jobs.mourn}}",
            "jobs.choose.false_block[0]",
            "twice",
        ),
    ],
)
def test_one_thing_is_wrong(old: str, new: str, path: str, message: str) -> None:
    assert old in TEXT
    (first, *_) = problems_of(TEXT.replace(old, new))
    assert first.path == path
    assert message in first.message
    assert first.line is not None


def test_a_control_node_stands_in_a_pipeline() -> None:
    problem = only_problem("{type: if_else, condition: true}")
    assert "among the steps of a pipeline" in problem.message


def test_a_branch_that_its_condition_waits_for_is_a_cycle() -> None:
    text = TEXT.replace("${{parent.jobs.celebrate}}", "${{parent.jobs.judge}}")
    assert "wait for each other" in problems_of(text)[0].message


def test_more_iterations_than_a_tree_has_room_for() -> None:
    body = "{type: pipeline, jobs: {%s}, outputs: {x: '${{parent.jobs.s0.outputs.x}}'}}"
    steps = ", ".join(
        f"s{n}: {{type: command, command: 'true', outputs: {{x: {{type: boolean}}}}}}"
        for n in range(9)
    )
    loop = (
        "{type: do_while, body: '${{parent.jobs.body}}', condition: x, "
        "limits: {max_iteration_count: 1000}}"
    )
    text = f"type: pipeline\njobs:\n  body: {body % steps}\n  loop: {loop}\n"
    assert "more than 5,000 jobs" in problems_of(text)[-1].message
