"""Batch deployment files: what an endpoint does with the inputs that it is invoked with.

Azure ML v2's files, of type `pipeline` and `model`. Pure: a file becomes the document of the job
that every invocation submits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mlq.spec.builtin import ARTIFACT_TYPES
from mlq.spec.document import Document
from mlq.spec.problems import Problems

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$"
#: Of an online or Azure-only nature: accepted and without effect here.
_IGNORED = ("environment", "resources", "code_configuration", "instance_count", "properties")


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Defaults(_Strict):
    """deployment_name: the one that is invoked where none is named."""

    deployment_name: str | None = None


class EndpointFile(_Strict):
    """A batch endpoint file; `auth_mode` is Azure's and ignored."""

    schema_: str | None = Field(default=None, alias="$schema")
    name: str = Field(pattern=_NAME)
    description: str = Field(default="", max_length=10_000)
    tags: dict[str, Any] = {}
    properties: dict[str, Any] | None = None
    auth_mode: str | None = None
    defaults: Defaults = Defaults()


class DeploymentFile(_Strict):
    """A batch deployment file."""

    schema_: str | None = Field(default=None, alias="$schema")
    name: str = Field(pattern=_NAME)
    endpoint_name: str | None = Field(default=None, pattern=_NAME)
    type: Annotated[Literal["model", "pipeline"], BeforeValidator(_lower)] = "model"
    description: str = Field(default="", max_length=10_000)
    tags: dict[str, Any] = {}
    model: str | None = None
    component: Any = None
    job_definition: dict[str, Any] | None = None
    compute: str | None = None
    settings: dict[str, Any] | None = None
    environment: Any = None
    resources: Any = None
    code_configuration: Any = None
    instance_count: Any = None
    properties: Any = None


@dataclass(frozen=True, slots=True)
class BatchDeployment:
    """A deployment file that was read. job: what an invocation submits, its inputs to be set."""

    name: str
    endpoint: str | None
    description: str
    tags: Mapping[str, Any]
    job: Mapping[str, Any]
    ignored: tuple[str, ...]


def read_endpoint(document: Document) -> EndpointFile:
    """Check a batch endpoint file. Raises SpecError."""
    problems = Problems(document)
    found = problems.validate(EndpointFile, document.data, ())
    problems.raise_any()
    assert found is not None, "what cannot be read is a problem"
    return found


def read_deployment(document: Document) -> BatchDeployment:
    """Check a batch deployment file, all but the job in it. Raises SpecError."""
    problems = Problems(document)
    found = problems.validate(DeploymentFile, document.data, ())
    if found is None:
        problems.raise_any()
        raise AssertionError("what cannot be read is a problem")
    job = _model_job(problems, found) if found.type == "model" else _pipeline_job(problems, found)
    problems.raise_any()
    return BatchDeployment(
        name=found.name,
        endpoint=found.endpoint_name,
        description=found.description,
        tags=found.tags,
        job=job,
        ignored=tuple(key for key in _IGNORED if getattr(found, key) is not None),
    )


def _model_job(problems: Problems, found: DeploymentFile) -> dict[str, Any]:
    """Score a table of rows with a model."""
    if found.model is None:
        problems.add(("model",), "A deployment of type model needs a model: models:/NAME@ALIAS.")
        return {}
    job: dict[str, Any] = {
        "type": "pipeline",
        "display_name": found.name,
        "inputs": {
            "data": {"type": "uri_file", "path": ""},
            "probabilities": False,
            "keep_columns": True,
        },
        "outputs": {"predictions": {"type": "uri_file"}},
        "jobs": {
            "score": {
                "component": "mlq:score",
                "inputs": {
                    "model": {"type": "mlflow_model", "path": found.model},
                    "data": "${{parent.inputs.data}}",
                    "probabilities": "${{parent.inputs.probabilities}}",
                    "keep_columns": "${{parent.inputs.keep_columns}}",
                },
                "outputs": {"predictions": "${{parent.outputs.predictions}}"},
            }
        },
    }
    if found.compute is not None:
        job["settings"] = {"default_compute": found.compute}
    return job


def _pipeline_job(problems: Problems, found: DeploymentFile) -> dict[str, Any]:
    """The pipeline itself, its component's ports being the inputs."""
    written = found.component if found.component is not None else found.job_definition
    if isinstance(written, Mapping) and isinstance(written.get("component"), Mapping):
        written = written["component"]
    key = "component" if found.component is not None else "job_definition"
    if not isinstance(written, Mapping) or "jobs" not in written:
        problems.add(
            (key,),
            "A deployment of type pipeline needs its pipeline here, written out with `jobs`; "
            "`mlq batch-deployment create` does that for a file.",
        )
        return {}
    kept = ("inputs", "outputs", "jobs", "description", "tags", "settings", "experiment_name")
    job: dict[str, Any] = {"type": "pipeline", "display_name": found.name}
    job |= {name: written[name] for name in kept if name in written}
    settings = {**(job.get("settings") or {}), **(found.settings or {})}
    settings = {
        name: value
        for name, value in settings.items()
        if name
        in ("default_compute", "default_datastore", "continue_on_step_failure", "force_rerun")
    }
    if found.compute is not None:
        settings.setdefault("default_compute", found.compute)
    if settings:
        job["settings"] = settings
    return job


def fill_inputs(
    job: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The job with the inputs of an invocation, and the names that it does not have.

    A value that is given takes the place of a declared port's `path`, `value` or `default`.
    """
    declared = dict(job.get("inputs") or {})
    unknown = [name for name in given if name not in declared]
    inputs: dict[str, Any] = {}
    for name, port in declared.items():
        value = given.get(name)
        if name not in given:
            filled = _default(port)
            if filled is not None:
                inputs[name] = filled
        elif isinstance(value, Mapping):
            inputs[name] = dict(value)
        else:
            inputs[name] = _typed(port, value)
    return {**job, "inputs": inputs}, unknown


def missing_inputs(job: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Inputs that an invocation must give and does not."""
    return [
        name
        for name, port in (job.get("inputs") or {}).items()
        if name not in given
        and _default(port) is None
        and not (isinstance(port, Mapping) and port.get("optional"))
    ]


def _default(port: Any) -> Any:
    if not isinstance(port, Mapping):
        return port
    if port.get("path"):
        return {key: port[key] for key in ("type", "path") if key in port}
    found = port.get("default", port.get("value"))
    return None if found is None else _typed(port, found)


def _typed(port: Any, value: Any) -> Any:
    """A value with the type of its port, so that one that does not fit is refused."""
    if not isinstance(port, Mapping) or "type" not in port:
        return value
    return {"type": port["type"], "path" if port["type"] in ARTIFACT_TYPES else "value": value}
