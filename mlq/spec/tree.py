"""From a document to a tree of checked steps; nothing is bound yet.

Every step is validated by itself with the model of its type, its component is found, and its ports
are known. What flows between the steps is `mlq.spec.wiring`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlq.spec.bindings import find_bindings, has_binding
from mlq.spec.builtin import Port
from mlq.spec.control import (
    BOUND_KEYS,
    CONTROLS,
    find_bodies,
    kind_of,
    read_branches,
    read_loop,
    write_iterations,
)
from mlq.spec.document import Document
from mlq.spec.environments import FindEnvironment, find_no_environment
from mlq.spec.items import Item, bound_outputs, read_items, write_item
from mlq.spec.model import (
    JOB_TYPES,
    MAX_ROUNDS,
    REFUSED_TYPES,
    CommandComponent,
    CommandJob,
    ComponentJob,
    DoWhileJob,
    IfElseJob,
    Job,
    ParallelComponent,
    ParallelComponentJob,
    ParallelForJob,
    ParallelJob,
    PipelineComponent,
    PipelineJob,
    Repeat,
    SweepJob,
)
from mlq.spec.nodes import Node, Rounds, Spread
from mlq.spec.parallel import LOT, LOTS, SUMMARY, lot_ports, read_mini_batches, write_command
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import is_step_name, shorten
from mlq.spec.rounds import note_invalid_round, write_rounds
from mlq.spec.steps import FindComponent, StepReader
from mlq.spec.sweep import SWEEP_OUTPUTS, read_search
from mlq.spec.values import BadValueError, describe, stand_in

MAX_JOBS = 5_000
MAX_DEPTH = 16
#: Bindings may stand there; elsewhere a value must be known at submit.
_MAY_BIND = frozenset({"command", "component", "trial", "type", "input_data"}) | BOUND_KEYS
_ONLY_PLAIN = "A step under `finally` is a command or a component that one worker runs."


class TreeBuilder(StepReader):
    """Builds the nodes of one document."""

    def __init__(
        self,
        document: Document,
        problems: Problems,
        *,
        components: FindComponent,
        environments: FindEnvironment = find_no_environment,
    ) -> None:
        super().__init__(problems, components=components, environments=environments)
        self.document = document
        self.count = 0
        self.is_in_trial = False
        self.seed_offset = 0

    def build(self) -> Node | None:
        """The root with everything below it, or None when not even the root can be read."""
        return self._node(self.document.data, (), name="", parent=None, depth=1)

    def build_component(self) -> Node | None:
        """The root of a component's own file, as a step of it would be, given what it requires."""
        data = self.document.data
        job = ComponentJob(component=data)
        node = Node((), "", "", None, job, "command", ())
        if not self._take_component(node, data, ()):
            return None
        assert node.ports is not None, "a definition has ports"
        required = {
            name: stand_in(port)
            for name, port in node.ports.items()
            if not port.optional and port.default is None
        }
        node.job = job.model_copy(update={"inputs": required})
        self._check_definition(node, depth=1)
        return node

    def read_ports(self) -> tuple[Mapping[str, Port], Mapping[str, Port]]:
        """The inputs and outputs that a component's own file declares."""
        data = self.document.data
        node = Node((), "", "", None, ComponentJob(component=data), "command", ())
        if not self._take_component(node, data, ()):
            return {}, {}
        declared = node.definition.outputs if node.definition is not None else None
        return node.ports or {}, node.outputs or self._outputs(declared, ("outputs",))

    def _node(
        self, raw: Any, key: KeyPath, *, name: str, parent: Node | None, depth: int
    ) -> Node | None:
        self._count(1)
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
        if job.repeat is not None:
            return self._repeated(node, job.repeat, raw, depth)
        if isinstance(job, (IfElseJob, DoWhileJob, ParallelForJob)):
            self.problems.add(key, f"A {job.type} stands among the steps of a pipeline.")
            return None
        if isinstance(job, SweepJob):
            return self._sweep(node, job, raw, depth)
        if isinstance(job, ComponentJob):
            if not self._take_component(node, job.component, (*key, "component")):
                return None
        elif isinstance(job, (CommandJob, PipelineJob, ParallelJob)):
            node.definition = job
            node.type = next(kind for kind, known in JOB_TYPES.items() if type(job) is known)
        if node.is_approval and self.is_in_trial:
            self.problems.add(key, "Trials are too many for people to decide about.")
        self._check_definition(node, depth)
        return node

    def _check_definition(self, node: Node, depth: int) -> None:
        """What a job says of itself, and its command or steps."""
        self._check_job(node)
        if isinstance(node.definition, (PipelineJob, PipelineComponent)):
            self._add_children(node, node.definition, depth)
        elif isinstance(node.definition, (ParallelJob, ParallelComponent)):
            self._spread(node)
        elif node.definition is not None:
            self._check_command(node, node.definition, node.job.inputs or {})

    def _count(self, jobs: int) -> None:
        self.count += jobs
        if self.count > MAX_JOBS:
            self.problems.add((), f"This job has more than {MAX_JOBS:,} jobs; submit it in parts.")
            self.problems.raise_any()

    def _model_of(self, raw: Mapping[str, Any], key: KeyPath) -> type[Job] | None:
        """The model for a job, by its `type` and, where that is left out, by what it holds."""
        kind = raw.get("type")
        where = (*key, "type")
        if kind is not None and not isinstance(kind, str):
            self.problems.add(where, f"This must be text; got {describe(kind)}.")
            return None
        if kind is None and "trial" in raw:
            kind = "sweep"
        if kind == "sweep":
            return SweepJob
        if kind is not None and kind in REFUSED_TYPES:
            self.problems.add(where, f"'{kind}' is not supported: {REFUSED_TYPES[kind]}")
            return None
        if "component" in raw and kind in (None, "component", *JOB_TYPES):
            return ParallelComponentJob if kind == "parallel" else ComponentJob
        if kind is not None and kind in JOB_TYPES:
            return JOB_TYPES[kind]
        if kind is not None:
            self.problems.add(
                where,
                f"'{shorten(kind)}' is no type of job; there are {', '.join(JOB_TYPES)}.",
                word=kind,
                known=JOB_TYPES,
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
            if name not in _MAY_BIND and has_binding(value):
                bound.add(name)
                self.problems.add(
                    (*key, name),
                    "A binding cannot stand here; bindings belong in `inputs`, `outputs` "
                    "and `command`.",
                )
        return {k: v for k, v in raw.items() if k not in bound} if bound else raw

    # rounds -----------------------------------------------------------------------------------

    def _repeated(
        self, node: Node, repeat: Repeat, raw: Mapping[str, Any], depth: int
    ) -> Node | None:
        """A job whose children are its rounds."""
        job = node.job
        where = (*node.key, "repeat")
        if self.is_in_trial:
            self.problems.add(where, "A repeated job cannot stand inside the trial of a sweep.")
            return None
        objective = job.objective if isinstance(job, SweepJob) else None
        if objective is not None and objective.target is None:
            self.problems.add(
                where,
                "A sweep is repeated until it reaches its target; set objective.target.",
            )
        node.type = "pipeline"
        node.rounds = Rounds(objective.goal if objective is not None else None)
        node.definition = job if isinstance(job, PipelineJob) else None
        self._check_place(node)
        before = len(self.problems)
        outer = self.seed_offset
        for place, written in enumerate(write_rounds(self.problems, raw, repeat, node.key)):
            self.seed_offset = outer * MAX_ROUNDS + place
            name = f"round-{place + 1}"
            child = self._node(written, node.key, name=name, parent=node, depth=depth + 1)
            self.seed_offset = outer
            if child is None:
                return None
            if child.search is None and child.is_leaf:
                self.problems.add(
                    where,
                    "Only sweeps and pipelines are repeated; a step that fails is tried again "
                    "with `retries`.",
                )
                return None
            node.children[name] = child
            if len(self.problems) > before:
                if place:
                    note_invalid_round(self.problems, node, child)
                break
        if not node.children:
            return None
        first, *_ = node.children.values()
        node.component, node.ports = first.component, first.ports
        if first.search is None and not _has_gate(first):
            self.warnings[
                "Nothing in this pipeline can reject its result, so that it is never repeated; "
                "add an mlq:evaluate step with a threshold or a champion."
            ] = None
        return node

    # sweeps -----------------------------------------------------------------------------------

    def _sweep(self, node: Node, job: SweepJob, raw: Mapping[str, Any], depth: int) -> Node | None:
        node.type = "sweep"
        if self.is_in_trial:
            self.problems.add(
                node.key,
                "A sweep cannot stand inside the trial of a sweep; put its parameters into the "
                "outer `search_space`.",
            )
            return None
        self._check_job(node)
        node.search = read_search(self.problems, job, raw, node.key, seed_offset=self.seed_offset)
        node.trial = self._trial(node, job, depth) if job.trial is not None else None
        if node.trial is None:
            return None
        if not node.trial.is_leaf:  # it only starts and watches trials, which are jobs themselves
            node.search = replace(node.search, runners=1)
        self._count(node.search.runners + 1)
        node.component = node.trial.component
        node.ports = node.trial.ports
        node.outputs = {**node.trial.outputs, **SWEEP_OUTPUTS}
        return node

    def _trial(self, sweep: Node, job: SweepJob, depth: int) -> Node | None:
        """What the sweep tries, as a step of that kind would be."""
        key = (*sweep.key, "trial")
        written = job.trial
        if isinstance(written, Mapping) and not self._is_component(written, key):
            return None
        step = ComponentJob(
            component=written,
            environment=job.environment,
            environment_variables=job.environment_variables,
            warm_start=job.warm_start,
            is_deterministic=job.is_deterministic,
            retries=job.retries,
            timeout=job.limits.trial_timeout if job.limits is not None else None,
        )
        trial = Node(key, "", "", None, step, "command", key)
        if not self._take_component(trial, written, key):
            return None
        if trial.is_approval:
            self.problems.add(key, "Trials are too many for people to decide about.")
            return None
        definition = trial.definition
        if definition is None:
            return trial
        if isinstance(definition, ParallelComponent):
            self.problems.add(key, "A parallel job is no trial by itself; put it into a pipeline.")
            return None
        self._check_execution(definition, key)
        if definition.inputs is None:
            trial.ports = None
        if isinstance(definition, PipelineComponent):
            self._take_trial_pipeline(trial, definition, job, depth)
        elif isinstance(definition, CommandComponent):
            self._take_trial_command(trial, definition, sweep)
        for name in trial.outputs.keys() & SWEEP_OUTPUTS.keys():
            self.problems.add(
                (*key, "outputs", name), f"Every sweep has an output '{name}' of its own."
            )
        return trial

    def _is_component(self, written: Mapping[str, Any], key: KeyPath) -> bool:
        if written.get("type") == "sweep" or "trial" in written:
            self.problems.add(key, "The trial of a sweep cannot itself be a sweep.")
            return False
        if "component" in written and not {"command", "jobs"} & written.keys():
            self.problems.add(
                (*key, "component"),
                "Write the component itself here, such as `trial: mlq:train`; what it is given "
                "stands under `inputs` and `search_space` of the sweep.",
            )
            return False
        return True

    def _take_trial_pipeline(
        self, trial: Node, definition: PipelineComponent, job: SweepJob, depth: int
    ) -> None:
        if job.retries is not None:
            self.problems.add(
                (*trial.key[:-1], "retries"),
                "A pipeline is not retried as a whole; set retries on its steps.",
            )
        self.is_in_trial = True
        self._add_children(trial, definition, depth)
        self.is_in_trial = False

    def _take_trial_command(self, trial: Node, definition: CommandComponent, sweep: Node) -> None:
        """The command of a trial; as in Azure, the sweep may declare its inputs and outputs."""
        assert sweep.search is not None
        if definition.outputs is None:
            given = sweep.job.outputs or {}
            declared = {name: raw for name, raw in given.items() if name not in SWEEP_OUTPUTS}
            trial.outputs = self._outputs(declared, (*sweep.key, "outputs"))
        names = sweep.search.draws
        inputs = {**(sweep.job.inputs or {}), **names}
        self._check_command(trial, definition, inputs, search_space=names)
        used = {found.binding.name for found in find_bindings(definition.command) if found.binding}
        for name in sorted(names.keys() - used):
            self.warnings[
                f"The command of the trial does not use '{shorten(name)}' of the search space."
            ] = None

    # parallel jobs ----------------------------------------------------------------------------

    def _spread(self, node: Node) -> None:
        """A job that gets a child for each lot of mini-batches once it runs."""
        if isinstance(node.definition, ParallelJob):
            node.outputs = self._outputs(node.definition.outputs, (*node.key, "outputs"))
        for name in (LOT, SUMMARY):
            if name in (node.ports or node.job.inputs or {}) or name in node.outputs:
                self.problems.add(node.key, f"'{name}' is a name that mlq needs itself here.")
        found = read_mini_batches(self.problems, node, node.key)
        if found is None:
            return
        self._count(LOTS * found["instances"] + 2)
        command = write_command(node, found)
        key = (*node.definition_key, "task")
        item = Node(key, "", "", None, command, "command", key)
        item.definition, item.ports = command, lot_ports(node)
        self._check_execution(command, key)
        self._check_command(item, command, command.inputs or {})
        node.item = item
        node.spread = Spread(found["instances"], None, node.key, found)

    # pipelines --------------------------------------------------------------------------------

    def _add_children(
        self, node: Node, pipeline: PipelineJob | PipelineComponent, depth: int
    ) -> None:
        jobs = pipeline.jobs
        where = (*node.definition_key, "jobs")
        if not jobs:
            self.problems.add(where, "A pipeline needs at least one step.")
        if depth >= MAX_DEPTH:
            self.problems.add(where, f"Jobs are nested more than {MAX_DEPTH} levels deep.")
            return
        node.bodies = find_bodies(self.problems, jobs, where)
        for name, raw in jobs.items():
            child_key = (*where, name)
            if name in node.bodies:
                continue  # read with its loop
            if not self._is_named(name, child_key, node):
                continue
            if isinstance(raw, Mapping) and kind_of(raw) in CONTROLS:
                child = self._control(raw, child_key, node, jobs, depth + 1)
            else:
                child = self._node(raw, child_key, name=name, parent=node, depth=depth + 1)
            if child is None:
                node.broken |= {name, *(body for body, by in node.bodies.items() if by == name)}
            else:
                node.children[name] = child
        for name, raw in (pipeline.finally_ or {}).items():
            self._add_finally(name, raw, node, depth)

    def _add_finally(self, name: str, raw: Any, node: Node, depth: int) -> None:
        """A step of `node` that always runs; it is one that a worker has."""
        key = (*node.definition_key, "finally", name)
        if not self._is_named(name, key, node):
            return
        if name in node.children or name in node.broken or name in node.bodies:
            self.problems.add(key, f"A step '{name}' stands under `jobs` already.")
            return
        child = None
        if kind_of(raw) in CONTROLS:
            self.problems.add(key, _ONLY_PLAIN)
        else:
            child = self._node(raw, key, name=name, parent=node, depth=depth + 1)
        if child is None:
            node.broken.add(name)
            return
        if not child.is_executed or child.search is not None:
            self.problems.add(key, _ONLY_PLAIN)
        child.is_finally = True
        node.children[name] = child

    def _is_named(self, name: str, key: KeyPath, node: Node) -> bool:
        if is_step_name(name):
            return True
        self.problems.add(
            key,
            f"'{shorten(name)}' cannot name a step: letters, digits, _ and -, a letter or _ first.",
        )
        node.broken.add(name)
        return False

    # control nodes ----------------------------------------------------------------------------

    def _control(
        self,
        raw: Mapping[str, Any],
        key: KeyPath,
        parent: Node,
        jobs: Mapping[str, Any],
        depth: int,
    ) -> Node | None:
        """A step that says which of its siblings run, or how often; jobs: all of them."""
        if self.is_in_trial:
            self.problems.add(key, f"A {raw['type']} cannot stand inside the trial of a sweep.")
            return None
        model = JOB_TYPES[raw["type"]]
        before = len(self.problems)
        job = self.problems.validate(model, self._without_bindings(raw, key), key, partial=True)
        if job is None or len(self.problems) > before:
            return None
        has = {"outputs", "timeout"} if isinstance(job, ParallelForJob) else set()
        for name in ("inputs", "outputs", "retries", "timeout", "repeat"):
            if getattr(job, name) is not None and name not in has:
                self.problems.add((*key, name), f"A {raw['type']} has no {name}.")
        name = str(key[-1])
        if isinstance(job, DoWhileJob):
            return self._loop(name, job, key, parent, jobs, depth)
        if isinstance(job, ParallelForJob):
            return self._parallel_for(name, job, key, parent, jobs, depth)
        assert isinstance(job, IfElseJob)
        self._count(1)
        path = f"{parent.path}.{name}" if parent.path else name
        given = job.model_copy(update={"inputs": {"condition": job.condition}})
        node = Node(key, name, path, parent, given, "if_else", key)
        node.ports = {"condition": Port("boolean")}
        node.outputs = {"condition": Port("boolean")}
        node.branches = read_branches(self.problems, job, key, jobs)
        self._check_place(node)
        return node if node.branches is not None else None

    def _loop(
        self,
        name: str,
        loop: DoWhileJob,
        key: KeyPath,
        parent: Node,
        jobs: Mapping[str, Any],
        depth: int,
    ) -> Node | None:
        """A job whose children are the iterations of its body."""
        body = next((step for step, by in parent.bodies.items() if by == name), None)
        rounds = read_loop(self.problems, loop, key, body) if body is not None else None
        if body is None or rounds is None:
            return None
        raw, body_key = jobs[body], (*key[:-1], body)
        if not self._is_body(raw, body_key):
            return None
        model = self._model_of(raw, body_key)
        if model is None:
            return None
        job = self.problems.validate(model, self._without_bindings(raw, body_key), body_key)
        if job is None:
            return None
        self._count(1)
        path = f"{parent.path}.{name}" if parent.path else name
        job = job.model_copy(update={"display_name": loop.display_name})
        node = Node(body_key, name, path, parent, job, "pipeline", body_key)
        node.rounds = rounds
        before = len(self.problems)
        for place, written in write_iterations(raw, loop):
            child = self._node(written, body_key, name=place, parent=node, depth=depth + 1)
            if child is None:
                return None
            node.children[place] = child
            if len(self.problems) > before:
                break  # the other iterations are as this one
        first, *_ = node.children.values()
        node.component, node.ports = first.component, first.ports
        return node

    def _is_body(self, raw: Any, key: KeyPath) -> bool:
        if not isinstance(raw, dict):
            self.problems.add(key, f"A step must be a mapping; got {describe(raw)}.")
            return False
        if raw.get("repeat") is not None:
            self.problems.add((*key, "repeat"), "The body of a loop is repeated by the loop.")
            return False
        return True

    def _parallel_for(
        self,
        name: str,
        loop: ParallelForJob,
        key: KeyPath,
        parent: Node,
        jobs: Mapping[str, Any],
        depth: int,
    ) -> Node | None:
        """A job that gets a child for each item once it runs: its body, which is laid out apart."""
        body = next((step for step, by in parent.bodies.items() if by == name), None)
        items = self._items(loop.items, (*key, "items"))
        if body is None or items is None:
            return None
        raw, body_key = jobs[body], (*key[:-1], body)
        if not self._is_body(raw, body_key):
            return None
        self._count(3)
        before = self.count
        item = self._node(write_item(raw, items), body_key, name="", parent=None, depth=depth + 1)
        if item is None:
            return None
        if item.search is not None:
            self.problems.add(
                body_key, "A sweep is no body by itself; put it into a pipeline, and make that one."
            )
            return None
        if not isinstance(items, str):
            self._count((self.count - before) * (len(items) - 1))
        path = f"{parent.path}.{name}" if parent.path else name
        given = raw.get("inputs")
        outputs = bound_outputs(raw.get("outputs"), loop.outputs)
        job = loop.model_copy(update={"inputs": given, "outputs": outputs})
        node = Node(body_key, name, path, parent, job, "parallel_for", body_key)
        node.component, node.ports, node.item = item.component, item.ports, item
        node.spread = Spread(loop.max_concurrency, items, (*key, "items"))
        self._check_place(node)
        return node

    def _items(self, written: Any, key: KeyPath) -> list[Item] | str | None:
        """The items as they are written, or the binding to them; None for what is neither."""
        if has_binding(written):
            return str(written)
        try:
            items = read_items(written)
        except BadValueError as error:
            self.problems.add(key, error.sentence("The items"))
            return None
        if not items:
            self.problems.add(key, "There must be an item, at least.")
            return None
        return items


def _has_gate(node: Node) -> bool:
    """Whether a step can end as rejected."""
    if node.component is not None and node.component.name == "mlq:evaluate":
        return True
    return any(_has_gate(child) for child in node.children.values())
