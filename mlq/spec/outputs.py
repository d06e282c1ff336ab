"""Which leaf writes each output of each pipeline, and what each job waits for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mlq.spec.bindings import Binding, has_binding, parse_binding
from mlq.spec.builtin import LITERAL_TYPES, Port
from mlq.spec.flows import Flow
from mlq.spec.model import CommandJob, TypedOutput
from mlq.spec.nodes import Node
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import shorten
from mlq.spec.sweep import SWEEP_OUTPUTS
from mlq.spec.values import describe, fits


@dataclass(slots=True)
class Wires:
    """What is bound to one node.

    upstreams: siblings it waits for, in the order they are named. order: of a pipeline, its
    children, upstreams first. outputs: of a pipeline, name -> (child, the child's output).
    broken_outputs: those with a problem that is reported already. items: of a `parallel_for`, each
    with its flows, or the flow that brings them.
    """

    inputs: dict[str, Flow] = field(default_factory=dict)
    upstreams: dict[Node, None] = field(default_factory=dict)
    outputs: dict[str, tuple[Node, str]] = field(default_factory=dict)
    broken_outputs: set[str] = field(default_factory=set)
    order: list[Node] = field(default_factory=list)
    items: list[tuple[str, dict[str, Flow]]] | Flow | None = None


class OutputWiring:
    """Binds the outputs of a tree, bottom-up; the first half of `mlq.spec.wiring.Wiring`."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.wires: dict[Node, Wires] = {}

    def bind_outputs(self, root: Node) -> None:
        """Resolve the outputs of every job below `root`, and its own."""
        self._bind_outputs(root)
        self._take_outputs(root)

    def follow(self, node: Node, output: str) -> tuple[Node, str] | None:
        """The leaf that writes `output` of `node`, and its name there; None if nobody does.

        A repeated job has outputs of its own, those of the round that was good enough.
        """
        while not node.is_leaf and node.rounds is None:
            source = self.wires[node].outputs.get(output)
            if source is None:
                return None
            node, output = source
        return node, output

    def _bind_outputs(self, node: Node) -> None:
        for child in node.children.values():
            self._bind_outputs(child)
        wires = self.wires[node] = Wires()
        if node.trial is not None:
            self._bind_trial_outputs(node, node.trial)
        if node.item is not None:
            self._bind_item_outputs(node, node.item)
        if node.rounds is not None:
            self._bind_round_outputs(node)
        elif not node.is_leaf:
            self._declare_outputs(node, wires)
        for child in node.children.values():
            self._take_outputs(child)
        if not node.is_leaf and node.rounds is None and not node.broken:
            for name in node.outputs:
                if name not in wires.outputs and name not in wires.broken_outputs:
                    self.problems.add(
                        (*node.definition_key, "outputs", name),
                        f"No step writes this output; give one of them `outputs: {{NAME: "
                        f"'${{{{parent.outputs.{shorten(name)}}}}}'}}`.",
                    )

    def _bind_trial_outputs(self, sweep: Node, trial: Node) -> None:
        """A sweep has the outputs of its best trial."""
        self._bind_outputs(trial)
        if trial.is_leaf:
            return
        own = {name: port for name, port in trial.outputs.items() if name not in SWEEP_OUTPUTS}
        types = {name: self._output_type(trial, name) or port.type for name, port in own.items()}
        sweep.broken |= trial.broken
        sweep.outputs = {
            **{name: Port(type or "uri_folder") for name, type in types.items()},
            **SWEEP_OUTPUTS,
        }

    def _bind_item_outputs(self, node: Node, item: Node) -> None:
        """What is made of the outputs of all items: a list of values, or a folder of folders."""
        self._bind_outputs(item)
        self._take_outputs(item)
        node.broken |= item.broken
        if node.spread is not None and node.spread.mini_batches is not None:
            return  # they are those of all lots together
        types = {name: self._output_type(item, name) for name in item.outputs}
        node.outputs = {
            name: Port("object" if type in LITERAL_TYPES else "uri_folder")
            for name, type in types.items()
        }

    def _bind_round_outputs(self, repeated: Node) -> None:
        """A repeated job has the outputs of its rounds."""
        first, *_ = repeated.children.values()
        repeated.broken |= first.broken
        repeated.outputs = {
            name: Port(self._output_type(first, name) or port.type or "uri_folder")
            for name, port in first.outputs.items()
        }

    def _declare_outputs(self, node: Node, wires: Wires) -> None:
        """A pipeline's own `outputs`: declared, or bound to a child right there."""
        assert node.definition is not None
        declared = node.definition.outputs or {}
        where = (*node.definition_key, "outputs")
        ports: dict[str, Port] = {}
        for name, raw in declared.items():
            key = (*where, name)
            ports[name] = Port("")
            binding = parse_binding(raw) if isinstance(raw, str) else None
            if isinstance(raw, dict):
                spec = self.problems.validate(TypedOutput, raw, key)
                if spec is not None:
                    ports[name] = Port(spec.type or "")
                    self._refuse_naming(spec, key)
            elif binding is not None and binding.kind == "jobs.outputs":
                child = node.find_step(binding.step)
                if child is not None:
                    wires.outputs[name] = (child, binding.name)
                    self.check_output(child, binding.name, key)
                else:
                    wires.broken_outputs.add(name)
                    if binding.step not in node.broken:
                        self.add_unknown_step(node, binding, key)
            elif binding is not None and binding.kind == "parent.outputs" and node.parent:
                pass  # the parent takes it: `_take_outputs`
            elif raw is not None:
                wires.broken_outputs.add(name)
                self.problems.add(
                    key,
                    "An output is a mapping, nothing, or '${{parent.jobs.STEP.outputs.NAME}}'; "
                    f"got {describe(raw)}.",
                )
        node.outputs = ports

    def _take_outputs(self, child: Node) -> None:
        """A job's `outputs`: types, and bindings to the outputs of its pipeline."""
        for name, raw in (child.job.outputs or {}).items():
            key = (*child.key, "outputs", name)
            if not self.check_output(child, name, key):
                continue
            if isinstance(raw, dict) and child.component is not None:
                spec = self.problems.validate(TypedOutput, raw, key)
                if spec is not None:
                    self._refuse_naming(spec, key)
                    port = child.outputs[name]
                    if spec.type is not None and spec.type != port.type:
                        self.problems.add(
                            (*key, "type"), f"This output is of type {port.type}, not {spec.type}."
                        )
            elif isinstance(raw, dict) and child.is_leaf:
                spec = self.problems.validate(TypedOutput, raw, key)
                if spec is not None:
                    self._refuse_naming(spec, key)
            elif has_binding(raw):
                self._bind_parent_output(child, name, raw, key)

    def _bind_parent_output(self, child: Node, name: str, raw: str, key: KeyPath) -> None:
        binding = parse_binding(raw)
        node = child.parent
        if node is None:
            is_own = binding is not None and binding.kind == "jobs.outputs"
            # a pipeline's are looked at by `_declare_outputs`
            if not child.has_steps or (child.rounds is not None and not is_own):
                self.problems.add(key, "The root job has no parent; a binding cannot stand here.")
            return
        wires = self.wires[node]
        if binding is not None and binding.kind == "jobs.outputs" and child.has_steps:
            return  # bound to a child of its own: `_declare_outputs`
        if binding is None or binding.kind != "parent.outputs":
            self.problems.add(
                key,
                f"'{shorten(raw)}' cannot stand here; a step's output goes to "
                "'${{parent.outputs.NAME}}'.",
            )
            return
        port = node.outputs.get(binding.name)
        if port is None:
            self.problems.add(
                key,
                f"The pipeline declares no output '{shorten(binding.name)}'.",
                word=binding.name,
                known=node.outputs,
            )
        elif binding.name in wires.outputs:
            other = wires.outputs[binding.name][0]
            self.problems.add(
                key, f"'{other.name}' writes the pipeline's output '{binding.name}' already."
            )
        else:
            wires.outputs[binding.name] = (child, name)
            if isinstance(child.job, CommandJob) and child.is_leaf and port.type:
                # a command that says no more than this writes what the pipeline has declared
                child.outputs = {
                    **child.outputs,
                    name: replace(child.outputs[name], type=port.type),
                }
            produced = self._output_type(child, name)
            if port.type and produced and not fits(produced, port.type):
                self.problems.add(
                    key,
                    f"The pipeline's output '{binding.name}' is declared {port.type}, "
                    f"but this is {produced}.",
                )

    def check_output(self, child: Node, name: str, key: KeyPath) -> bool:
        if name in child.outputs:
            return True
        if not child.broken:
            self.problems.add(
                key,
                f"The step '{child.name}' has no output '{shorten(name)}'.",
                word=name,
                known=child.outputs,
            )
        return False

    def _refuse_naming(self, spec: TypedOutput, key: KeyPath) -> None:
        for word in ("name", "version"):
            if getattr(spec, word) is not None:
                self.problems.add(
                    (*key, word),
                    "Naming an output as a data asset is not supported by this version yet; "
                    "register models with an mlq:register step.",
                )

    def _output_type(self, node: Node, output: str) -> str:
        leaf = self.follow(node, output)
        if leaf is None or leaf[1] not in leaf[0].outputs:
            return ""
        return leaf[0].outputs[leaf[1]].type

    def add_unknown_step(self, parent: Node, binding: Binding, key: KeyPath) -> None:
        self.problems.add(
            key,
            f"There is no step '{shorten(binding.step)}' in this pipeline.",
            word=binding.step,
            known=parent.children,
        )
