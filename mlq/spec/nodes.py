"""The nodes of a job tree, while it is checked: steps, the root, and what sweeps try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlq.spec.builtin import Component, Port
from mlq.spec.model import (
    CommandComponent,
    CommandJob,
    Job,
    ParallelComponent,
    ParallelJob,
    PipelineComponent,
    PipelineJob,
    Settings,
)
from mlq.spec.paths import KeyPath

Definition = (
    CommandJob
    | CommandComponent
    | PipelineJob
    | PipelineComponent
    | ParallelJob
    | ParallelComponent
)


@dataclass(frozen=True, slots=True)
class Draw:
    """One way a trial may get a parameter.

    key: where it stands in the document. type: the port type of the values. values: those of a
    choice; of a range its ends; empty where there are none to name.
    """

    key: KeyPath
    type: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Search:
    """What a sweep does, as far as it can be told from its own keys.

    draws: for every parameter that a trial may get, how. always: those that every trial gets.
    content: `sampling`, `search_space`, `objective`, `early_termination` and `limits` of the
    compiled sweep. runners: how many leaves run trials beside each other.
    """

    draws: Mapping[str, tuple[Draw, ...]]
    always: frozenset[str]
    content: Mapping[str, Any]
    runners: int


@dataclass(frozen=True, slots=True)
class Rounds:
    """What tells whether a round of a repeated job is good enough.

    goal: of the objective that the rounds of a sweep are to reach the target of; None for
    pipelines, which only have to succeed.
    condition: of a loop: the body's output that says whether there is another round.
    carried: of a loop: input of the body -> what it is given from the second round on.
    """

    goal: str | None
    condition: str | None = None
    carried: Mapping[str, Carried] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Carried:
    """An output of a loop's body that its next round takes; key: where that is written."""

    output: str
    key: KeyPath


@dataclass(frozen=True, slots=True)
class Spread:
    """How many jobs are made of one.

    max_concurrency: so many run beside each other at most; None for no bound.
    items: of a `parallel_for`, what `mlq.spec.items` has read at `key`, or a binding to it.
    mini_batches: of a `parallel` job: see `mlq.spec.parallel`.
    """

    max_concurrency: int | None
    items: Any
    key: KeyPath
    mini_batches: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Branches:
    """Siblings that an `if_else` chooses between: name -> where it is named."""

    if_true: Mapping[str, KeyPath]
    if_false: Mapping[str, KeyPath]


@dataclass(slots=True, eq=False)
class Node:
    """A step, the root, or what a sweep tries.

    key: where it stands in the document; definition_key: where its command or jobs stand, which is
    elsewhere for inline components. ports: None when the step declares its inputs as it goes.
    broken: names of children that could not be read; whatever leads to them is not reported again.
    search, trial: of a sweep. A trial is a root of its own: nothing outside binds to what is in it.
    spread, item: of a `parallel_for`, and what it runs for each item; a root, as a trial is.
    rounds: of a repeated job or loop, whose children are its rounds. branches: of an `if_else`.
    bodies: of a pipeline, steps that are the bodies of loops -> the loop's name: whoever binds to
    such a step is given the loop's outputs. is_finally: it runs once its siblings that are not have
    ended, however they did. registered: the version, `mlq:NAME:VERSION`, that it is
    a step of.
    """

    key: KeyPath
    name: str
    path: str
    parent: Node | None
    job: Job
    type: str
    definition_key: KeyPath
    component: Component | None = None
    definition: Definition | None = None
    ports: Mapping[str, Port] | None = None
    outputs: Mapping[str, Port] = field(default_factory=dict)
    children: dict[str, Node] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    search: Search | None = None
    trial: Node | None = None
    spread: Spread | None = None
    item: Node | None = None
    rounds: Rounds | None = None
    branches: Branches | None = None
    bodies: dict[str, str] = field(default_factory=dict)
    is_finally: bool = False
    registered: str | None = None

    @property
    def is_leaf(self) -> bool:
        """Whether its outputs are its own: no pipeline. To other steps, a sweep is a leaf."""
        return self.type != "pipeline"

    @property
    def is_approval(self) -> bool:
        """Whether a person decides: no worker executes it."""
        return self.type == "approval"

    @property
    def is_executed(self) -> bool:
        """Whether a worker runs it, as a leaf."""
        return self.type == "command"

    @property
    def job_type(self) -> str:
        """The type of the job that it becomes."""
        is_loop = self.rounds is not None and self.rounds.condition is not None
        return "do_while" if is_loop else self.type

    def find_step(self, name: str) -> Node | None:
        """The child that `parent.jobs.NAME` means to its steps."""
        return self.children.get(self.bodies.get(name, name))

    @property
    def is_round(self) -> bool:
        return self.parent is not None and self.parent.rounds is not None

    @property
    def has_steps(self) -> bool:
        """Whether its outputs are those of its steps: a pipeline, or a repeated one."""
        return not self.is_leaf and (self.rounds is None or self.rounds.goal is None)

    @property
    def settings(self) -> Settings | None:
        if isinstance(self.definition, (PipelineJob, PipelineComponent)):
            return self.definition.settings
        return None
