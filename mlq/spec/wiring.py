"""What flows between the steps of a tree: bindings resolved to the leaf that produces a value.

Top-down: a pipeline's inputs are known before its children look at them. A chain of bindings is
followed in a loop, never by recursion, so its length does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlq.spec.bindings import Binding, find_bindings, has_binding, parse_binding
from mlq.spec.builtin import ARTIFACT_TYPES, Port
from mlq.spec.flows import ABSENT, BROKEN, Flow, fit
from mlq.spec.graph import CycleError, sort_topologically
from mlq.spec.items import Item, read_items
from mlq.spec.model import CommandComponent, CommandJob, TypedInput
from mlq.spec.nodes import Draw, Node, Search, Spread
from mlq.spec.objectives import check_objective
from mlq.spec.outputs import OutputWiring, Wires
from mlq.spec.parallel import LOT
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import shorten
from mlq.spec.rounds import note_invalid_round
from mlq.spec.steps import is_typed, port_of
from mlq.spec.values import BadValueError, literal_type

#: A component's further inputs: values, or (`mlq:pass`) anything.
_OPEN_VALUE = Port("object", optional=True)
_ITEMS = Port("object")
_ROUND = Flow("broken", output="round")


class Wiring(OutputWiring):
    """Binds every node of a tree. `wires` holds the result once `bind` has returned."""

    def __init__(self, problems: Problems) -> None:
        super().__init__(problems)
        # What each step's input was found to bring, so that long chains are walked once.
        self._followed: dict[tuple[Node, str], tuple[Flow, Node | None]] = {}

    def bind(self, root: Node) -> None:
        """Resolve all bindings; what is wrong with them goes to the problems."""
        self.bind_outputs(root)
        self._bind_inputs(root)

    # inputs, top-down -------------------------------------------------------------------------

    def _bind_inputs(self, node: Node) -> None:
        wires = self.wires[node]
        where = node.key if node.branches is not None else (*node.key, "inputs")
        for name, raw in (node.job.inputs or {}).items():
            port = self._port_for(node, name, (*where, name))
            if port is BROKEN:
                continue
            assert port is None or isinstance(port, Port)
            if node.is_round and self._is_given(node, name):
                continue
            flow, sibling = self._flow(node, raw, (*where, name), port)
            if sibling is not None and node.is_finally and not sibling.is_finally:
                # it runs whatever becomes of that step
                flow, sibling = replace(flow, is_partial=flow.kind == "output"), None
            wires.inputs[name] = fit(self.problems, name, flow, port, (*where, name))
            if sibling is not None:
                wires.upstreams[sibling] = None
        if node.is_round:
            self._carry_over(node)
        params: Mapping[str, Flow] = {}
        if node.search is not None:
            params = self._bind_search(node, node.search)
        elif node.spread is not None:
            params = self._bind_items(node, node.spread)
        # what a repeated job leaves out is looked at in its rounds
        for name, port in (node.ports or {}).items() if node.rounds is None else ():
            param = params.get(name)
            lacks = port.default is not None or node.spread is not None
            if param is not None and not (param.is_partial and lacks):
                continue
            given = wires.inputs.get(name)
            if given is None or given.kind == "absent":
                wires.inputs[name] = self._default(node, name, port, given is not None)
        if isinstance(node.definition, (CommandJob, CommandComponent)):
            self._check_given(node, node.definition, wires.inputs)
        if node.trial is not None:
            self._bind_trial(node, node.trial, wires.inputs, params)
        if node.item is not None:
            self._bind_item(node, node.item, wires.inputs, params)
        self._bind_children(node)

    def _is_given(self, node: Node, name: str) -> bool:
        """Give a round what its repeated job is given; False for a number that was widened."""
        repeated = node.parent
        assert repeated is not None
        if (node.job.inputs or {})[name] != (repeated.job.inputs or {})[name]:
            return False
        self.wires[node].inputs[name] = self.wires[repeated].inputs.get(name, BROKEN)
        return True

    def _carry_over(self, node: Node) -> None:
        """Give an iteration of a loop what the one before it has found."""
        loop = node.parent
        assert loop is not None
        assert loop.rounds is not None
        names = list(loop.children)
        place = names.index(node.name)
        for name, carried in loop.rounds.carried.items():
            before = loop.children[names[place - 1]] if place else None
            known = node.ports if node.ports is not None else node.job.inputs or {}
            if name not in known and not (node.component and node.component.open_inputs):
                self.problems.add(
                    carried.key,
                    f"The body has no input '{shorten(name)}'.",
                    word=name,
                    known=known,
                )
            elif self.check_output(node, carried.output, carried.key) and before is not None:
                leaf = self.follow(before, carried.output)
                if leaf is None or leaf[1] not in leaf[0].outputs:
                    continue
                flow = Flow("output", None, *leaf, leaf[0].outputs[leaf[1]].type)
                port = (node.ports or {}).get(name)
                fitted = fit(self.problems, name, flow, port, carried.key)
                self.wires[node].inputs[name] = fitted

    def _bind_condition(self, loop: Node) -> None:
        """A loop goes on as long as an output of its body is true."""
        assert loop.rounds is not None
        name = loop.rounds.condition
        if name is None or loop.broken:
            return
        key = (*loop.key[:-1], loop.name, "condition")
        port = loop.outputs.get(name)
        if port is None:
            self.problems.add(
                key,
                f"The body has no output '{shorten(name)}'.",
                word=name,
                known=loop.outputs,
            )
        elif port.type != "boolean":
            self.problems.add(
                key,
                f"The condition takes boolean; the output '{shorten(name)}' is {port.type}. "
                f"Declare it as {{type: boolean}}, and write true or false to it.",
            )

    def _bind_branches(self, node: Node) -> None:
        """The steps of both blocks wait for the `if_else` that chooses between them."""
        chosen: dict[Node, Node] = {}
        for child in node.children.values():
            if child.branches is None:
                continue
            for name, key in (*child.branches.if_true.items(), *child.branches.if_false.items()):
                step = node.find_step(name)
                if step is None:
                    continue
                other = chosen.setdefault(step, child)
                if other is not child:
                    self.problems.add(key, f"'{name}' stands in a block of '{other.name}' already.")
                self.wires[step].upstreams[child] = None

    def _bind_children(self, node: Node) -> None:
        before = len(self.problems)
        if node.rounds is not None:
            self._bind_condition(node)
        for place, child in enumerate(node.children.values()):
            self._bind_inputs(child)
            if node.rounds is not None and len(self.problems) > before:
                if place and node.rounds.condition is None:
                    note_invalid_round(self.problems, node, child)
                break  # the other rounds are as this one
        self._bind_branches(node)
        if node.children:
            self._sort_children(node, self.wires[node])

    def _bind_search(self, node: Node, search: Search) -> dict[str, Flow]:
        """What a sweep's search space gives to the ports of its trial."""
        params: dict[str, Flow] = {}
        for name, draws in search.draws.items():
            key = draws[0].key
            if name in (node.job.inputs or {}):
                self.problems.add(
                    key,
                    f"'{shorten(name)}' is under `inputs` as well; a parameter that is swept has "
                    "no fixed value.",
                )
            port = self._port_for(node, name, key)
            if isinstance(port, Flow) or self._holds_null(name, draws, port):
                params[name] = BROKEN
                continue
            types = {draw.type for draw in draws}
            flow = Flow(
                "param",
                name,
                type=types.pop() if len(types) == 1 else "object",
                draws=draws,
                is_partial=name not in search.always,
            )
            params[name] = fit(self.problems, name, flow, port, key)
        return params

    def _holds_null(self, name: str, draws: Sequence[Draw], port: Port | None) -> bool:
        """Note each null among the values of a parameter; those of estimators may be null."""
        if port is _OPEN_VALUE:
            return False
        found = [draw for draw in draws if any(value is None for value in draw.values)]
        for draw in found:
            self.problems.add(
                draw.key,
                f"A trial cannot be given null for '{shorten(name)}'. Write a value, such as 0 or "
                "none in quotes; for trials without it, choose between mappings of which some "
                f"lack '{shorten(name)}'.",
            )
        return bool(found)

    def _bind_items(self, node: Node, spread: Spread) -> dict[str, Flow]:
        """What the items give to the body; items that no one knows yet may give it anything."""
        if spread.mini_batches is not None:
            return {LOT: Flow("input", LOT, type="uri_file")}
        wires = self.wires[node]
        items = spread.items
        if isinstance(items, str):
            flow, sibling = self._flow(node, items, spread.key, _ITEMS)
            flow = fit(self.problems, "items", flow, _ITEMS, spread.key)
            if sibling is not None:
                wires.upstreams[sibling] = None
            if flow.kind != "literal":
                wires.items = flow
                return self._any_item(node)
            try:
                items = read_items(flow.value)
            except BadValueError as error:
                self.problems.add(spread.key, error.sentence("The items"))
                return {}
        wires.items = [(item.name, self._bind_values(node, item, spread)) for item in items]
        params: dict[str, Flow] = {}
        for name in {name for _, values in wires.items for name in values}:
            given = [values[name] for _, values in wires.items if name in values]
            types = {flow.type for flow in given}
            params[name] = Flow(
                "input",
                name,
                type=types.pop() if len(types) == 1 else "object",
                is_partial=len(given) < len(wires.items),
            )
        return params

    def _bind_values(self, node: Node, item: Item, spread: Spread) -> dict[str, Flow]:
        values: dict[str, Flow] = {}
        for name, raw in item.values.items():
            key = (*spread.key, item.name, name)
            port = self._port_for(node, name, key)
            if isinstance(port, Flow):
                continue
            flow, sibling = self._flow(node, raw, key, port)
            values[name] = fit(self.problems, name, flow, port, key)
            if sibling is not None:
                self.wires[node].upstreams[sibling] = None
        return values

    def _any_item(self, node: Node) -> dict[str, Flow]:
        """Inputs that items may bring which are found while the job runs."""
        if node.ports is None:
            return {
                name: Flow("input", name, type=flow.type, is_partial=True)
                for name, flow in self.wires[node].inputs.items()
            }
        return {
            name: Flow("input", name, type=port.type, is_partial=is_open(port))
            for name, port in node.ports.items()
        }

    def _bind_item(
        self, node: Node, item: Node, inputs: Mapping[str, Flow], params: Mapping[str, Flow]
    ) -> None:
        """Give the body of a `parallel_for` what is the same for all items, and what is not."""
        given = {
            name: Flow("input", name, type=flow.type) if flow.kind in ("asset", "output") else flow
            for name, flow in inputs.items()
        }
        for name, flow in params.items():
            is_given = inputs.get(name, ABSENT).kind != "absent"
            given[name] = Flow(
                "input", name, type=flow.type, is_partial=flow.is_partial and not is_given
            )
        self.wires[item].inputs = given
        if isinstance(item.definition, (CommandJob, CommandComponent)):
            self._check_given(item, item.definition, given)
        self._bind_children(item)

    def _bind_trial(
        self, sweep: Node, trial: Node, inputs: Mapping[str, Flow], params: Mapping[str, Flow]
    ) -> None:
        """Give a trial what its sweep is given and what it varies."""
        given = {**inputs, **params}
        if trial.is_leaf:
            if isinstance(trial.definition, CommandComponent):
                self._check_given(trial, trial.definition, given)
        else:
            self.wires[trial].inputs = {
                name: flow
                if flow.kind not in ("asset", "output")
                else Flow("input", name, type=flow.type)
                for name, flow in given.items()
            }
            self._bind_children(trial)
        check_objective(self.problems, sweep, inputs)

    def _port_for(self, node: Node, name: str, key: KeyPath) -> Port | Flow | None:
        """The port of an input; None when anything goes; BROKEN when there is no such input."""
        if node.ports is None:
            return None
        port = node.ports.get(name)
        if port is not None:
            return port
        if node.component is not None and node.component.open_inputs:
            return None if node.component.open_artifacts else _OPEN_VALUE
        what = node.component.name if node.component is not None else "component"
        self.problems.add(
            key, f"{what} has no input '{shorten(name)}'.", word=name, known=node.ports
        )
        return BROKEN

    def _default(self, node: Node, name: str, port: Port, is_absent: bool) -> Flow:
        if port.default is not None:
            return fit(
                self.problems,
                name,
                Flow("literal", port.default),
                port,
                (*node.key, "inputs", name),
            )
        if not port.optional:
            what = port.type if port.type in ARTIFACT_TYPES else f"a {port.type}"
            self.problems.add(
                (*node.key, "inputs", name) if is_absent else (*node.key, "inputs"),
                f"The input '{name}' is required ({what}), but not given.",
            )
        return ABSENT

    def _flow(
        self, node: Node, raw: Any, key: KeyPath, port: Port | None
    ) -> tuple[Flow, Node | None]:
        """What `raw` brings, and the sibling that must be done first."""
        if raw is None:
            return ABSENT, None
        if isinstance(raw, dict) and (is_typed(raw) if port is None else port.type != "object"):
            return self._typed(node, raw, key, port)
        if has_binding(raw):
            return self._bound(node, raw, key)
        if isinstance(raw, (dict, list)) and _holds_binding(raw):
            self.problems.add(
                key, "A binding cannot stand inside a mapping or list; bind the whole input."
            )
            return BROKEN, None
        return Flow("literal", raw, type=literal_type(raw)), None

    def _typed(
        self, node: Node, raw: dict[str, Any], key: KeyPath, port: Port | None
    ) -> tuple[Flow, Node | None]:
        """`{type: uri_file, path: …}`, `{type: number, value: 3}`, and as a pipeline's parameter
        `{type: number, default: 3, min: 0}`."""
        spec = self.problems.validate(TypedInput, raw, key)
        if spec is None:
            return BROKEN, None
        type = spec.type or (port.type if port is not None else "uri_folder")
        given = spec.path
        if type not in ARTIFACT_TYPES:
            if spec.path is not None:
                self.problems.add(
                    (*key, "path"), f"An input of type {type} has a value, not a path."
                )
                return BROKEN, None
            given = spec.value
        word = "path" if type in ARTIFACT_TYPES else "value"
        if given is None:
            given, word = spec.default, "default"
        if given is None:
            if not spec.optional and (port is None or not port.optional):
                place = "path" if type in ARTIFACT_TYPES else "value"
                self.problems.add(
                    key,
                    f"This input has no {place}; write one here, or set it at submit with "
                    f"--set inputs.{shorten(key[-1])}=….",
                )
                return BROKEN, None
            return ABSENT, None
        if has_binding(given):
            flow, sibling = self._bound(node, given, (*key, word))
            if spec.type is None:
                return flow, sibling
        else:
            flow, sibling = Flow("literal", given, type=literal_type(given)), None
        declared = port_of(spec, type=type)
        return fit(self.problems, str(key[-1]), flow, declared, (*key, word)), sibling

    def _bound(self, node: Node, raw: str, key: KeyPath) -> tuple[Flow, Node | None]:
        """Follow a binding through the inputs of siblings, to a value or a sibling's output."""
        parent = node.parent
        if parent is None:
            self.problems.add(key, "The root job has no parent; a binding cannot stand here.")
            return BROKEN, None
        walked: list[tuple[Node, str]] = []
        found: tuple[Flow, Node | None] | None = None
        while found is None:
            binding = parse_binding(raw)
            if binding is None:
                self._add_unreadable(raw, key)
                found = BROKEN, None
            elif binding.kind == "parent.inputs":
                found = self._parent_input(parent, binding, key), None
            elif binding.kind not in ("jobs.outputs", "jobs.inputs"):
                self._add_misplaced(raw, binding, key)
                found = BROKEN, None
            elif (step := parent.find_step(binding.step)) is None:
                if binding.step not in parent.broken:
                    self.add_unknown_step(parent, binding, key)
                found = BROKEN, None
            elif binding.kind == "jobs.outputs":
                found = self._sibling_output(node, step, binding, key)
            else:
                place = (step, binding.name)
                if place in self._followed:
                    found = self._followed[place]
                    if found[0] is _ROUND:
                        self.problems.add(
                            key, f"'{shorten(raw)}' leads back to itself; no step gives a value."
                        )
                        found = BROKEN, None
                    elif found[1] is node:
                        self._add_own_output(node, key)
                        found = BROKEN, None
                    continue
                walked.append(place)
                self._followed[place] = _ROUND, None  # whoever comes back here went round
                following = self._sibling_input(step, binding, key)
                if isinstance(following, str):
                    raw = following
                else:
                    found = following
        for place in walked:
            self._followed[place] = found
        return found

    def _sibling_input(
        self, step: Node, binding: Binding, key: KeyPath
    ) -> str | tuple[Flow, Node | None]:
        """`parent.jobs.STEP.inputs.NAME`: what that input brings, or the binding that says so."""
        inputs = step.job.inputs or {}
        if binding.name not in inputs:
            self.problems.add(
                key,
                f"The step '{step.name}' is given no input '{shorten(binding.name)}'.",
                word=binding.name,
                known=inputs,
            )
            return BROKEN, None
        value = inputs[binding.name]
        if isinstance(value, dict):
            # Look through `{type: …, path: '${{…}}'}` here, so that no chain can recurse.
            bound = (value.get(word) for word in ("path", "value", "default"))
            value = next((text for text in bound if has_binding(text)), value)
        if isinstance(value, str) and has_binding(value):
            return value
        port = (step.ports or {}).get(binding.name)
        return self._flow(step, value, (*step.key, "inputs", binding.name), port)

    def _parent_input(self, parent: Node, binding: Binding, key: KeyPath) -> Flow:
        inputs = self.wires[parent].inputs
        if binding.name in inputs:
            return inputs[binding.name]
        if parent.ports is not None and binding.name in (parent.job.inputs or {}):
            return BROKEN  # unknown there, and reported there
        self.problems.add(
            key,
            f"The pipeline has no input '{shorten(binding.name)}'.",
            word=binding.name,
            known=inputs,
        )
        return BROKEN

    def _sibling_output(
        self, node: Node, step: Node, binding: Binding, key: KeyPath
    ) -> tuple[Flow, Node | None]:
        if step is node:
            self._add_own_output(step, key)
            return BROKEN, None
        if step.is_finally and not node.is_finally:
            self.problems.add(
                key,
                f"The step '{step.name}' stands under `finally` and runs after all others; only "
                "other steps there can wait for it.",
            )
            return BROKEN, None
        if not self.check_output(step, binding.name, key):
            return BROKEN, None
        leaf = self.follow(step, binding.name)
        if leaf is None or leaf[1] not in leaf[0].outputs:
            return BROKEN, step
        producer, output = leaf
        return Flow("output", None, producer, output, producer.outputs[output].type), step

    def _check_given(
        self,
        node: Node,
        definition: CommandJob | CommandComponent,
        inputs: Mapping[str, Flow],
    ) -> None:
        """A command must have a value for what it names outside `$[[ … ]]`."""
        for found in find_bindings(definition.command):
            binding = found.binding
            if binding is None or found.optional:
                continue
            if binding.kind not in ("inputs", "search_space"):
                continue
            flow = inputs.get(binding.name)
            port = (node.ports or {}).get(binding.name)
            is_missing = flow is not None and flow.kind == "absent"
            if flow is not None and flow.kind in ("param", "output", "input"):
                is_missing = flow.is_partial and flow.default is None
            if is_missing and (port is None or port.optional):
                who = "is not given" if flow is ABSENT else "some trials are not given"
                if flow is not None and flow.kind == "input":
                    who = "some items do not give"
                if flow is not None and flow.kind == "output":
                    who = "may not have been written when the pipeline ends"
                self.problems.add(
                    (*node.definition_key, "command"),
                    f"The command names {binding.kind}.{shorten(binding.name)}, which {who}; "
                    "give it a value, or write $[[ … ]] around the words that need it.",
                )

    # order ------------------------------------------------------------------------------------

    def _sort_children(self, node: Node, wires: Wires) -> None:
        children = list(node.children.values())
        number = {child: index for index, child in enumerate(children)}
        upstreams = [
            [number[upstream] for upstream in self.wires[child].upstreams] for child in children
        ]
        try:
            order = [children[index] for index in sort_topologically(upstreams)]
            wires.order = sorted(order, key=lambda child: child.is_finally)
        except CycleError as error:
            names = [children[index].name for index in error.cycle]
            if len(names) > 12:
                names = [*names[:6], "…", *names[-5:]]
            self.problems.add(
                children[error.cycle[0]].key,
                f"These steps wait for each other: {' -> '.join(names)}. "
                "Take one of their bindings away.",
            )

    # messages ---------------------------------------------------------------------------------

    def _add_own_output(self, step: Node, key: KeyPath) -> None:
        self.problems.add(key, f"The step '{step.name}' waits for an output of its own.")

    def _add_misplaced(self, raw: str, binding: Binding, key: KeyPath) -> None:
        suggestion = f"${{{{parent.inputs.{binding.name}}}}}" if binding.kind == "inputs" else ""
        self.problems.add(
            key,
            f"'{shorten(raw)}' cannot stand here; inputs are bound to "
            "'${{parent.inputs.NAME}}' or '${{parent.jobs.STEP.outputs.NAME}}'.",
            suggestion=suggestion if 0 < len(suggestion) < 100 else None,
        )

    def _add_unreadable(self, raw: str, key: KeyPath) -> None:
        stripped = raw.strip()
        if stripped.startswith("${{") and stripped.endswith("}}") and stripped.count("${{") == 1:
            message = (
                f"'{shorten(raw)}' is no binding; write '${{{{parent.inputs.NAME}}}}' or "
                "'${{parent.jobs.STEP.outputs.NAME}}'."
            )
        else:
            message = (
                f"'{shorten(raw)}' mixes a binding with text; a binding stands alone "
                "(text is put together in commands)."
            )
        self.problems.add(key, message)


def is_open(port: Port) -> bool:
    """Whether a job may do without a value for it."""
    return port.optional or port.default is not None


def _holds_binding(value: dict[str, Any] | list[Any]) -> bool:
    stack: list[Any] = [value]
    while stack:
        here = stack.pop()
        if has_binding(here):
            return True
        if isinstance(here, dict):
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)
    return False
