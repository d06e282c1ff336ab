"""Helpers: compile a text, list its problems, build wide pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlq.errors import SpecError, SpecProblem
from mlq.spec import Plan, PlannedJob, compile_job, read_document

SAMPLES = Path(__file__).parents[3] / "acceptance" / "jobs"


def compile_text(text: str, **options: Any) -> Plan:
    return compile_job(read_document(text, file="job.yml"), **{"computes": None, **options})


def compile_data(data: dict[str, Any], **options: Any) -> Plan:
    document = read_document(json.dumps(data), media_type="application/json")
    return compile_job(document, **{"computes": None, **options})


def problems_of(text: str, **options: Any) -> list[SpecProblem]:
    with pytest.raises(SpecError) as caught:
        compile_text(text, **options)
    return list(caught.value.problems)


def only_problem(text: str, **options: Any) -> SpecProblem:
    problems = problems_of(text, **options)
    assert len(problems) == 1, problems
    return problems[0]


def job_at(plan: Plan, path: str) -> PlannedJob:
    return next(job for job in plan.jobs if job.path == path)


def step(*upstreams: str, **extra: Any) -> dict[str, Any]:
    """A step of mlq:pass that waits for `upstreams`."""
    bound = {f"v_{name}": f"${{{{parent.jobs.{name}.outputs.value}}}}" for name in upstreams}
    return {"component": "mlq:pass", "inputs": bound, **extra}


def fan_out(width: int) -> dict[str, Any]:
    """One start, `width` steps beside each other, one join."""
    middle = {f"s{number}": step("start") for number in range(width)}
    return {"type": "pipeline", "jobs": {"start": step(), **middle, "join": step(*middle)}}
