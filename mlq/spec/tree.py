"""From a document to a tree of checked steps; nothing is bound yet.

Every step is validated by itself with the model of its type, its component is found, and its ports
are known. What flows between the steps is `mlq.spec.wiring`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlq.spec.bindings import find_bindings, has_binding, is_balanced
from mlq.spec.builtin import ARTIFACT_TYPES, BUILTIN, Component, Port
from mlq.spec.document import Document
from mlq.spec.model import (
    COMPONENT_TYPES,
    JOB_TYPES,
    LATER_TYPES,
    PORT_TYPES,
    REFUSED_KEYS,
    REFUSED_TYPES,
    CommandComponent,
    CommandJob,
    ComponentJob,
    Job,
    PipelineComponent,
    PipelineJob,
    Settings,
    TypedInput,
    TypedOutput,
)
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import (
    is_component_file,
    is_step_name,
    parse_component,
    shorten,
)
from mlq.spec.values import BadValueError, cast_literal, describe, literal_type

MAX_JOBS = 5_000
MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class JobTemplate:
    """A registered component as its own definition: a mapping of the component schema."""

    name: str
    version: str
    definition: Mapping[str, Any]


FindComponent = Callable[[str], Component | JobTemplate | None]


def find_builtin(reference: str) -> Component | None:
    """The built-in component that `mlq:train`, `azureml:train@latest` or `mlq:train:1` names."""
    name, version = parse_component(reference)
    component = BUILTIN.get(name)
    if component is None or version not in (None, component.version):
        return None
    return component


@dataclass(slots=True, eq=False)
class Node:
    """A step, or the root.

    key: where it stands in the document; definition_key: where its command or jobs stand, which is
    elsewhere for inline components. ports: None when the step declares its inputs as it goes.
    broken: names of children that could not be read; whatever leads to them is not reported again.
    """

    key: KeyPath
    name: str
    path: str
    parent: Node | None
    job: Job
    type: str
    definition_key: KeyPath
    component: Component | None = None
    definition: CommandJob | CommandComponent | PipelineJob | PipelineComponent | None = None
    ports: Mapping[str, Port] | None = None
    outputs: Mapping[str, Port] = field(default_factory=dict)
    children: dict[str, Node] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    @property
    def is_leaf(self) -> bool:
        return self.type != "pipeline"

    @property
    def settings(self) -> Settings | None:
        if isinstance(self.definition, (PipelineJob, PipelineComponent)):
            return self.definition.settings
        return None


class TreeBuilder:
    """Builds the nodes of one document; problems go to `problems`, ignored keys to `warnings`."""

    def __init__(
        self, document: Document, problems: Problems, *, components: FindComponent
    ) -> None:
        self.document = document
        self.problems = problems
        self.components = components
        self.warnings: dict[str, None] = {}
        self.count = 0

    def build(self) -> Node | None:
        """The root with everything below it, or None when not even the root can be read."""
        return self._node(self.document.data, (), name="", parent=None, depth=1)

    def _node(
        self, raw: Any, key: KeyPath, *, name: str, parent: Node | None, depth: int
    ) -> Node | None:
        self.count += 1
        if self.count > MAX_JOBS:
            self.problems.add((), f"This job has more than {MAX_JOBS:,} jobs; submit it in parts.")
            self.problems.raise_any()
        if not isinstance(raw, dict):
            self.problems.add(key, f"A step must be a mapping; got {describe(raw)}.")
            return None
        model = self._model_of(raw, key)
        if model is None:
            return None
        job = self.problems.validate(model, self._without_bindings(raw, key), key, partial=True)
        if job is None:
            return None
        path = f"{parent.path}.{name}" if parent is not None and parent.path else name
        node = Node(key, name, path, parent, job, "command", key)
        if isinstance(job, ComponentJob):
            if not self._take_component(node, job):
                return None
        elif isinstance(job, (CommandJob, PipelineJob)):
            node.definition = job
            node.type = "pipeline" if isinstance(job, PipelineJob) else "command"
        self._check_job(node)
        if isinstance(node.definition, (PipelineJob, PipelineComponent)):
            self._add_children(node, node.definition.jobs, depth)
        elif node.definition is not None:
            self._check_command(node, node.definition)
        return node

    def _model_of(self, raw: Mapping[str, Any], key: KeyPath) -> type[Job] | None:
        """The model for a job, by its `type` and, where that is left out, by what it holds."""
        kind = raw.get("type")
        where = (*key, "type")
        if kind is not None and not isinstance(kind, str):
            self.problems.add(where, f"This must be text; got {describe(kind)}.")
            return None
        if kind is None and "trial" in raw:
            kind = "sweep"
        if kind in LATER_TYPES:
            self.problems.add(
                where,
                f"Jobs of type '{kind}' are not supported by this version yet.",
            )
            return None
        if kind is not None and kind in REFUSED_TYPES:
            self.problems.add(where, f"'{kind}' is not supported: {REFUSED_TYPES[kind]}")
            return None
        if "component" in raw and kind in (None, "component", *JOB_TYPES):
            return ComponentJob
        if kind is not None and kind in JOB_TYPES:
            return JOB_TYPES[kind]
        if kind is not None:
            self.problems.add(
                where,
                f"'{shorten(kind)}' is no type of job; there are {', '.join(JOB_TYPES)}.",
                word=kind,
                known=[*JOB_TYPES, *sorted(LATER_TYPES)],
            )
            return None
        if "jobs" in raw:
            return PipelineJob
        if "command" in raw:
            return CommandJob
        self.problems.add(
            key,
            "It is not said what this job runs: give it `component:`, `command:` "
            "or `type: pipeline` with `jobs:`.",
        )
        return None

    def _without_bindings(self, raw: Mapping[str, Any], key: KeyPath) -> Mapping[str, Any]:
        """Refuse bindings where a value must be known at submit: `compute`, `timeout`, …"""
        bound: set[str] = set()
        for name, value in raw.items():
            if name not in ("command", "component", "type") and has_binding(value):
                bound.add(name)
                self.problems.add(
                    (*key, name),
                    "A binding cannot stand here; bindings belong in `inputs`, `outputs` "
                    "and `command`.",
                )
        return {k: v for k, v in raw.items() if k not in bound} if bound else raw

    # components -----------------------------------------------------------------------------

    def _take_component(self, node: Node, job: ComponentJob) -> bool:
        where = (*node.key, "component")
        found: Component | JobTemplate | None = None
        definition: Any = job.component
        if isinstance(definition, str):
            found = self._find(definition, where)
            if found is None:
                return False
            if isinstance(found, Component):
                node.component = found
                node.ports = found.inputs
                node.outputs = found.outputs
                return True
            definition = found.definition
        if not isinstance(definition, Mapping):
            self.problems.add(
                where, f"This must be a component's name or definition; got {describe(definition)}."
            )
            return False
        kind = definition.get("type") or ("pipeline" if "jobs" in definition else "command")
        model = COMPONENT_TYPES.get(kind) if isinstance(kind, str) else None
        if model is None:
            self.problems.add(
                (*where, "type"),
                f"Components of type {describe(kind)} are not supported by this version; "
                f"there are {', '.join(COMPONENT_TYPES)}.",
            )
            return False
        component = self.problems.validate(model, definition, where, partial=True)
        if component is None:
            return False
        node.definition = component
        node.definition_key = where
        node.type = "pipeline" if isinstance(component, PipelineComponent) else "command"
        node.ports = {
            name: self._port(raw, (*where, "inputs", name))
            for name, raw in (component.inputs or {}).items()
        }
        if node.is_leaf:
            node.outputs = self._outputs(component.outputs, (*where, "outputs"))
        return True

    def _find(self, reference: str, where: KeyPath) -> Component | JobTemplate | None:
        if is_component_file(reference):
            self.problems.add(
                where,
                f"'{shorten(reference)}' is a file on your machine, which the server cannot read. "
                "`mlq job create` puts such files into the job before it submits it; over HTTP, "
                "write the component's definition here.",
            )
            return None
        found = self.components(reference)
        if found is None:
            name, version = parse_component(reference)
            if name in BUILTIN and version is not None:
                self.problems.add(
                    where,
                    f"The component '{name}' has no version '{shorten(version)}'.",
                    suggestion=name,
                )
            else:
                bare = f"mlq:{reference}"
                self.problems.add(
                    where,
                    f"There is no component '{shorten(reference)}'.",
                    word=name,
                    known=BUILTIN,
                    suggestion=bare if bare in BUILTIN else None,
                )
        return found

    def _port(self, raw: Any, where: KeyPath) -> Port:
        """An input port of an inline component; a plain value is its default."""
        if not isinstance(raw, dict):
            return Port(literal_type(raw), optional=True, default=raw)
        spec = self.problems.validate(TypedInput, raw, where)
        if spec is None:
            return Port("object", optional=True)
        if spec.type is None:
            self.problems.add(where, "The key 'type' is required here.")
            return Port("object", optional=True)
        port = port_of(spec)
        if port.default is not None and port.type not in ARTIFACT_TYPES:
            try:
                return replace(port, default=cast_literal(port.default, port))
            except BadValueError as error:
                self.problems.add(
                    (*where, "default"), f"The default {error}.", suggestion=error.suggestion
                )
                return replace(port, default=None)
        return port

    def _outputs(self, raw: Mapping[str, Any] | None, where: KeyPath) -> dict[str, Port]:
        """Output ports that a command or inline component declares; a folder unless it says so."""
        ports: dict[str, Port] = {}
        for name, value in (raw or {}).items():
            ports[name] = Port("uri_folder")
            if isinstance(value, dict):
                spec = self.problems.validate(TypedOutput, value, (*where, name))
                if spec is not None and spec.type is not None:
                    ports[name] = Port(spec.type, description=spec.description or "")
                    if spec.type not in ARTIFACT_TYPES:
                        self.problems.add(
                            (*where, name, "type"),
                            f"A command writes files, not a {spec.type}; declare uri_file.",
                        )
            elif value is not None and not has_binding(value):
                self.problems.add(
                    (*where, name), f"An output is a mapping or nothing; got {describe(value)}."
                )
        return ports

    # what holds for every job -----------------------------------------------------------------

    def _check_job(self, node: Node) -> None:
        job = node.job
        key = node.key
        for name in ("identity", "services", "queue_settings", "properties"):
            if getattr(job, name) is not None:
                self.warnings[f"{name} is accepted and ignored."] = None
        for source, where in ((job, key), (node.definition, node.definition_key)):
            if source is None or (source is job and where is not key):
                continue
            if getattr(source, "distribution", None) is not None:
                self._refuse_key(where, "distribution")
            if getattr(source, "code", None) is not None:
                self._refuse_key(where, "code")
            resources = getattr(source, "resources", None)
            if resources is not None:
                if resources.get("instance_count") not in (None, 1):
                    self.problems.add(
                        (*where, "resources", "instance_count"),
                        "A step runs on one machine in this version; leave instance_count at 1.",
                    )
                self.warnings["resources is accepted and ignored."] = None
            if getattr(source, "environment", None) is not None:
                self.warnings[
                    "environment is kept with the job, but this version runs commands in the "
                    "worker's own Python environment."
                ] = None
            variables = getattr(source, "environment_variables", None) or {}
            for name, value in variables.items():
                if has_binding(value):
                    self.problems.add(
                        (*where, "environment_variables", name),
                        "A binding cannot stand here; pass the value in the command.",
                    )
                if "=" in name or not name:
                    self.problems.add(
                        (*where, "environment_variables"),
                        f"'{shorten(name)}' cannot name an environment variable.",
                    )
        if node.settings is not None and node.settings.default_datastore is not None:
            self.warnings["settings.default_datastore is accepted and ignored."] = None
        if node.parent is not None:
            if job.priority is not None:
                self.problems.add(
                    (*key, "priority"), "The priority belongs to the whole job; set it at its root."
                )
            if job.experiment_name is not None:
                self.warnings["experiment_name of a step is ignored; the root's holds."] = None
            if node.settings is not None and node.settings.force_rerun is not None:
                self.warnings["settings.force_rerun of a step is ignored; the root's holds."] = None
        limit = job.limits.timeout if job.limits is not None else None
        if limit is not None and job.timeout is not None and limit != job.timeout:
            self.problems.add(
                (*key, "timeout"), "timeout and limits.timeout say different things; keep one."
            )
        if not node.is_leaf and job.retries is not None:
            self.problems.add(
                (*key, "retries"), "A pipeline is not retried as a whole; set retries on its steps."
            )
        effectful = node.component is not None and not node.component.is_deterministic
        if effectful and job.is_deterministic:
            assert node.component is not None
            self.warnings[
                f"is_deterministic is ignored on {node.component.name}: it must run every time."
            ] = None

    def _refuse_key(self, where: KeyPath, name: str) -> None:
        self.problems.add((*where, name), f"'{name}': {REFUSED_KEYS[name]}")

    def _check_command(self, node: Node, definition: Any) -> None:
        """Declare what the command can name, and check that it names nothing else."""
        if isinstance(definition, CommandJob):
            node.outputs = self._outputs(definition.outputs, (*node.key, "outputs"))
        where = (*node.definition_key, "command")
        known = {
            "inputs": node.ports if node.ports is not None else (definition.inputs or {}),
            "outputs": node.outputs,
        }
        if not is_balanced(definition.command):
            self.problems.add(where, "A '${{' or '$[[' in this command is not closed.")
        for found in find_bindings(definition.command):
            binding = found.binding
            if binding is None or binding.kind not in known:
                self.problems.add(
                    where,
                    f"'${{{{{shorten(found.expression)}}}}}' cannot stand in a command; a command "
                    "knows ${{inputs.NAME}} and ${{outputs.NAME}}.",
                )
            elif binding.name not in known[binding.kind]:
                self.problems.add(
                    where,
                    f"The command names {binding.kind}.{shorten(binding.name)}, "
                    f"but there is no such {binding.kind[:-1]}.",
                    word=binding.name,
                    known=known[binding.kind],
                )

    # pipelines --------------------------------------------------------------------------------

    def _add_children(self, node: Node, jobs: Mapping[str, Any], depth: int) -> None:
        where = (*node.definition_key, "jobs")
        if not jobs:
            self.problems.add(where, "A pipeline needs at least one step.")
        if depth >= MAX_DEPTH:
            self.problems.add(where, f"Jobs are nested more than {MAX_DEPTH} levels deep.")
            return
        for name, raw in jobs.items():
            child_key = (*where, name)
            if not is_step_name(name):
                self.problems.add(
                    child_key,
                    f"'{shorten(name)}' cannot name a step: letters, digits, _ and -, "
                    "a letter or _ first.",
                )
                node.broken.add(name)
                continue
            child = self._node(raw, child_key, name=name, parent=node, depth=depth + 1)
            if child is None:
                node.broken.add(name)
            else:
                node.children[name] = child


def port_of(spec: TypedInput, *, type: str = "object") -> Port:
    """The port that a typed input declares; type: where it says none."""
    return Port(
        spec.type or type,
        optional=bool(spec.optional) or spec.default is not None,
        default=spec.default,
        enum=tuple(spec.enum) if spec.enum is not None else None,
        minimum=spec.min,
        maximum=spec.max,
        description=spec.description or "",
    )


def is_typed(raw: Any) -> bool:
    """Whether an input's mapping describes a typed input rather than being a value itself."""
    if not isinstance(raw, dict):
        return False
    kind = raw.get("type")
    return (isinstance(kind, str) and kind in PORT_TYPES) or isinstance(raw.get("path"), str)
