"""`type: parallel`: what it compiles to, and what is wrong with it."""

from __future__ import annotations

import pytest

from mlq.spec import find_code_folders, read_document
from mlq.spec.parallel import LOT, SUMMARY
from tests.unit.mlq.spec.jobs import SAMPLES, compile_text, job_at, only_problem

FILE = (SAMPLES / "parallel.yml").read_text()
TEXT = FILE.replace("./parallel", f"artifact:sha256:{'0' * 64}")
COMPONENT = """
component:
  type: parallel
  inputs: {files: {type: uri_folder}}
  outputs: {rows: {type: uri_file}}
  input_data: ${{inputs.files}}
  mini_batch_size: "5"
  task: {type: run_function, entry_script: a.py, append_row_to: "${{outputs.rows}}"}
inputs: {files: "mlq:all:1"}
"""


def test_it_becomes_a_command_for_each_lot_and_two_leaves() -> None:
    plan = compile_text(TEXT)
    score, expand, collect = (job_at(plan, f"score{end}") for end in ("", ".expand", ".collect"))
    assert (score.type, score.spec["spread"]) == ("parallel", {"max_concurrency": 2})
    told = expand.spec["spread"]["mini_batches"]
    assert told["size"] == {"count": 1, "size_bytes": None}
    assert (told["data"], told["append"], told["instances"]) == ("files", "scores", 2)
    assert told["settings"]["max_retries"] == 1
    (lot,) = expand.spec["plan"]["jobs"]
    assert lot["inputs"][LOT]["kind"] == lot["inputs"]["files"]["kind"] == "input"
    assert set(lot["spec"]["outputs"]) == {"scores", "parts", SUMMARY}
    assert lot["spec"]["command"].endswith(
        "-- score.py --fail ${{inputs.fail}} --out ${{outputs.parts}}"
    )
    assert plan.code == ("0" * 64,)
    assert job_at(plan, "show").inputs["scores"].job == collect.index
    assert job_at(plan, "rows.collect").spec["mini_batches"]["instances"] == 1


def test_a_step_goes_before_its_component() -> None:
    plan = compile_text(f"type: parallel{COMPONENT}mini_batch_size: 10kb\nerror_threshold: 3\n")
    told = job_at(plan, "expand").spec["spread"]["mini_batches"]
    assert told["size"] == {"count": None, "size_bytes": 10240}
    assert told["settings"]["error_threshold"] == 3
    assert plan.type == "parallel"
    plan = compile_text(COMPONENT)
    assert job_at(plan, "expand").spec["spread"]["mini_batches"]["size"]["count"] == 5


def test_the_folder_of_its_task_is_found() -> None:
    found = find_code_folders(read_document(FILE))
    assert found == [
        ("jobs.score.task.code", "./parallel"),
        ("jobs.rows.task.code", "./parallel"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ("input_data: ${{inputs.files}}", "input_data: files", "input_data", "is no input"),
        ("    input_data: ${{inputs.files}}\n", "", "", "needs input_data"),
        ('mini_batch_size: "1"', "mini_batch_size: few", "mini_batch_size", "500kb"),
        ("{scores: {type: uri_file}", "{scores: {type: uri_folder}", "outputs.scores", "to a file"),
        ("parts: {type: uri_folder}", "parts: {type: uri_file}", "outputs.parts", "a folder"),
        ("instance_count: 2", "instance_count: 0", "resources.instance_count", "1 to 250"),
        ("--fail ${{inputs.fail}}", "--fail ${{inputs.fial}}", "task.command", "no such input"),
        ("error_threshold: -1", "error_threshold: -2", "error_threshold", "at least -1"),
        ("error_threshold: -1", "partition_keys: [a]", "partition_keys", "cut by number or size"),
        ("entry_script: score.py", "entry_script: ''", "task.entry_script", "not empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_it(old: str, new: str, path: str, message: str) -> None:
    assert old in TEXT
    problem = only_problem(TEXT.replace(old, new, 1))
    assert problem.path == f"jobs.score.{path}".rstrip(".")
    assert message in problem.message


def test_other_tasks_are_refused() -> None:
    problem = only_problem(TEXT.replace("type: run_function", "type: model", 1))
    assert problem.path == "jobs.score.task.type"
