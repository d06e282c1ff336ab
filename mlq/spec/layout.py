"""From bound nodes to planned jobs: numbered, upstreams before downstreams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mlq.spec.bindings import bind_search_space
from mlq.spec.builtin import Component, Port
from mlq.spec.embedded import ITEMS, embed
from mlq.spec.flows import Flow
from mlq.spec.graph import find_chains
from mlq.spec.model import (
    CommandComponent,
    CommandJob,
    ComponentJob,
    PipelineComponent,
    Retries,
    SweepJob,
)
from mlq.spec.nodes import Node
from mlq.spec.objectives import find_reporters
from mlq.spec.plan import Plan, PlannedJob, Source
from mlq.spec.references import parse_code
from mlq.spec.requirements import resolve_environment
from mlq.spec.wiring import Wiring

DEFAULT_EXPERIMENT = "Default"
_NO_RETRIES = Retries()


def lay_out(
    root: Node,
    wiring: Wiring,
    tags: Mapping[Node, str],
    *,
    environments: Mapping[str, Mapping[str, Any]],
    warnings: tuple[str, ...],
) -> Plan:
    """The plan of a bound tree. tags: the compute of each leaf; environments: by name."""
    return _Layout(root, wiring, tags, environments).plan(warnings)


class _Layout:
    """Numbers the nodes, upstreams before downstreams, and writes them out as planned jobs."""

    def __init__(
        self,
        root: Node,
        wiring: Wiring,
        tags: Mapping[Node, str],
        environments: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.root = root
        self.wiring = wiring
        self.wires = wiring.wires
        self.follow = wiring.follow
        self.tags = tags
        self.environments = environments
        self.nodes: list[Node] = []
        self.size = 0
        self.index: dict[Node, int] = {}
        self.ordinal: dict[Node, int] = {root: 0}
        self.downstreams: dict[Node, int] = {root: 0}
        self.links: dict[Node, tuple[Node, int]] = {}
        self.assets: dict[str, None] = {}
        self.code: dict[str, None] = {}
        self.secrets: dict[str, None] = {}

    def plan(self, warnings: tuple[str, ...]) -> Plan:
        jobs = self.jobs()
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
                name: (self._writer(leaf[0]), leaf[1]) for name, leaf in outputs.items() if leaf
            },
            assets=tuple(self.assets),
            warnings=warnings,
            code=tuple(self.code),
            secrets=tuple(self.secrets),
        )

    def jobs(self) -> tuple[PlannedJob, ...]:
        """Every job below the root, and the root."""
        self._number(self.root)
        return tuple(job for node in self.nodes for job in self._jobs(node))

    def _number(self, node: Node) -> None:
        self.index[node] = self.size
        self.size += 1 + _leaves_of(node)
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
        is_leaf = [child.is_executed for child in order]
        for run in find_chains(range(len(order)), upstreams, is_leaf=is_leaf):
            if len(run) > 1:
                for position, place_ in enumerate(run):
                    self.links[order[place_]] = (order[run[0]], position)
        for child in order:
            self._number(child)

    def _writer(self, leaf: Node) -> int:
        """The leaf job that writes the outputs of a step: of a sweep and the like its last one."""
        return self.index[leaf] + _leaves_of(leaf)

    def _jobs(self, node: Node) -> Iterator[PlannedJob]:
        job = self._job(node)
        yield job
        if node.search is not None:
            yield from self._sweep_leaves(node, job)
        if node.spread is not None:
            yield from self._spread_leaves(node, job)

    def _job(self, node: Node) -> PlannedJob:
        job = node.job
        wires = self.wires[node]
        head, position = self.links.get(node, (None, 0))
        retries = job.retries or _NO_RETRIES
        timeout = job.timeout
        if timeout is None and job.limits is not None:
            timeout = job.limits.timeout
        name = node.name if node.parent is not None else job.name or ""
        is_own = node.search is None and node.rounds is None and node.spread is None
        deterministic = is_own and _is_deterministic(node)
        inputs = {
            key: self._source(flow) for key, flow in wires.inputs.items() if flow.kind != "absent"
        }
        return PlannedJob(
            index=self.index[node],
            parent=self.index[node.parent] if node.parent is not None else None,
            ordinal=self.ordinal[node],
            path=node.path,
            name=name,
            display_name=_display_name(node) or name or node.type,
            type=node.job_type,
            component=node.component.name if node.component and is_own else None,
            compute=self.tags.get(node) if node.is_executed else None,
            spec=self._spec(node, timeout, retries, deterministic),
            inputs=inputs,
            upstreams=tuple(sorted(self.index[above] for above in wires.upstreams)),
            downstreams=self.downstreams[node],
            chain=self.index[head] if head is not None else None,
            chain_position=position,
            max_retries=retries.max_retries if is_own else 0,
            # the runners of a sweep watch its time, so that the best trial so far is kept; the time
            # of a repeated job is that of each of its rounds
            timeout_s=timeout if is_own or node.spread is not None else None,
            is_deterministic=deterministic,
            description=job.description or "",
            tags=dict(job.tags or {}),
            role="round" if node.is_round else "finally" if node.is_finally else None,
            demands=_demands(node) if is_own and node.is_leaf else {},
        )

    def _source(self, flow: Flow) -> Source:
        if flow.kind == "asset":
            self.assets[flow.value] = None
        job = self._writer(flow.producer) if flow.producer is not None else None
        default = flow.default if flow.is_partial else None
        optional = True if flow.kind == "output" and flow.is_partial else None
        return Source(flow.kind, flow.value, job, flow.output or None, flow.type, default, optional)

    def _spec(
        self, node: Node, timeout: float | None, retries: Retries, deterministic: bool
    ) -> dict[str, Any]:
        if node.search is not None:
            return self._sweep_spec(node)
        if node.rounds is not None:
            rule = {"goal": node.rounds.goal}
            if node.rounds.condition is not None:
                rule["condition"] = node.rounds.condition
            return {"rounds": rule}
        if node.spread is not None:
            above = node.parent.settings if node.parent is not None else None
            return {
                "spread": {"max_concurrency": node.spread.max_concurrency},
                "outputs": {name: ["collect", name] for name in node.outputs},
                "continue_on_step_failure": bool(
                    above is not None and above.continue_on_step_failure
                ),
                "timeout_s": timeout,
            }
        if node.branches is not None:
            blocks = (node.branches.if_true, node.branches.if_false)
            return {"branches": [self._paths(node, block) for block in blocks]}
        if not node.is_leaf:
            settings = node.settings
            prefix = len(node.path) + 1 if node.path else 0
            leaves = {name: self.follow(node, name) for name in node.outputs}
            return {
                "outputs": {
                    name: [_writer_path(leaf[0])[prefix:], leaf[1]]
                    for name, leaf in leaves.items()
                    if leaf
                },
                "continue_on_step_failure": bool(
                    settings is not None and settings.continue_on_step_failure
                ),
                "timeout_s": timeout,
            }
        spec = _leaf_spec(node.outputs, retries, timeout=timeout, deterministic=deterministic)
        job = node.job
        own = job if isinstance(job, (CommandJob, ComponentJob)) else None
        variables = dict(own.environment_variables or {}) if own is not None else {}
        environment = own.environment if own is not None else None
        warm = own.warm_start if own is not None else None
        if node.component is not None:
            spec["component"] = node.component.name
            spec["component_version"] = node.component.version
        if node.registered is not None:
            spec["registered"] = node.registered
        if isinstance(node.definition, (CommandJob, CommandComponent)):
            spec["command"] = bind_search_space(node.definition.command)
            variables = {**(node.definition.environment_variables or {}), **variables}
            environment = environment if environment is not None else node.definition.environment
            warm = warm if warm is not None else node.definition.warm_start
            if node.definition.code is not None:
                spec["code"] = parse_code(node.definition.code)
                self.code[spec["code"]] = None
            if node.definition.secrets:
                spec["secrets"] = sorted(set(node.definition.secrets))
                self.secrets |= dict.fromkeys(spec["secrets"])
        spec["environment_variables"] = variables
        if environment is not None:
            if isinstance(environment, str):
                environment = self.environments.get(environment, environment)
            spec["environment"] = resolve_environment(environment)
        distribution = _first(own, node.definition, "distribution")
        if distribution is not None:
            spec["processes"] = distribution.process_count_per_instance
        resources = _first(own, node.definition, "resources")
        if resources is not None and resources.memory is not None:
            spec["memory_limit_bytes"] = resources.memory
        if resources is not None and resources.cpu is not None:
            spec["cpus"] = resources.cpu
        if warm is False:  # left out otherwise, so that digests stay as they were
            spec["warm_start"] = False
        return spec

    def _paths(self, node: Node, names: Iterable[str]) -> list[str]:
        """Of siblings of `node`."""
        assert node.parent is not None
        found = (node.parent.find_step(name) for name in names)
        return [step.path for step in found if step is not None]

    # sweeps -----------------------------------------------------------------------------------

    def _sweep_spec(self, node: Node) -> dict[str, Any]:
        """The compiled sweep, and who writes its outputs."""
        assert node.search is not None
        assert node.trial is not None
        return {
            **node.search.content,
            "trial": self._trial(node, node.trial),
            "outputs": {name: ["best", name] for name in node.outputs},
        }

    def _trial(self, sweep: Node, trial: Node) -> dict[str, Any]:
        job = sweep.job
        assert isinstance(job, SweepJob)
        assert job.objective is not None
        if trial.is_leaf:
            step = trial.job
            retries = step.retries or _NO_RETRIES
            return self._spec(trial, step.timeout, retries, _is_deterministic(trial))
        layout, jobs = self._lay_out_apart(trial)
        reporters, metric = find_reporters(trial, job.objective.primary_metric)
        outputs = {name: layout.follow(trial, name) for name in trial.outputs}
        plan = embed(
            jobs,
            outputs={
                name: (layout.index[leaf[0]], leaf[1]) for name, leaf in outputs.items() if leaf
            },
            metric=metric,
            reporters=[layout.index[leaf] for leaf in reporters],
        )
        return {"type": "pipeline", "plan": plan}

    def _lay_out_apart(self, root: Node) -> tuple[_Layout, tuple[PlannedJob, ...]]:
        """The jobs of what is made into trees later."""
        layout = _Layout(root, self.wiring, self.tags, self.environments)
        jobs = layout.jobs()
        self.code |= layout.code
        self.secrets |= layout.secrets
        return layout, jobs

    def _sweep_leaves(self, node: Node, sweep: PlannedJob) -> Iterator[PlannedJob]:
        """The runners, and the leaf that makes the sweep's outputs of the best trial."""
        assert node.search is not None
        count = node.search.runners
        content = {name: sweep.spec[name] for name in (*node.search.content, "trial")}
        inputs = {**sweep.inputs, **self._hidden_inputs(sweep.spec["trial"])}
        for place in range(count + 1):
            is_best = place == count
            role = "best" if is_best else "runner"
            name = role if is_best else f"runner-{place + 1}"
            retries = node.job.retries if is_best else None
            outputs = node.outputs if is_best else {}
            spec = {
                **_leaf_spec(outputs, retries or _NO_RETRIES, timeout=None, deterministic=False),
                "type": f"sweep-{role}",
                "sweep": content,
                "component_version": node.component.version if node.component else None,
                "environment_variables": {},
            }
            yield replace(
                sweep,
                index=sweep.index + 1 + place,
                parent=sweep.index,
                ordinal=place,
                path=_below(node, name),
                name=name,
                display_name=name,
                type="command",
                role=role,
                compute=self.tags.get(node),
                spec=spec,
                inputs=inputs,
                upstreams=tuple(range(sweep.index + 1, sweep.index + 1 + count)) if is_best else (),
                downstreams=0 if is_best else 1,
                chain=None,
                chain_position=0,
                max_retries=(retries or _NO_RETRIES).max_retries,
                demands={} if is_best else _demands(node),
                description="",
                tags={},
            )

    # items ------------------------------------------------------------------------------------

    def _spread_leaves(self, node: Node, job: PlannedJob) -> Iterator[PlannedJob]:
        """The leaf that adds a job for each item, and the one that collects their outputs."""
        assert node.item is not None
        _, jobs = self._lay_out_apart(node.item)
        plan = embed(jobs, outputs={}, metric="", reporters=())
        items, hidden = self._items(node)
        inputs = {**job.inputs, **hidden, **self._hidden_inputs({"plan": plan})}
        mini_batches = node.spread.mini_batches if node.spread is not None else None
        content: dict[str, Any] = {"mini_batches": mini_batches}
        if mini_batches is None:
            ports = _write_ports(node, self.wires[node].inputs)
            content = {"items": items, "ports": ports}
        types = {name: {"type": port.type} for name, port in node.outputs.items()}
        collecting = {"outputs": types, "mini_batches": mini_batches}
        roles = ("expand", "collect")[: _leaves_of(node)]
        for place, role in enumerate(roles):
            spec = {
                **_leaf_spec({}, _NO_RETRIES, timeout=None, deterministic=False),
                "type": role,
                "environment_variables": {},
                **({"spread": content, "plan": plan} if role == "expand" else collecting),
            }
            yield replace(
                job,
                index=job.index + 1 + place,
                parent=job.index,
                ordinal=place,
                path=_below(node, role),
                name=role,
                display_name=role,
                type="command",
                role=role,
                compute=self.tags.get(node),
                spec=spec,
                inputs=inputs if role == "expand" else {},
                upstreams=(),
                downstreams=0,
                chain=None,
                chain_position=0,
                max_retries=0,
                timeout_s=None,
                demands={},
                description="",
                tags={},
            )

    def _items(self, node: Node) -> tuple[list[Any] | None, dict[str, Source]]:
        """The items as JSON, None for those that `ITEMS` brings; and what they need as inputs."""
        items = self.wires[node].items
        if isinstance(items, Flow):
            return None, {ITEMS: self._source(items)}
        written: list[Any] = []
        hidden: dict[str, Source] = {}
        for name, flows in items or ():
            values: dict[str, Any] = {}
            for key, flow in flows.items():
                if flow.kind == "literal":
                    values[key] = {"type": flow.type, "value": flow.value}
                elif flow.kind != "absent":
                    values[key] = {"input": f"{ITEMS}.{name}.{key}"}
                    hidden[f"{ITEMS}.{name}.{key}"] = self._source(flow)
            written.append([name, values])
        return written, hidden

    def _hidden_inputs(self, trial: Mapping[str, Any]) -> dict[str, Source]:
        """Assets that the steps of a trial name: resolved once, for all trials."""
        plan = trial.get("plan")
        hidden = {name: Source(**source) for name, source in plan["assets"].items()} if plan else {}
        for source in hidden.values():
            self.assets[source.value] = None
        return hidden


