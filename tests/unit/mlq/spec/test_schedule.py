"""Schedule files."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.errors import SpecError
from mlq.spec import read_document
from mlq.spec.schedule import fill_context, read_schedule

AZURE = """\
$schema: https://azuremlschemas.azureedge.net/latest/schedule.schema.json
name: simple_recurrence_job_schedule
display_name: Simple recurrence job schedule
description: a simple hourly recurrence job schedule
trigger:
  type: recurrence
  frequency: day
  interval: 1
  schedule:
    hours: [4, 5, 10, 11, 12]
    minutes: [0, 10, 20, 30]
  start_time: "2022-07-10T10:00:00"
  time_zone: "Pacific Standard Time"
create_job: {type: command, command: echo hello}
"""


def read(text: str) -> Any:
    return read_schedule(read_document(text))


def test_a_file_of_azure_is_read_as_it_is() -> None:
    found = read(AZURE)
    assert (found.name, found.catch_up, found.overlap) == (
        "simple_recurrence_job_schedule",
        "latest",
        "allow",
    )
    assert found.trigger.schedule.hours == [4, 5, 10, 11, 12]
    assert found.watched is None


def test_data_is_named_in_any_of_its_spellings() -> None:
    for written in ("churn", "mlq:churn", "azureml:churn@latest"):
        document = f"name: s\ntrigger: {{type: data, data: '{written}'}}\ncreate_job: {{}}"
        assert read(document).watched == "churn"


@pytest.mark.parametrize(
    ("change", "path", "suggestion"),
    [
        ("frequency: dayly", "trigger.frequency", None),
        ("interval: 0", "trigger.interval", None),
        ("typ: cron", "trigger.typ", "type"),
    ],
)
def test_problems_have_their_line_and_the_nearest_word(
    change: str, path: str, suggestion: str | None
) -> None:
    key = change.partition(":")[0]
    lines = [
        f"  {change}" if line.strip().startswith(f"{key}:") else line for line in AZURE.splitlines()
    ]
    if change not in "\n".join(lines):
        lines.insert(5, f"  {change}")
    with pytest.raises(SpecError) as caught:
        read("\n".join(lines))
    (problem,) = caught.value.problems
    assert (problem.path, problem.suggestion) == (path, suggestion)
    assert problem.line == lines.index(f"  {change}") + 1


def test_an_expression_that_the_trigger_cannot_fill_is_refused() -> None:
    text = AZURE.replace("echo hello", "'echo ${{creation_context.comit}}'")
    with pytest.raises(SpecError, match=r"has no 'creation_context\.comit'"):
        read(text)


def test_context_is_filled_in_values_once() -> None:
    job = {"${{creation_context.data}}": ["${{ creation_context.data }}", 1, "${{inputs.x}}"]}
    filled = fill_context(job, {"data": "${{creation_context.ref}}", "ref": "main"})
    assert filled == {
        "${{creation_context.data}}": ["${{creation_context.ref}}", 1, "${{inputs.x}}"]
    }
