"""The job file of a pipeline of Python functions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlq.client.snapshots import Snapshot
from mlq.client.uploads import hash_file
from mlq.errors import MlqError
from mlq.sdk.code import code_root, import_path, take_python
from mlq.sdk.tracing import Reference, Step
from mlq.sdk.values import Kind, write_file

if TYPE_CHECKING:
    from mlq.sdk.pipelines import PipelineJob

_NATURAL = {Kind.STRING, Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN}
#: What a path may begin with that names something on the server.
_ADDRESSES = ("mlq:", "azureml:", "models:", "artifact:")


class Written(NamedTuple):
    """The job file of a pipeline, and the files and code that must be on the server for it.

    code: folder -> its snapshot.
    """

    document: dict[str, Any]
    files: list[Path]
    code: dict[Path, Snapshot]


def write_document(job: PipelineJob, folder: Path) -> Written:
    """The job file of `job`.

    folder: an empty one, for values that are given as such.
    Raises MlqError where a file is not there.
    """
    writer = _Writer(folder)
    jobs = {step.name: writer.step(step) for step in job.steps}
    outputs: dict[str, Any] = {}
    for name, ref in job.outputs.items():
        outputs[name] = {"type": "uri_folder"}
        jobs[ref.step]["outputs"][ref.output] = f"${{{{parent.outputs.{name}}}}}"
    document: dict[str, Any] = {"type": "pipeline", "display_name": job.name, "jobs": jobs}
    if job.experiment is not None:
        document["experiment_name"] = job.experiment
    if outputs:
        document["outputs"] = outputs
    return Written(document, list(writer.files), writer.code)


class _Writer:
    """Writes steps down, and remembers the files and code that they take along."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.code: dict[Path, Snapshot] = {}
        self.files: dict[Path, None] = {}

    def step(self, step: Step) -> dict[str, Any]:
        words = ["python -m mlq.sdk.call", import_path(step.component.function)]
        inputs: dict[str, Any] = {}
        root = code_root(step.component.function)
        if root is not None and root not in self.code:
            self.code[root] = take_python(root)
        for name, value in step.arguments.items():
            option, inputs[name] = self._input(step, name, value)
            quote = "'" if option == "literal" else ""
            words.append(f"--{option} {quote}{name}=${{{{inputs.{name}}}}}{quote}")
        words += [f"--output {name}=${{{{outputs.{name}}}}}" for name in step.component.outputs]
        options = step.component.options
        more = {
            "code": f"artifact:sha256:{self.code[root].digest}" if root is not None else None,
            "compute": options.compute,
            "timeout": options.timeout,
            "retries": options.retries,
            "is_deterministic": options.is_deterministic or None,
            "environment_variables": dict(options.environment_variables) or None,
            "environment": {"requirements": list(options.requirements)}
            if options.requirements
            else None,
        }
        return {
            "type": "command",
            "command": " ".join(words),
            "inputs": inputs,
            "outputs": {name: {"type": "uri_folder"} for name in step.component.outputs},
            **{key: value for key, value in more.items() if value is not None},
        }

    def _input(self, step: Step, name: str, value: Any) -> tuple[str, Any]:
        """The option that hands an argument on, and the step's input."""
        kind = step.component.inputs[name]
        if isinstance(value, Reference):
            return "file", f"${{{{parent.jobs.{value.step}.outputs.{value.output}}}}}"
        if value is None or (kind.is_json and (kind not in _NATURAL or "'" in str(value))):
            return "json", {"type": "object", "value": [value]}
        if kind in _NATURAL:
            return "literal", {"type": kind.value, "value": value}
        if isinstance(value, str) and value.startswith(_ADDRESSES):
            return "file", {"type": "uri_file", "path": value}
        if isinstance(value, (str, Path)):
            path = Path(value).resolve()
            if not path.is_file():
                raise MlqError(
                    f"Step '{step.name}': the input '{name}' is {value}, which is no file here.",
                    code="no_file",
                    hint="Name a single file, or data such as mlq:churn@latest.",
                )
            return "file", self._file(path)
        own = self._folder / f"{step.name}.{name}"
        own.mkdir()
        return "file", self._file(write_file(value, kind, own))

    def _file(self, path: Path) -> dict[str, Any]:
        self.files[path] = None
        name = re.sub(r"\s", "_", path.name)
        return {"type": "uri_file", "path": f"artifact:sha256:{hash_file(path)}/{name}"}
