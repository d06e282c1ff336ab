"""Names that terminals, tables and addresses can carry; those of models, endpoints and aliases."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.errors import SpecError
from mlq.spec import compile_job
from mlq.spec.document import Document

COMPUTES = frozenset({"cpu"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "a\nb"),
        ("name", "../../x"),
        ("name", "@last"),
        ("display_name", "x\x1b]0;mine\x07"),
        ("display_name", "x\x1b[2J"),
        ("experiment_name", "a\rb"),
    ],
)
def test_a_name_is_one_line_that_changes_nothing_around_it(key: str, value: str) -> None:
    with pytest.raises(SpecError) as told:
        compile_job(Document({"type": "command", "command": "true", key: value}), computes=COMPUTES)
    (problem,) = told.value.problems
    assert problem.path == key
    assert "\x1b" not in str(problem)


def test_names_in_other_scripts_are_names() -> None:
    document = {"type": "command", "command": "true", "display_name": "Prüfung – 検証 №2"}
    assert compile_job(Document(document), computes=COMPUTES).display_name == "Prüfung – 検証 №2"


@pytest.mark.parametrize(
    ("component", "inputs", "key"),
    [
        ("mlq:register", {"name": "ch urn"}, "name"),
        ("mlq:deploy", {"model": "models:/a/1", "endpoint": "a/b"}, "endpoint"),
        ("mlq:deploy", {"model": "models:/a/1", "endpoint": "a", "alias": "12"}, "alias"),
        ("mlq:deploy", {"model": "models:/a/1", "endpoint": "a", "alias": "Latest"}, "alias"),
    ],
)
def test_names_that_cannot_be_are_refused_before_anything_runs(
    component: str, inputs: dict[str, Any], key: str
) -> None:
    step = {"component": component, "inputs": inputs}
    with pytest.raises(SpecError) as told:
        compile_job(Document({"type": "pipeline", "jobs": {"s": step}}), computes=COMPUTES)
    assert f"jobs.s.inputs.{key}" in {problem.path for problem in told.value.problems}
