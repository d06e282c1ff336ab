"""The part of a plan that one job's inputs come from, as a plan of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlq.spec.plan import Plan, PlannedJob


def up_to(plan: Plan, path: str) -> Plan:
    """The plan without `path` and all that is not needed for its inputs.

    Sweeps, pipelines and repeated jobs that are needed at all are kept whole. Raises KeyError where
    the plan has no job of that path.
    """
    places = {job.path: job.index for job in plan.jobs}
    target = plan.jobs[places[path]]
    kept = _needed(plan, target)
    numbers = {old: new for new, old in enumerate(sorted(kept))}
    jobs = tuple(_renumbered(plan, plan.jobs[old], numbers) for old in sorted(kept))
    return replace(
        plan,
        jobs=jobs,
        outputs={
            name: (numbers[index], output)
            for name, (index, output) in plan.outputs.items()
            if index in numbers
        },
        assets=tuple(
            dict.fromkeys(
                source.value
                for job in jobs
                for source in job.inputs.values()
                if source.kind == "asset"
            )
        ),
    )


def _needed(plan: Plan, target: PlannedJob) -> set[int]:
    children: dict[int, list[int]] = {}
    for job in plan.jobs:
        if job.parent is not None:
            children.setdefault(job.parent, []).append(job.index)
    found: set[int] = set()
    above = _lineage(plan, target.index)
    waiting = [source.job for source in target.inputs.values() if source.job is not None]
    while waiting:
        index = waiting.pop()
        if index in found:
            continue
        # the highest job that does not also hold the target
        top = next(one for one in reversed(_lineage(plan, index)) if one not in above)
        below = [top]
        while below:
            one = below.pop()
            if one not in found:
                found.add(one)
                below += children.get(one, [])
                job = plan.jobs[one]
                waiting += [source.job for source in job.inputs.values() if source.job is not None]
                waiting += job.upstreams
    return found | {index for index in above if index != target.index}


def _lineage(plan: Plan, index: int) -> list[int]:
    """A job and the jobs around it, innermost first."""
    found = []
    place: int | None = index
    while place is not None:
        found.append(place)
        place = plan.jobs[place].parent
    return found


def _renumbered(plan: Plan, job: PlannedJob, numbers: Mapping[int, int]) -> PlannedJob:
    downstreams = sum(job.index in other.upstreams for other in plan.jobs if other.index in numbers)
    return replace(
        job,
        index=numbers[job.index],
        parent=None if job.parent is None else numbers[job.parent],
        spec=_with_outputs_there(plan, job, numbers),
        inputs={
            name: source if source.job is None else replace(source, job=numbers[source.job])
            for name, source in job.inputs.items()
        },
        upstreams=tuple(numbers[one] for one in job.upstreams if one in numbers),
        downstreams=downstreams if job.role is None else job.downstreams,
        chain=None if job.chain is None else numbers.get(job.chain),
    )


def _with_outputs_there(
    plan: Plan, job: PlannedJob, numbers: Mapping[int, int]
) -> Mapping[str, Any]:
    """The spec of a pipeline without outputs that nobody writes any more."""
    outputs = job.spec.get("outputs")
    if job.type != "pipeline" or not outputs:
        return job.spec
    prefix = f"{job.path}." if job.path else ""
    there = {plan.jobs[old].path for old in numbers}
    kept = {name: at for name, at in outputs.items() if prefix + at[0] in there}
    return {**job.spec, "outputs": kept}