def _leaf_spec(
    outputs: Mapping[str, Port], retries: Retries, *, timeout: float | None, deterministic: bool
) -> dict[str, Any]:
    return {
        "timeout_s": timeout,
        "retries": {
            "max_retries": retries.max_retries,
            "delay_s": retries.delay,
            "backoff": retries.backoff,
            "max_delay_s": retries.max_delay,
        },
        "outputs": {name: {"type": port.type} for name, port in outputs.items()},
        "is_deterministic": deterministic,
    }


def _first(job: object, definition: object, key: str) -> Any:
    """What a step says, else what its component says."""
    said = getattr(job, key, None)
    return said if said is not None else getattr(definition, key, None)


def _demands(node: Node) -> dict[str, Any]:
    """What a leaf, or each runner of a sweep, asks for beside a slot."""
    demands: dict[str, Any] = {}
    limits = node.job.limits
    if limits is not None and limits.concurrency:
        demands["limits"] = sorted(set(limits.concurrency))
    trial = node.trial if node.trial is not None else node
    resources = _first(node.job, trial.definition, "resources")
    if resources is not None and resources.gpu_memory is not None:
        demands["gpu_memory_bytes"] = resources.gpu_memory
    return demands


def _leaves_of(node: Node) -> int:
    """How many leaves a job has that are laid out with it; the last one writes its outputs."""
    if node.search is not None:
        return node.search.runners + 1
    if node.spread is not None:
        return 2 if node.outputs or node.spread.mini_batches is not None else 1
    return 0


