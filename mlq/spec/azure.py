"""A job file as Azure's command line takes it: mlq's own keys left out, files beside it.

Nothing here looks anything up: registered names are taken to be registered there as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlq.spec.bindings import has_binding, parse_binding
from mlq.spec.builtin import ARTIFACT_TYPES, BUILTIN, LITERAL_TYPES
from mlq.spec.document import Document
from mlq.spec.plan import canonical_json
from mlq.spec.references import parse_component, shorten
from mlq.spec.requirements import read_requirements
from mlq.spec.steps import find_builtin, is_typed
from mlq.spec.values import literal_type

#: What commands run in that name no environment of their own.
ENVIRONMENT = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"
IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest"
_ARTIFACT = re.compile(r"artifact:sha256:(?P<digest>[0-9a-f]{64})(?:/(?P<name>.+))?")
_MODEL = re.compile(r"models:/+(?P<name>[^/@]+)(?:/(?P<version>.+)|@(?P<alias>.+))")
_COMMON = frozenset(
    {"type", "name", "display_name", "description", "tags", "properties", "experiment_name"}
    | {"inputs", "outputs", "compute", "identity", "services", "limits", "queue_settings"}
)
_RUNS = frozenset({"environment", "environment_variables", "resources", "distribution"})
_COMMAND = frozenset({"command", "code"}) | _RUNS
#: What Azure's schema has, by what a job is.
_KEYS: Mapping[str, frozenset[str]] = {
    "command": _COMMON | _COMMAND,
    "component": _COMMON | _RUNS | {"component"},
    "pipeline": _COMMON | {"jobs", "settings"},
    "sweep": _COMMON
    | {"trial", "sampling_algorithm", "search_space", "objective", "early_termination"}
    | {"resources"},
    "if_else": frozenset({"type", "condition", "true_block", "false_block"}),
    "do_while": frozenset({"type", "body", "condition", "mapping", "limits"}),
    "parallel": _COMMON
    | {"task", "mini_batch_size", "mini_batch_error_threshold", "max_concurrency_per_instance"}
    | {"input_data", "resources", "retry_settings", "error_threshold", "logging_level"}
    | {"environment_variables"},
    "parallel_for": frozenset({"type", "body", "items", "max_concurrency", "outputs"}),
    "command component": frozenset(
        {"$schema", "type", "name", "version", "display_name", "description", "tags"}
        | {"inputs", "outputs", "is_deterministic", "resources", "distribution"}
        | {"environment", "command", "code"}
    ),
    "pipeline component": frozenset(
        {"$schema", "type", "name", "version", "display_name", "description", "tags"}
        | {"inputs", "outputs", "is_deterministic", "jobs"}
    ),
    "parallel component": frozenset(
        {"$schema", "type", "name", "version", "display_name", "description", "tags"}
        | {"inputs", "outputs", "is_deterministic", "task", "mini_batch_size", "input_data"}
        | {"mini_batch_error_threshold", "max_concurrency_per_instance", "retry_settings"}
        | {"error_threshold", "logging_level", "resources", "environment_variables"}
    ),
}


@dataclass(slots=True)
class Export:
    """files: relative path -> content of the job's file and of component files.

    artifacts: relative path -> digest of what is to lie there: files and folders. notes: what was
    left out, in sentences.
    """

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)


def export(document: Document, *, file: str = "job.yml") -> Export:
    """What a checked job file is for Azure. file: the name of its own file in the result."""
    writer = _Writer(has_control=_has_control(document.data))
    writer.made.files[file] = writer.root(document.data)
    return writer.made


@dataclass(frozen=True, slots=True)
class _Scope:
    """Of steps: the types of their pipeline's inputs, and their siblings."""

    inputs: Mapping[str, str]
    steps: Mapping[str, Any]


_NOWHERE = _Scope({}, {})


