"""The plan: what a job file compiles to, ready to be inserted as one job tree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """Where an input's value comes from.

    kind: `literal`, `output` or `asset`. value: of a literal the JSON value, cast to its port; of
    an asset its reference: `mlq:churn:3`, `mlq:churn@latest`, `models:/churn@production`,
    `models:/churn/3`, `artifact:sha256:HEX[/name]`, `https://…` (`azureml:` is already `mlq:`).
    job, output: the leaf, or repeated job, that produces it (index in `Plan.jobs`) and the name of
    its output.
    type: of the port, else of the value. optional: of an output that may not be there, `default` or
    nothing then stands in.

    In the plan of a sweep's trial (`mlq.spec.embedded`) a source is also of kind `input`, its value
    the name of the runner's input that it is, or `param`, its value the name of a swept parameter;
    default: for trials that are not given that.
    """

    kind: str
    value: Any = None
    job: int | None = None
    output: str | None = None
    type: str = "string"
    default: Any = None
    optional: bool | None = None


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """One job of the tree, before it has an id.

    index: place in `Plan.jobs`; parent: index of the job it belongs to, None for the root.
    role: of a sweep's leaves: `runner`, or `best`, which waits for all of them and writes the
    outputs of the sweep; of what a repeated job does each time: `round`; of a step that runs once
    its other siblings have ended: `finally`; else None.
    ordinal: place among its siblings, upstreams first.
    path: `""` for the root, `prep`, `outer.inner`.
    component: `mlq:train` for a component with a name, None for commands and pipelines.
    compute: the tag a leaf runs on, None for inner jobs.
    spec: the leaf's own definition, equal from run to run, canonical JSON types only.
    inputs: defaults are filled in; optional inputs that were not given are absent.
    upstreams: indices of the siblings it waits for; downstreams: how many siblings wait for it.
    chain: index of the first leaf of its linear run, None when the run is only itself;
    chain_position: 0 for that first leaf.
    timeout_s: seconds, None without one.
    demands: what a leaf asks for beside a slot: `limits`, names of concurrency limits;
    `gpu_memory_bytes`.
    """

    index: int
    parent: int | None
    ordinal: int
    path: str
    name: str
    display_name: str
    type: str
    component: str | None
    compute: str | None
    spec: Mapping[str, Any]
    inputs: Mapping[str, Source]
    upstreams: tuple[int, ...]
    downstreams: int
    chain: int | None
    chain_position: int
    max_retries: int
    timeout_s: float | None
    is_deterministic: bool
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None
    demands: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled job file.

    jobs: index 0 is the root; parents stand before children, upstreams before downstreams.
    outputs: the root's outputs, name -> (index of the job that writes it, its output's name).
    assets: every distinct asset reference, to be resolved at submit.
    code: digests of the code folders that commands run in; secrets: names of those they get.
    warnings: what was accepted and ignored, one sentence each.
    """

    jobs: tuple[PlannedJob, ...]
    type: str
    display_name: str
    experiment: str
    description: str
    tags: Mapping[str, str]
    priority: int
    force_rerun: bool
    outputs: Mapping[str, tuple[int, str]]
    assets: tuple[str, ...]
    warnings: tuple[str, ...]
    code: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


def canonical_json(value: Any) -> str:
    """`value` as JSON text that is equal for equal values: sorted keys, no spaces.

    Raises ValueError for NaN and infinities, TypeError for what JSON does not know.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def spec_digest(mapping: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of `mapping`, 64 hex digits."""
    return hashlib.sha256(canonical_json(mapping).encode()).hexdigest()