def _write_ports(node: Node, given: Mapping[str, Flow]) -> dict[str, Any] | None:
    """What items may give to the body, where they are found later; None for anything."""
    if node.component is not None and node.component.open_inputs:
        return None
    if node.ports is None:
        return {name: {"type": flow.type, "optional": True} for name, flow in given.items()}
    return {
        name: {
            "type": port.type,
            "optional": port.optional,
            "default": port.default,
            "enum": list(port.enum) if port.enum is not None else None,
            "minimum": port.minimum,
            "maximum": port.maximum,
        }
        for name, port in node.ports.items()
    }


def _writer_path(leaf: Node) -> str:
    if leaf.spread is not None:
        return _below(leaf, "collect")
    return leaf.path if leaf.search is None else _below(leaf, "best")


def _below(sweep: Node, name: str) -> str:
    return f"{sweep.path}.{name}" if sweep.path else name


def _is_deterministic(node: Node) -> bool:
    """Whether a leaf's outputs may be reused: commands only when they say so, effects never."""
    explicit = node.job.is_deterministic
    if isinstance(node.component, Component):
        return node.component.is_deterministic and explicit is not False
    if explicit is None and isinstance(node.definition, (CommandComponent, PipelineComponent)):
        explicit = node.definition.is_deterministic
    return explicit is True


def _display_name(node: Node) -> str | None:
    if node.is_round:
        return node.name
    first = next(iter(node.children.values())) if node.rounds is not None else node
    return node.job.display_name or _definition_name(first)


def _definition_name(node: Node) -> str | None:
    if isinstance(node.definition, (CommandComponent, PipelineComponent)):
        return node.definition.display_name
    return None
