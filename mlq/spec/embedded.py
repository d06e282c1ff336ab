"""The plan of a pipeline that a sweep tries: compiled once, made into one job tree per trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from mlq.spec.builtin import BUILTIN
from mlq.spec.plan import PlannedJob, Source

#: Of the leaf that expands a `parallel_for`, the input that brings the items; no step names one so.
ITEMS = "$items"

_FIELDS = tuple(field.name for field in fields(PlannedJob))


def embed(
    jobs: Sequence[PlannedJob],
    *,
    outputs: Mapping[str, tuple[int, str]],
    metric: str,
    reporters: Sequence[int],
) -> dict[str, Any]:
    """The plan of one trial as JSON.

    jobs: as in `Plan`; index 0 is the trial itself, a pipeline. outputs: name -> (index of the leaf
    that writes it, its output's name). metric: the primary metric's name where it is reported;
    reporters: indices of the leaves that may, to be asked in this order.
    The result is {jobs, outputs, metric: {name, jobs}, assets}. assets: reference -> source, what
    the steps name themselves; the runner has inputs of these names, so that all trials see the same
    versions.
    """
    assets: dict[str, dict[str, Any]] = {}
    written = []
    for job in jobs:
        inputs = {}
        for name, source in job.inputs.items():
            if source.kind == "asset" and not may_come_late(job, name, source):
                assets[source.value] = _write_source(source)
                source = Source("input", source.value, type=source.type)
            inputs[name] = _write_source(source)
        written.append(
            {
                **{name: getattr(job, name) for name in _FIELDS},
                "inputs": inputs,
                "upstreams": list(job.upstreams),
                "spec": dict(job.spec),
                "tags": dict(job.tags),
                "demands": dict(job.demands),
            }
        )
    return {
        "jobs": written,
        "outputs": {name: list(source) for name, source in outputs.items()},
        "metric": {"name": metric, "jobs": list(reporters)},
        "assets": assets,
    }


def instantiate(plan: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[PlannedJob, ...]:
    """The jobs of one trial of an embedded plan; index 0 is the trial itself.

    params: the trial's, flat. Sources of kind `input` are left for the caller, who has what the
    runner was given under that name.
    """
    return tuple(_job(job, params) for job in plan["jobs"])


def may_come_late(job: PlannedJob, name: str, source: Source) -> bool:
    """Whether an asset need not exist at submit: a model's alias, given to an optional input."""
    if source.kind != "asset" or not str(source.value).startswith("models:/"):
        return False
    component = BUILTIN.get(job.component or "")
    port = component.inputs.get(name) if component is not None else None
    return "@" in source.value and port is not None and port.optional


def _write_source(source: Source) -> dict[str, Any]:
    return {name: value for name, value in asdict(source).items() if value is not None}


def _job(written: Mapping[str, Any], params: Mapping[str, Any]) -> PlannedJob:
    job = PlannedJob(**{**written, "inputs": {}, "upstreams": tuple(written["upstreams"])})
    inputs = {}
    for name, raw in written["inputs"].items():
        source = Source(**raw)
        if source.kind == "param":
            value = params.get(source.value, source.default)
            if value is None and source.value not in params:
                continue
            source = Source("literal", value, type=source.type)
        inputs[name] = source
    return replace(job, inputs=inputs)
