"""A whole pipeline in this process: no server, no worker, the same files between steps."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlq.sdk.metrics import METRICS_VARIABLE
from mlq.sdk.tracing import Reference, Step
from mlq.sdk.values import Kind, read, write

if TYPE_CHECKING:
    from mlq.sdk.pipelines import PipelineJob


@dataclass(slots=True)
class LocalRun:
    """What a pipeline produced.

    outputs: of the pipeline, by name. steps: step -> its outputs. metrics: step -> {key, value,
    step}, in order.
    """

    outputs: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _folder: tempfile.TemporaryDirectory[str] | None = None


def run_locally(job: PipelineJob, folder: Path | None = None) -> LocalRun:
    """Run the steps of `job` in order. See PipelineJob.run_locally.

    Every output is written and read as between workers, so that what cannot be kept is found here.
    """
    run = LocalRun()
    if folder is None:
        run._folder = tempfile.TemporaryDirectory(prefix="mlq-local-")
        folder = Path(run._folder.name)
    for step in job.steps:
        try:
            _run_step(step, folder, run)
        except Exception as error:
            error.add_note(f"In step '{step.name}' of the pipeline '{job.name}'.")
            raise
    run.outputs = {name: run.steps[ref.step][ref.output] for name, ref in job.outputs.items()}
    return run


def _run_step(step: Step, folder: Path, run: LocalRun) -> None:
    home = folder / step.name
    home.mkdir(parents=True)
    arguments = {
        name: _value(value, step.component.inputs[name], folder)
        for name, value in step.arguments.items()
    }
    told = home / "metrics.jsonl"
    before = os.environ.get(METRICS_VARIABLE)
    os.environ[METRICS_VARIABLE] = str(told)
    try:
        returned = step.component.function(**arguments)
    finally:
        if before is None:
            del os.environ[METRICS_VARIABLE]
        else:
            os.environ[METRICS_VARIABLE] = before
    if told.exists():
        run.metrics[step.name] = [json.loads(line) for line in told.read_text().splitlines()]
    run.steps[step.name] = {}
    for name, value in step.component.named(returned).items():
        kind = step.component.outputs[name]
        kept = home / name
        kept.mkdir()
        write(value, kind, kept)
        run.steps[step.name][name] = read(kept, kind)


def _value(value: Any, kind: Kind, folder: Path) -> Any:
    if isinstance(value, Reference):
        return read(folder / value.step / value.output, kind)
    if isinstance(value, (str, Path)) and kind not in (Kind.STRING, Kind.JSON):
        return read(Path(value), kind)
    return value
