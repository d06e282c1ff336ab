"""One step by itself: the component behind it, its ports, and what it may and may not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlq.spec.bindings import find_bindings, has_binding, is_balanced
from mlq.spec.builtin import ARTIFACT_TYPES, BUILTIN, Component, Port
from mlq.spec.environments import (
    FindEnvironment,
    check_definition,
    find_no_environment,
)
from mlq.spec.model import (
    COMPONENT_TYPES,
    PORT_TYPES,
    CommandComponent,
    CommandJob,
    Job,
    ParallelComponent,
    ParallelComponentJob,
    ParallelJob,
    SweepJob,
    TypedInput,
    TypedOutput,
)
from mlq.spec.nodes import Definition, Node
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import (
    BadReferenceError,
    is_component_file,
    is_environment_file,
    parse_code,
    parse_component,
    parse_environment,
    shorten,
)
from mlq.spec.requirements import read_requirements
from mlq.spec.values import BadValueError, cast_literal, describe, literal_type


@dataclass(frozen=True, slots=True)
class JobTemplate:
    """A registered component as its own definition: a mapping of the component schema.

    name: `mlq:sort_lines`.
    """

    name: str
    version: str
    definition: Mapping[str, Any]


_OWN_ENVIRONMENT = (
    "environment is kept with the job, but names no Python requirements here: the command runs in "
    "the worker's own Python environment."
)
_NOUNS = {"inputs": "input", "outputs": "output", "search_space": "parameter"}

FindComponent = Callable[[str], Component | JobTemplate | None]


def find_builtin(reference: str) -> Component | None:
    """The built-in component that `mlq:train`, `azureml:train@latest` or `mlq:train:1` names."""
    name, version = parse_component(reference)
    component = BUILTIN.get(name)
    if component is None or version not in (None, component.version):
        return None
    return component


class StepReader:
    """Reads steps one by one; the first half of `mlq.spec.tree.TreeBuilder`.

    Problems go to `problems`, ignored keys to `warnings`, what names of environments stand for to
    `named_environments`.
    """

    def __init__(
        self,
        problems: Problems,
        *,
        components: FindComponent,
        environments: FindEnvironment = find_no_environment,
    ) -> None:
        self.problems = problems
        self.components = components
        self.environments = environments
        self.warnings: dict[str, None] = {}
        self.named_environments: dict[str, Mapping[str, Any]] = {}

    # components -----------------------------------------------------------------------------

    def _take_component(self, node: Node, definition: Any, where: KeyPath) -> bool:
        found: Component | JobTemplate | None = None
        if isinstance(definition, str):
            found = self._find(definition, where)
            if found is None:
                return False
            if isinstance(found, Component):
                node.component = found
                node.ports = found.inputs
                node.outputs = found.outputs
                node.type = found.job_type
                return True
            node.registered = f"{found.name}:{found.version}"
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
        node.type = kind
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
                    (*where, "default"),
                    error.sentence("The default"),
                    suggestion=error.suggestion,
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
        for name, value in (job.outputs or {}).items():
            if not isinstance(value, dict | str | None):
                self.problems.add(
                    (*key, "outputs", name),
                    f"An output is a mapping or nothing; got {describe(value)}.",
                )
        self._check_execution(job, key)
        if node.definition is not None and node.definition is not job:
            self._check_execution(node.definition, node.definition_key)
        if node.settings is not None and node.settings.default_datastore is not None:
            self.warnings["settings.default_datastore is accepted and ignored."] = None
        self._check_place(node)
        limit = job.limits.timeout if job.limits is not None else None
        if limit is not None and job.timeout is not None and limit != job.timeout:
            self.problems.add(
                (*key, "timeout"), "timeout and limits.timeout say different things; keep one."
            )
        self._check_sharing(node)
        if not node.is_leaf and job.retries is not None:
            self.problems.add(
                (*key, "retries"), "A pipeline is not retried as a whole; set retries on its steps."
            )
        if node.is_approval and job.retries is not None:
            self.problems.add((*key, "retries"), "A decision is not tried again.")
        effectful = node.component is not None and not node.component.is_deterministic
        if effectful and job.is_deterministic:
            assert node.component is not None
            self.warnings[
                f"is_deterministic is ignored on {node.component.name}: it must run every time."
            ] = None

    def _check_sharing(self, node: Node) -> None:
        """What only work that a worker takes can ask for."""
        job = node.job
        if node.is_approval or (not node.is_leaf and not isinstance(job, SweepJob)):
            if job.limits is not None and job.limits.concurrency is not None:
                self.problems.add(
                    (*node.key, "limits", "concurrency"),
                    "A pipeline holds no slot; set limits.concurrency on its steps.",
                )
        elif isinstance(node.component, Component) and getattr(job, "distribution", None):
            self.problems.add(
                (*node.key, "distribution"),
                f"{node.component.name} runs as one process; distribution is for commands.",
            )

    def _check_place(self, node: Node) -> None:
        """What only the root may say."""
        if node.parent is None:
            return
        if node.job.priority is not None:
            self.problems.add(
                (*node.key, "priority"),
                "The priority belongs to the whole job; set it at its root.",
            )
        if node.job.experiment_name is not None:
            self.warnings["experiment_name of a step is ignored; the root's holds."] = None
        if node.settings is not None and node.settings.force_rerun is not None:
            self.warnings["settings.force_rerun of a step is ignored; the root's holds."] = None

    def _check_execution(self, source: Job | Definition, where: KeyPath) -> None:
        """How a job, or the component that it runs, is executed."""
        code = getattr(source, "code", None)
        if code is not None:
            try:
                parse_code(code)
            except BadReferenceError as error:
                self.problems.add((*where, "code"), f"{error}.")
        resources = getattr(source, "resources", None)
        if resources is not None:
            spreads = isinstance(source, (ParallelJob, ParallelComponentJob, ParallelComponent))
            if resources.instance_count not in (None, 1) and not spreads:
                self.problems.add(
                    (*where, "resources", "instance_count"),
                    "A step runs on one machine in this version; leave instance_count at 1.",
                )
            ignored = ", ".join(sorted(resources.model_extra or {}))
            if ignored:
                self.warnings[f"resources: {shorten(ignored)} is accepted and ignored."] = None
        self._check_environment(getattr(source, "environment", None), where)
        variables = getattr(source, "environment_variables", None) or {}
        for name in sorted(variables.keys() & set(getattr(source, "secrets", None) or ())):
            self.problems.add(
                (*where, "secrets"), f"'{name}' stands under environment_variables as well."
            )
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

    def _check_environment(self, environment: Any, where: KeyPath) -> None:
        if environment is None:
            return
        where = (*where, "environment")
        if isinstance(environment, str):
            self._find_environment(environment, where)
        elif not check_definition(self.problems, environment, where):
            self.warnings[_OWN_ENVIRONMENT] = None

    def _find_environment(self, reference: str, where: KeyPath) -> None:
        """Look up an environment by name; of Azure's curated ones the worker's own stands in."""
        if is_environment_file(reference):
            self.problems.add(
                where,
                f"'{shorten(reference)}' is a file on your machine, which the server cannot read. "
                "`mlq job create` puts such files into the job before it submits it; over HTTP, "
                "write the mapping that it holds here.",
            )
            return
        try:
            named = parse_environment(reference)
        except BadReferenceError as error:
            self.problems.add(where, f"{error}.", suggestion=error.suggestion)
            return
        found = self.environments(reference)
        if found is not None:
            self.named_environments[reference] = found.definition
            if read_requirements(found.definition) is None:
                self.warnings[_OWN_ENVIRONMENT] = None
        elif named.is_curated:
            self.warnings[
                f"environment {shorten(reference)} is one of Azure's: the command runs in the "
                "worker's own Python environment."
            ] = None
        else:
            version = named.version or "@latest"
            asked = f"{named.name}{'' if version[0] == '@' else ':'}{version}"
            self.problems.add(
                where,
                f"There is no environment '{shorten(asked)}'. Register its file: "
                "`mlq environment create -f FILE`.",
            )

    def _check_command(
        self,
        node: Node,
        definition: CommandJob | CommandComponent,
        inputs: Mapping[str, Any],
        *,
        search_space: Mapping[str, Any] | None = None,
    ) -> None:
        """Declare what the command can name, and check that it names nothing else.

        inputs: those of a command without ports.
        """
        if isinstance(definition, CommandJob):
            node.outputs = self._outputs(definition.outputs, (*node.key, "outputs"))
        where = (*node.definition_key, "command")
        known = {
            "inputs": node.ports if node.ports is not None else inputs,
            "outputs": node.outputs,
        }
        if search_space is not None:
            known["search_space"] = search_space
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
                    f"but there is no such {_NOUNS[binding.kind]}.",
                    word=binding.name,
                    known=known[binding.kind],
                )


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
