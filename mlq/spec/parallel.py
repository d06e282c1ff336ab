"""A `parallel` job as jobs: its script over one lot of mini-batches, as a command would run it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from mlq.spec.bindings import parse_binding
from mlq.spec.builtin import Port
from mlq.spec.model import (
    CommandJob,
    ParallelComponent,
    ParallelComponentJob,
    ParallelJob,
    RetrySettings,
)
from mlq.spec.nodes import Node
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import shorten

#: Further ports of the command: the mini-batches that it is to do, and how that went.
LOT, SUMMARY = "mlq_lot", "mlq_summary"
#: Names the program that runs a lot, on the worker.
PROGRAM_VARIABLE = "MLQ_MINI_BATCHES"
#: So many lots for each instance: the last ones even out how long the others took.
LOTS = 4
MAX_INSTANCES = 250
_RETRIES, _TIMEOUT_S = 3, 60.0  # Azure's


def read_settings(node: Node) -> dict[str, Any]:
    """What a parallel job says, and its component where it says nothing, as far as lots need it."""
    retry = _said(node, "retry_settings") or RetrySettings()
    level = str(_said(node, "logging_level") or "info").upper()
    return {
        "processes": _said(node, "max_concurrency_per_instance") or 1,
        "max_retries": _RETRIES if retry.max_retries is None else retry.max_retries,
        "timeout_s": _TIMEOUT_S if retry.timeout is None else retry.timeout,
        "error_threshold": _threshold(node, "error_threshold"),
        "mini_batch_error_threshold": _threshold(node, "mini_batch_error_threshold"),
        "logging_level": "WARNING" if level == "WARN" else level,
    }


def read_mini_batches(problems: Problems, node: Node, key: KeyPath) -> dict[str, Any] | None:
    """{data: input, size, append: output or None, lots, settings}; `key`: where the job stands."""
    before = len(problems)
    known = node.ports if node.ports is not None else node.job.inputs or {}
    text = _said(node, "input_data")
    data = _name(text, "inputs")
    if text is None:
        problems.add(
            key, "A parallel job needs input_data: '${{inputs.NAME}}', the input to be cut."
        )
    elif data is None or data not in known:
        problems.add(
            (*key, "input_data"),
            f"'{shorten(text)}' is no input of this job; write '${{{{inputs.NAME}}}}'.",
            word=data or "",
            known=known,
        )
    definition = node.definition
    assert isinstance(definition, (ParallelJob, ParallelComponent))
    append = definition.task.append_row_to
    target = _name(append, "outputs")
    if append is not None and (target is None or target not in node.outputs):
        problems.add(
            (*node.definition_key, "task", "append_row_to"),
            f"'{shorten(append)}' is no output of this job; write '${{{{outputs.NAME}}}}'.",
            word=target or "",
            known=node.outputs,
        )
    for name, port in node.outputs.items():
        where = (*node.definition_key, "outputs", name)
        if name == target:
            if port.type != "uri_file":
                problems.add(where, "Rows are appended to a file: declare it {type: uri_file}.")
        elif port.type in ("uri_file", "string", "number", "integer", "boolean", "object"):
            problems.add(
                where,
                f"Several processes write this output, which is {port.type}: make it a folder, or "
                "name it in append_row_to.",
            )
    resources = _said(node, "resources")
    instances = resources.instance_count if resources is not None else None
    instances = 1 if instances is None else instances
    if not 1 <= instances <= MAX_INSTANCES:
        problems.add((*key, "resources", "instance_count"), f"This must be 1 to {MAX_INSTANCES}.")
    if len(problems) > before:
        return None
    return {
        "data": data,
        "size": _said(node, "mini_batch_size"),
        "append": target,
        "instances": instances,
        "settings": read_settings(node),
    }


def write_command(node: Node, mini_batches: Mapping[str, Any]) -> CommandJob:
    """The command that does one lot."""
    definition = node.definition
    assert isinstance(definition, (ParallelJob, ParallelComponent))
    task = definition.task
    append = mini_batches["append"]
    words = [
        f'exec python "${PROGRAM_VARIABLE}" --lot ${{{{inputs.{LOT}}}}}',
        f"--data ${{{{inputs.{mini_batches['data']}}}}} --summary ${{{{outputs.{SUMMARY}}}}}",
        f"--append ${{{{outputs.{append}}}}}" if append else "",
        f"-- {shlex.quote(task.entry_script)}",
        " ".join((task.program_arguments or "").split()),
    ]
    own = node.job.environment_variables if _is_own(node) else None  # type: ignore[attr-defined]
    resources = _said(node, "resources")
    if resources is not None:  # of each lot
        resources = resources.model_copy(update={"instance_count": None})
    return CommandJob(
        command=" ".join(filter(None, words)),
        code=task.code,
        environment=task.environment,
        environment_variables=own,
        resources=resources,
        outputs={
            **{name: {"type": port.type} for name, port in node.outputs.items()},
            SUMMARY: {"type": "object"},
        },
        inputs={**(node.job.inputs or {}), LOT: None},
        retries=node.job.retries,
        warm_start=False,
        compute=node.job.compute,
    )


def lot_ports(node: Node) -> dict[str, Port] | None:
    """What the command of a lot takes."""
    return None if node.ports is None else {**node.ports, LOT: Port("uri_file")}


def _said(node: Node, name: str) -> Any:
    """What the step says itself, else its component."""
    own = getattr(node.job, name, None) if _is_own(node) else None
    return own if own is not None else getattr(node.definition, name)


def _is_own(node: Node) -> bool:
    return isinstance(node.job, (ParallelJob, ParallelComponentJob))


def _threshold(node: Node, name: str) -> int:
    said = _said(node, name)
    return -1 if said is None else int(said)


def _name(text: str | None, kind: str) -> str | None:
    binding = parse_binding(text) if text is not None else None
    return binding.name if binding is not None and binding.kind == kind else None