class _Writer:
    """has_control: outputs may be values then, which branches and loops are decided by."""

    def __init__(self, *, has_control: bool) -> None:
        self.made = Export()
        self.has_control = has_control
        if has_control:
            self._note(
                "Branches and loops: Azure's command line knows them only with "
                "AZURE_ML_CLI_PRIVATE_FEATURES_ENABLED=true."
            )

    def root(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        kind = _kind_of(raw)
        trial = raw.get("trial")
        if kind == "component" or (kind == "sweep" and not _is_plain_trial(trial)):
            # Azure runs such as steps only
            alone = {k: v for k, v in raw.items() if k not in ("experiment_name", "display_name")}
            around = {k: raw[k] for k in ("experiment_name", "display_name") if raw.get(k)}
            step = "sweep" if kind == "sweep" else "step"
            return self.root({"type": "pipeline", **around, "jobs": {step: alone}})
        if kind != "pipeline":
            return self._job(raw, kind, _NOWHERE, name=str(raw.get("name") or "job"))
        written = self._known(raw, "pipeline", where="the pipeline")
        written["type"] = "pipeline"
        types = _types_of(raw.get("inputs"), _NOWHERE)
        self._pipeline(written, raw, types)
        return _in_order(written)

    # jobs -------------------------------------------------------------------------------------

    def _job(
        self, raw: Mapping[str, Any], kind: str, scope: _Scope, *, name: str
    ) -> dict[str, Any]:
        """A step, or a root without steps. name: its own."""
        if kind == "pipeline":
            return self._nested(raw, scope, name=name)
        if kind == "command" and self.has_control and _has_values(raw.get("outputs")):
            return self._job(_as_component(raw, scope), "component", scope, name=name)
        written = self._known(raw, kind, where=name)
        written["type"] = kind if kind != "component" else _type_of_component(raw["component"])
        if kind in ("if_else", "do_while", "parallel_for"):
            return written
        self._common(written, raw, scope)
        if kind == "component":
            if written["type"] is None:
                del written["type"]
            written["component"] = self._component(raw["component"], name=name)
        elif kind == "command":
            self._command(written)
        elif kind == "sweep":
            self._sweep(written, raw, name=name, is_root=scope is _NOWHERE)
        elif kind == "parallel" and isinstance(written.get("task"), dict):
            written["task"] = dict(written["task"])
            self._command(written["task"])
        return _in_order(written)

    def _common(self, written: dict[str, Any], raw: Mapping[str, Any], scope: _Scope) -> None:
        ports = _ports_of(raw)
        if isinstance(raw.get("inputs"), Mapping):
            written["inputs"] = {
                key: self._input(value, ports.get(key))
                for key, value in raw["inputs"].items()
                if value is not None
            }
        if isinstance(raw.get("outputs"), Mapping):
            written["outputs"] = {key: self._output(value) for key, value in raw["outputs"].items()}
        if isinstance(written.get("compute"), str):
            written["compute"] = _compute(written["compute"])
        if "environment" in written:
            written["environment"] = self._environment(written["environment"])
        timeout = raw.get("timeout")
        limits = dict(written.get("limits") or {})
        limits.pop("concurrency", None)
        if timeout is not None and _kind_of(raw) in ("command", "sweep"):
            limits["timeout"] = max(1, round(timeout))
        if limits.get("timeout") is not None:
            limits["timeout"] = max(1, round(limits["timeout"]))
        written.pop("limits", None)
        if limits:
            written["limits"] = limits
        if isinstance(written.get("resources"), Mapping):
            written["resources"] = {
                k: v for k, v in written["resources"].items() if k != "gpu_memory"
            }

    def _command(self, written: dict[str, Any]) -> None:
        written["environment"] = self._environment(written.get("environment"))
        if isinstance(written.get("code"), str):
            written["code"] = self._path(written["code"], folder="code")

    def _sweep(
        self, written: dict[str, Any], raw: Mapping[str, Any], *, name: str, is_root: bool
    ) -> None:
        trial = raw["trial"]
        if is_root:
            written["trial"] = {k: v for k, v in trial.items() if k in _COMMAND and v is not None}
            self._command(written["trial"])
        else:
            written["trial"] = self._component(trial, name=f"{name}_trial", as_file=True)
        objective = dict(raw.get("objective") or {})
        if objective.pop("target", None) is not None:
            self._note("objective.target: the sweep makes all its trials there.")
        written["objective"] = objective
        if (raw.get("early_termination") or {}).get("type") == "hyperband":
            self._note("early_termination of type hyperband: no trial is ended early there.")
            del written["early_termination"]
        sampling = written.get("sampling_algorithm")
        if isinstance(sampling, Mapping) and isinstance(sampling.get("logbase"), float | int):
            written["sampling_algorithm"] = {**sampling, "logbase": str(sampling["logbase"])}

    # pipelines --------------------------------------------------------------------------------

    def _pipeline(
        self, written: dict[str, Any], raw: Mapping[str, Any], types: Mapping[str, str]
    ) -> None:
        """The steps of `raw`, and what it has of inputs and outputs."""
        jobs = {name: dict(step) for name, step in raw["jobs"].items()}
        scope = _Scope(types, jobs)
        outputs: dict[str, Any] = {}
        for name, value in (raw.get("outputs") or {}).items():
            outputs[name] = self._output(value if not isinstance(value, str) else None)
            binding = parse_binding(value) if isinstance(value, str) else None
            if binding is not None and binding.kind == "jobs.outputs":
                # Azure says it at the step that writes it
                step = jobs[binding.step]
                kind = _type_of_output(step, binding.name)
                outputs[name] = self._output({**outputs[name], "type": kind})
                step["outputs"] = {
                    **(step.get("outputs") or {}),
                    binding.name: f"${{{{parent.outputs.{name}}}}}",
                }
        self._common(written, {**raw, "outputs": None}, scope)
        written.pop("outputs", None)
        if outputs:
            written["outputs"] = outputs
        if raw.get("finally"):
            self._note("finally: the steps that always run are left out.")
        if isinstance(written.get("settings"), Mapping):
            settings = dict(written["settings"])
            if isinstance(settings.get("default_compute"), str):
                settings["default_compute"] = _compute(settings["default_compute"])
            written["settings"] = settings
        written["jobs"] = {
            name: self._job(step, _kind_of(step), scope, name=name) for name, step in jobs.items()
        }

    def _nested(self, raw: Mapping[str, Any], scope: _Scope, *, name: str) -> dict[str, Any]:
        """A pipeline in a pipeline: a step of a component that lies in a file of its own."""
        types = _types_of(raw.get("inputs"), scope)
        ports = {key: {"type": kind} for key, kind in types.items()}
        component: dict[str, Any] = {"type": "pipeline", "name": name}
        inner = {"jobs": raw["jobs"], "outputs": raw.get("outputs"), "finally": raw.get("finally")}
        self._pipeline(component, inner, types)
        component["inputs"] = ports
        bound = {
            key: value
            for key, value in (raw.get("outputs") or {}).items()
            if isinstance(value, str) and value.strip().startswith("${{parent.outputs")
        }
        kept = {
            key: value
            for key, value in raw.items()
            if key not in ("jobs", "outputs", "finally", "settings")
        }
        step = self._job(
            {**kept, "component": component, "outputs": bound or None},
            "component",
            scope,
            name=name,
        )
        step["type"] = "pipeline"
        step["component"] = self._file(component)
        return _in_order(step)

    # components -------------------------------------------------------------------------------

    def _component(self, given: Any, *, name: str, as_file: bool = False) -> Any:
        if isinstance(given, str):
            found = find_builtin(given)
            if found is not None:
                self._note(
                    f"{found.name} is a step of mlq: register a component "
                    f"{_builtin_name(found.name)} of your own there."
                )
                return f"azureml:{_builtin_name(found.name)}:{found.version}"
            return re.sub(r"^mlq:", "azureml:", given)
        kind = given.get("type") or ("pipeline" if "jobs" in given else "command")
        written = self._known(given, f"{kind} component", where=name)
        written["type"] = kind
        written["name"] = _plain_name(str(given.get("name") or name))
        if given.get("version") is not None:
            written["version"] = str(given["version"])
        if isinstance(given.get("inputs"), Mapping):
            written["inputs"] = {key: _port(value) for key, value in given["inputs"].items()}
        if kind == "pipeline":
            self._pipeline(
                written, {**given, "inputs": None}, _types_of(written.get("inputs"), _NOWHERE)
            )
            if "inputs" in given:
                written["inputs"] = {key: _port(v) for key, v in (given["inputs"] or {}).items()}
            return self._file(_in_order(written))
        if isinstance(given.get("outputs"), Mapping):
            written["outputs"] = {key: self._output(v) for key, v in given["outputs"].items()}
        if kind == "parallel" and isinstance(written.get("task"), dict):
            written["task"] = dict(written["task"])
            self._command(written["task"])
        elif kind == "command":
            if given.get("environment_variables"):
                self._note(f"environment_variables of the component of {name} are left out.")
            self._command(written)
        return self._file(_in_order(written)) if as_file else _in_order(written)

    def _file(self, component: dict[str, Any]) -> str:
        """Where a component's file lies, seen from the job's."""
        stem, count = component["name"], 1
        while (path := f"{stem if count == 1 else f'{stem}_{count}'}.yml") in self.made.files:
            if self.made.files[path] == component:
                break
            count += 1
        self.made.files[path] = component
        return f"./{path}"

    # values -----------------------------------------------------------------------------------

    def _input(self, value: Any, port: str | None) -> Any:
        if is_typed(value):
            written = {
                key: part
                for key, part in value.items()
                if key in ("type", "mode", "path", "value", "default", "optional", "min", "max")
                and part is not None
            }
            if written.get("type") in ARTIFACT_TYPES or "path" in written:
                if isinstance(written.get("path"), str) and not has_binding(written["path"]):
                    written["path"] = self._reference(written["path"])
                written.setdefault("type", "uri_folder")
                return {k: v for k, v in written.items() if k in ("type", "mode", "path")}
            given = written.get("value", written.get("default"))
            return self._literal(given) if given is not None else written
        if isinstance(value, str) and port in ARTIFACT_TYPES and not has_binding(value):
            return {"type": port, "path": self._reference(value)}
        return self._literal(value)

    def _output(self, value: Any) -> Any:
        if isinstance(value, str):
            return value
        known = ("type", "mode", "path", "name", "version", "description")
        written = {k: v for k, v in (value or {}).items() if k in known and v is not None}
        kind = written.pop("type", "uri_folder")
        if kind in LITERAL_TYPES and self.has_control:
            return {"type": kind, "is_control": True, **written}
        if kind in LITERAL_TYPES:
            self._note("Outputs that are values here are files there.")
        return {"type": "uri_file" if kind in LITERAL_TYPES else kind, **written}

    def _literal(self, value: Any) -> Any:
        return canonical_json(value) if isinstance(value, list | dict) else value

    def _reference(self, text: str) -> str:
        """A data asset, model, artifact or address, as Azure writes it."""
        text = text.strip()
        if match := _MODEL.fullmatch(text):
            if match["alias"]:
                self._note(f"{shorten(text)}: Azure has no aliases; the latest version is taken.")
            version = (
                f":{match['version']}" if match["version"] not in (None, "latest") else "@latest"
            )
            return f"azureml:{match['name']}{version}"
        if _ARTIFACT.fullmatch(text):
            return self._path(text, folder="data")
        return re.sub(r"^mlq:", "azureml:", text)

    def _path(self, text: str, *, folder: str) -> str:
        match = _ARTIFACT.fullmatch(text.strip())
        if match is None:
            return text
        place = f"{folder}/{match['digest'][:12]}"
        if match["name"]:
            place += f"/{match['name'].rpartition('/')[2]}"
        self.made.artifacts[place] = match["digest"]
        return f"./{place}"

    def _environment(self, given: Any) -> Any:
        if given is None:
            return ENVIRONMENT
        if isinstance(given, str):
            return re.sub(r"^mlq:", "azureml:", given)
        written = {k: v for k, v in given.items() if k != "requirements" and v is not None}
        if given.get("requirements"):
            written["conda_file"] = {
                "name": "job",
                "channels": ["conda-forge"],
                "dependencies": ["python=3.11", "pip", {"pip": read_requirements(given)}],
            }
        if written.pop("build", None) is not None:
            self._note(f"environment.build: the image {IMAGE} is taken.")
        if "image" not in written:
            written["image"] = IMAGE
        return written

    def _known(self, raw: Mapping[str, Any], kind: str, *, where: str) -> dict[str, Any]:
        """What of `raw` Azure's schema has; of the rest a note is taken."""
        known = _KEYS[kind]
        silent = {"$schema", "timeout", "component", "jobs", "finally", "is_deterministic"}
        left = sorted(
            key for key, value in raw.items() if key not in known | silent and value is not None
        )
        if left:
            self._note(f"{where}: without {', '.join(left)}.")
        return {key: value for key, value in raw.items() if key in known and value is not None}

    def _note(self, text: str) -> None:
        self.made.notes[text] = None


def _has_control(raw: Any) -> bool:
    if isinstance(raw, Mapping):
        return raw.get("type") in ("if_else", "do_while", "parallel_for") or any(
            _has_control(value) for value in raw.values()
        )
    return isinstance(raw, list) and any(_has_control(value) for value in raw)


def _kind_of(raw: Mapping[str, Any]) -> str:
    kind = raw.get("type")
    if kind in ("if_else", "do_while", "parallel_for"):
        return str(kind)
    if kind == "sweep" or "trial" in raw:
        return "sweep"
    if "component" in raw:
        return "component"
    if kind == "parallel":
        return "parallel"
    return "pipeline" if kind == "pipeline" or "jobs" in raw else "command"


def _is_plain_trial(trial: Any) -> bool:
    """Whether a sweep by itself can have this trial: a command, and no component with ports."""
    return isinstance(trial, Mapping) and "command" in trial and not trial.get("inputs")


def _type_of_component(component: Any) -> str | None:
    if isinstance(component, Mapping):
        return str(component.get("type") or ("pipeline" if "jobs" in component else "command"))
    return "command" if find_builtin(component) is not None else None


def _ports_of(raw: Mapping[str, Any]) -> Mapping[str, str]:
    """Types of the inputs of what a step runs, where they are known here."""
    for key in ("component", "trial"):
        given = raw.get(key)
        if isinstance(given, str):
            found = BUILTIN.get(parse_component(given)[0])
            return {} if found is None else {k: port.type for k, port in found.inputs.items()}
        if isinstance(given, Mapping):
            return _types_of(given.get("inputs"), _NOWHERE)
    return {}


def _has_values(outputs: Any) -> bool:
    """Whether an output is a value and no file."""
    return any(
        isinstance(one, Mapping) and one.get("type") in LITERAL_TYPES
        for one in (outputs or {}).values()
    )


def _as_component(raw: Mapping[str, Any], scope: _Scope) -> dict[str, Any]:
    """A step with a command as a step of a component: only such have outputs that are values."""
    kept = _COMMAND - {"environment_variables", "resources", "distribution"}
    types = _types_of(raw.get("inputs"), scope)
    component = {
        **{key: raw[key] for key in sorted(kept) if raw.get(key) is not None},
        "type": "command",
        "inputs": {key: {"type": kind} for key, kind in types.items()},
        "outputs": raw["outputs"],
    }
    step = {key: value for key, value in raw.items() if key not in kept | {"outputs", "type"}}
    return {**step, "component": component}


def _types_of(inputs: Any, scope: _Scope) -> dict[str, str]:
    return {key: _type_of(value, scope) for key, value in (inputs or {}).items()}


def _type_of(value: Any, scope: _Scope) -> str:
    """The type that a pipeline's input has, in Azure's words."""
    if isinstance(value, Mapping):
        if isinstance(value.get("type"), str):
            return _plain_type(value["type"])
        if "path" in value:
            return "uri_folder"
        value = value.get("value", value.get("default"))
    binding = parse_binding(value) if isinstance(value, str) and has_binding(value) else None
    if binding is None:
        return _plain_type(literal_type(value))
    if binding.kind == "parent.inputs":
        return scope.inputs.get(binding.name, "string")
    if binding.kind == "jobs.outputs" and binding.step in scope.steps:
        return _type_of_output(scope.steps[binding.step], binding.name)
    return "string"


def _type_of_output(step: Mapping[str, Any], name: str) -> str:
    declared: Any = None
    for holder in (step, step.get("component"), step.get("trial")):
        if isinstance(holder, str) and (found := find_builtin(holder)) is not None:
            declared = {"type": found.outputs[name].type} if name in found.outputs else None
        elif isinstance(holder, Mapping) and isinstance(
            (holder.get("outputs") or {}).get(name), Mapping
        ):
            declared = holder["outputs"][name]
        if declared is not None:
            break
    kind = (declared or {}).get("type", "uri_folder")
    return _plain_type(kind)


def _plain_type(kind: str) -> str:
    """Azure has no `object`."""
    return "string" if kind == "object" or kind not in ARTIFACT_TYPES | LITERAL_TYPES else kind


def _port(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {"type": _plain_type(literal_type(value)), "default": value, "optional": True}
    return {
        key: _plain_type(part) if key == "type" else part
        for key, part in value.items()
        if part is not None and key not in ("path", "value", "datastore")
    }


def _compute(written: str) -> str:
    bare = re.sub(r"^mlq:", "", written)
    if bare == "serverless" or bare.startswith("azureml:"):
        return bare
    return f"azureml:{bare}"


def _builtin_name(name: str) -> str:
    return name.replace(":", "-")


def _plain_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


_FIRST: Iterable[str] = (
    *("$schema", "type", "name", "version", "display_name", "description", "experiment_name"),
    *("tags", "settings", "compute", "command", "code", "environment", "inputs", "outputs"),
)


def _in_order(written: dict[str, Any]) -> dict[str, Any]:
    """The usual order of keys, steps last."""
    first = [key for key in _FIRST if key in written]
    last = [key for key in ("component", "trial", "jobs") if key in written]
    middle = [key for key in written if key not in first and key not in last]
    return {key: written[key] for key in (*first, *middle, *last)}
