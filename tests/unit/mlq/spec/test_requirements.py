"""Python requirements of an environment that is written out."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.spec.requirements import RequirementError, digest_requirements, read_requirements
from tests.unit.mlq.spec.jobs import compile_text, problems_of


@pytest.mark.parametrize(
    ("environment", "requirements"),
    [
        ({"requirements": ["a", "b>=1.2 # why", "", "# no"]}, ["a", "b>=1.2"]),
        ({"requirements": "a==1\n\n# b\n--pre\n"}, ["a==1", "--pre"]),
        (
            {"conda_file": {"dependencies": ["python=3.11", "pip", {"pip": ["c", "d[e]~=2.0"]}]}},
            ["c", "d[e]~=2.0"],
        ),
        ({"requirements": ["f @ https://example.org/f.whl"]}, ["f @ https://example.org/f.whl"]),
        ({"requirements": []}, None),
        ({"conda_file": {"dependencies": ["python"]}}, None),
        ({"image": "x"}, None),
        ("mlq:sklearn:1", None),
        (None, None),
    ],
)
def test_what_is_read(environment: Any, requirements: list[str] | None) -> None:
    assert read_requirements(environment) == requirements


@pytest.mark.parametrize(
    "lines",
    [["-r other.txt"], ["-e ."], ["not a name"], ["git+https://example.org/x"], [1], {"a": 1}],
)
def test_what_is_refused(lines: Any) -> None:
    with pytest.raises(RequirementError):
        read_requirements({"requirements": lines})


def test_a_digest_does_not_see_the_order() -> None:
    assert digest_requirements(["a", "b"]) == digest_requirements(["b", "a", "a"])
    assert digest_requirements(["a"]) != digest_requirements(["a==1"])


def test_a_leaf_carries_requirements_and_their_digest() -> None:
    plan = compile_text(
        "type: command\ncommand: python x.py\nenvironment: {requirements: [b, a>=1]}\n"
    )
    assert plan.jobs[0].spec["environment"] == {
        "digest": digest_requirements(["a>=1", "b"]),
        "requirements": ["b", "a>=1"],
    }
    assert not plan.warnings


@pytest.mark.parametrize(
    "job",
    [
        "type: command\ncommand: x\n",
        "type: sweep\ntrial: {type: command, command: 'x ${{inputs.C}}'}\n"
        "search_space: {C: {type: choice, values: [1]}}\nsampling_algorithm: grid\n"
        "objective: {primary_metric: m, goal: maximize}\n",
    ],
)
def test_a_bad_requirement_is_refused_at_submit(job: str) -> None:
    (problem,) = problems_of(job + "environment: {requirements: ['no way!']}\n")
    assert problem.path == "environment"
    assert "'no way!' is no requirement" in problem.message
