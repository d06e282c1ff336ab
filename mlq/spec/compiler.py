"""Compiles a job file to a plan. Pure: no file, database or broker is touched."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mlq.spec.builtin import Component
from mlq.spec.document import Document
from mlq.spec.flows import Flow
from mlq.spec.graph import find_chains
from mlq.spec.model import CommandComponent, CommandJob, ComponentJob, PipelineComponent, Retries
from mlq.spec.paths import KeyPath
from mlq.spec.plan import Plan, PlannedJob, Source
from mlq.spec.problems import Problems
from mlq.spec.references import parse_compute, shorten
from mlq.spec.tree import FindComponent, Node, TreeBuilder, find_builtin
from mlq.spec.wiring import Wiring

DEFAULT_EXPERIMENT = "Default"
_NO_ALIASES: Mapping[str, str] = MappingProxyType({})
_NO_RETRIES = Retries()


def compile_job(
    document: Document,
    *,
    computes: frozenset[str] | None,
    default_compute: str = "cpu",
    compute_aliases: Mapping[str, str] = _NO_ALIASES,
    components: FindComponent = find_builtin,
) -> Plan:
    """Check a job file and lay it out as the tree of jobs that submit inserts.

    computes: the tags that leaves may run on; None accepts any name.
    compute_aliases: names in files -> tags, such as `cpu-cluster` -> `cpu`.
    components: looks up `component:` references; the built-in ones by default.
    Raises SpecError with all problems found (the first 100).
    """
    problems = Problems(document)
    builder = TreeBuilder(document, problems, components=components)
    root = builder.build()
    if root is None:
        problems.raise_any()
        raise AssertionError("a root that cannot be read is a problem")
    wiring = Wiring(problems)
    wiring.bind(root)
    placement = _Placement(
        problems, computes=computes, default=default_compute, aliases=compute_aliases
    )
    placement.place(root, default_compute, ())
    problems.raise_any()
    return _Layout(root, wiring, placement.tags).plan(tuple(builder.warnings))


class _Placement:
    """Which compute each leaf runs on: its own, else its pipelines' default, else the caller's."""

    def __init__(
        self,
        problems: Problems,
        *,
        computes: frozenset[str] | None,
        default: str,
        aliases: Mapping[str, str],
    ) -> None:
        self.problems = problems
        self.computes = computes
        self.default = default
        self.aliases = aliases
        self.tags: dict[Node, str] = {}

    def place(self, node: Node, inherited: str, where: KeyPath) -> None:
        """inherited: the compute as written above `node`; where: the key it was written at."""
        settings = node.settings
        if settings is not None and settings.default_compute is not None:
            inherited = settings.default_compute
            where = (*node.definition_key, "settings", "default_compute")
        if node.job.compute is not None:
            inherited, where = node.job.compute, (*node.key, "compute")
        if node.is_leaf:
            self.tags[node] = self._resolve(inherited, where or node.key)
        for child in node.children.values():
            self.place(child, inherited, where)

    def _resolve(self, written: str, where: KeyPath) -> str:
        tag = self.aliases.get(written)
        if tag is None:
            name = parse_compute(written)
            if name is None:
                self.problems.add(
                    where,
                    f"'{shorten(written)}' cannot name a compute: letters, digits, '_', '.' and "
                    "'-', at most 63.",
                )
                return self.default
            tag = self.aliases.get(name, name)
        if self.computes is not None and tag not in self.computes:
            known = sorted({*self.computes, *self.aliases})
            there = f"There are {', '.join(known[:20])}." if known else "There are none yet."
            self.problems.add(
                where,
                f"There is no compute '{tag}'. {there} Start a worker with `mlq worker -Q {tag}`.",
                word=tag,
                known=known,
            )
        return tag


class _Layout:
    """Numbers the nodes, upstreams before downstreams, and writes them out as planned jobs."""

    def __init__(self, root: Node, wiring: Wiring, tags: Mapping[Node, str]) -> None:
        self.root = root
        self.wires = wiring.wires
        self.follow = wiring.follow
        self.tags = tags
        self.nodes: list[Node] = []
        self.index: dict[Node, int] = {}
        self.ordinal: dict[Node, int] = {root: 0}
        self.downstreams: dict[Node, int] = {root: 0}
        self.links: dict[Node, tuple[Node, int]] = {}
        self.assets: dict[str, None] = {}

    def plan(self, warnings: tuple[str, ...]) -> Plan:
        self._number(self.root)
        jobs = tuple(self._job(node) for node in self.nodes)
        job = self.root.job
        settings = self.root.settings
        outputs = {name: self.follow(self.root, name) for name in self.root.outputs}
        return Plan(
            jobs=jobs,
            type=self.root.type,
            display_name=jobs[0].display_name,
            experiment=job.experiment_name or DEFAULT_EXPERIMENT,
            description=job.description or "",
            tags=dict(job.tags or {}),
            priority=job.priority or 0,
            force_rerun=bool(settings is not None and settings.force_rerun),
            outputs={
                name: (self.index[leaf[0]], leaf[1]) for name, leaf in outputs.items() if leaf
            },
            assets=tuple(self.assets),
            warnings=warnings,
        )

    def _number(self, node: Node) -> None:
        self.index[node] = len(self.nodes)
        self.nodes.append(node)
        order = self.wires[node].order
        place = {child: position for position, child in enumerate(order)}
        upstreams = [[place[above] for above in self.wires[child].upstreams] for child in order]
        self.ordinal.update(place)
        for child in order:
            self.downstreams[child] = 0
        for child in order:
            for above in self.wires[child].upstreams:
                self.downstreams[above] += 1
        is_leaf = [child.is_leaf for child in order]
        for run in find_chains(range(len(order)), upstreams, is_leaf=is_leaf):
            if len(run) > 1:
                for position, place_ in enumerate(run):
                    self.links[order[place_]] = (order[run[0]], position)
        for child in order:
            self._number(child)

    def _job(self, node: Node) -> PlannedJob:
        job = node.job
        wires = self.wires[node]
        head, position = self.links.get(node, (None, 0))
        retries = job.retries or _NO_RETRIES
        timeout = job.timeout
        if timeout is None and job.limits is not None:
            timeout = job.limits.timeout
        name = node.name if node.parent is not None else job.name or ""
        deterministic = _is_deterministic(node)
        inputs = {
            key: self._source(flow) for key, flow in wires.inputs.items() if flow.kind != "absent"
        }
        return PlannedJob(
            index=self.index[node],
            parent=self.index[node.parent] if node.parent is not None else None,
            ordinal=self.ordinal[node],
            path=node.path,
            name=name,
            display_name=job.display_name or _definition_name(node) or name or node.type,
            type=node.type,
            component=node.component.name if node.component is not None else None,
            compute=self.tags.get(node),
            spec=self._spec(node, timeout, retries, deterministic),
            inputs=inputs,
            upstreams=tuple(sorted(self.index[above] for above in wires.upstreams)),
            downstreams=self.downstreams[node],
            chain=self.index[head] if head is not None else None,
            chain_position=position,
            max_retries=retries.max_retries,
            timeout_s=timeout,
            is_deterministic=deterministic,
            description=job.description or "",
            tags=dict(job.tags or {}),
        )

    def _source(self, flow: Flow) -> Source:
        if flow.kind == "asset":
            self.assets[flow.value] = None
        job = self.index[flow.producer] if flow.producer is not None else None
        return Source(flow.kind, flow.value, job, flow.output or None, flow.type)

    def _spec(
        self, node: Node, timeout: float | None, retries: Retries, deterministic: bool
    ) -> dict[str, Any]:
        if not node.is_leaf:
            settings = node.settings
            prefix = len(node.path) + 1 if node.path else 0
            leaves = {name: self.follow(node, name) for name in node.outputs}
            return {
                "outputs": {
                    name: [leaf[0].path[prefix:], leaf[1]] for name, leaf in leaves.items() if leaf
                },
                "continue_on_step_failure": bool(
                    settings is not None and settings.continue_on_step_failure
                ),
                "timeout_s": timeout,
            }
        spec: dict[str, Any] = {
            "timeout_s": timeout,
            "retries": {
                "max_retries": retries.max_retries,
                "delay_s": retries.delay,
                "backoff": retries.backoff,
                "max_delay_s": retries.max_delay,
            },
            "outputs": {name: {"type": port.type} for name, port in node.outputs.items()},
            "is_deterministic": deterministic,
        }
        job = node.job
        own = job if isinstance(job, (CommandJob, ComponentJob)) else None
        variables = dict(own.environment_variables or {}) if own is not None else {}
        environment = own.environment if own is not None else None
        if node.component is not None:
            spec["component"] = node.component.name
            spec["component_version"] = node.component.version
        if isinstance(node.definition, (CommandJob, CommandComponent)):
            spec["command"] = node.definition.command
            variables = {**(node.definition.environment_variables or {}), **variables}
            environment = environment if environment is not None else node.definition.environment
        spec["environment_variables"] = variables
        if environment is not None:
            spec["environment"] = environment
        return spec


def _is_deterministic(node: Node) -> bool:
    """Whether a leaf's outputs may be reused: commands only when they say so, effects never."""
    explicit = node.job.is_deterministic
    if isinstance(node.component, Component):
        return node.component.is_deterministic and explicit is not False
    if explicit is None and isinstance(node.definition, (CommandComponent, PipelineComponent)):
        explicit = node.definition.is_deterministic
    return explicit is True


def _definition_name(node: Node) -> str | None:
    if isinstance(node.definition, (CommandComponent, PipelineComponent)):
        return node.definition.display_name
    return None
