"""Plans made directly, without a job file: any shape, empty pipelines included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mlq.spec.graph import find_chains
from mlq.spec.plan import Plan, PlannedJob, Source


@dataclass(frozen=True)
class Leaf:
    """A step that a worker runs. after: names of siblings."""

    after: Sequence[str] = ()
    compute: str = "cpu"
    retries: int = 0
    delay_s: float = 0.0
    deterministic: bool = False
    inputs: Mapping[str, Source] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    demands: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pipe:
    """A pipeline; steps in an order in which upstreams come first.

    outputs: name -> (path of the leaf below that writes it, its output's name).
    """

    steps: Mapping[str, Step]
    after: Sequence[str] = ()
    stop_on_failure: bool = False
    timeout_s: float | None = None
    outputs: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """A sweep over leaves; its runners and the leaf that makes its outputs come with it."""

    runners: int = 2
    after: Sequence[str] = ()
    compute: str = "cpu"
    timeout_s: float | None = None
    outputs: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Rounds:
    """A pipeline or sweep that is repeated until it is good enough."""

    of: Pipe | Sweep
    count: int = 3
    after: Sequence[str] = ()


Step = Leaf | Pipe | Sweep | Rounds


def line(length: int, **of_each: Any) -> Pipe:
    """s0 -> s1 -> …"""
    return Pipe({f"s{n}": Leaf(after=[f"s{n - 1}"] if n else [], **of_each) for n in range(length)})


def fan_out(width: int, **of_each: Any) -> Pipe:
    """`width` leaves beside each other."""
    return Pipe({f"s{n}": Leaf(**of_each) for n in range(width)})


def join(width: int) -> Pipe:
    """`width` leaves, and one that waits for all."""
    steps = {f"s{n}": Leaf() for n in range(width)}
    return Pipe({**steps, "join": Leaf(after=list(steps))})


def plan(root: Step, *, name: str = "t", priority: int = 0, **more: Any) -> Plan:
    """The plan of a tree; `more` replaces fields of the plan."""
    jobs: list[PlannedJob] = []
    _add(jobs, root, None, "", name, 0, (), 0, None, 0)
    fields: dict[str, Any] = {
        "jobs": tuple(jobs),
        "type": jobs[0].type,
        "display_name": name,
        "experiment": "tests",
        "description": "",
        "tags": {},
        "priority": priority,
        "force_rerun": False,
        "outputs": {},
        "assets": (),
        "warnings": (),
    }
    return Plan(**{**fields, **more})


def _add(
    jobs: list[PlannedJob],
    step: Step,
    parent: int | None,
    path: str,
    name: str,
    ordinal: int,
    upstreams: tuple[int, ...],
    downstreams: int,
    chain: int | None,
    position: int,
) -> int:
    index = len(jobs)
    leaf = step if isinstance(step, Leaf) else None
    spec: dict[str, Any] = {"continue_on_step_failure": True, "outputs": {}}
    if leaf is not None:
        retries = {"max_retries": leaf.retries, "delay_s": leaf.delay_s}
        spec = {"retries": retries, "is_deterministic": leaf.deterministic, **leaf.spec}
    elif isinstance(step, Rounds):
        spec = {"rounds": {"goal": "maximize" if isinstance(step.of, Sweep) else None}}
    elif isinstance(step, Pipe | Sweep):
        spec["outputs"] = step.outputs
    if isinstance(step, Pipe):
        spec["continue_on_step_failure"] = not step.stop_on_failure
    jobs.append(
        PlannedJob(
            index=index,
            parent=parent,
            ordinal=ordinal,
            path=path,
            name=name,
            display_name=name,
            type="command" if leaf else "sweep" if isinstance(step, Sweep) else "pipeline",
            component=None,
            compute=leaf.compute if leaf else None,
            spec=spec,
            inputs=leaf.inputs if leaf else {},
            upstreams=upstreams,
            downstreams=downstreams,
            chain=chain,
            chain_position=position,
            max_retries=leaf.retries if leaf else 0,
            timeout_s=step.timeout_s if isinstance(step, Pipe | Sweep) else None,
            is_deterministic=bool(leaf and leaf.deterministic),
            demands=leaf.demands if leaf else {},
        )
    )
    if isinstance(step, Pipe):
        _add_steps(jobs, step, index, path)
    if isinstance(step, Sweep):
        _add_leaves(jobs, step, index, path)
    if isinstance(step, Rounds):
        _add_rounds(jobs, step, index, path)
    return index


def _add_rounds(jobs: list[PlannedJob], rounds: Rounds, parent: int, path: str) -> None:
    for ordinal in range(rounds.count):
        name = f"round-{ordinal + 1}"
        below = f"{path}.{name}" if path else name
        index = _add(jobs, rounds.of, parent, below, name, ordinal, (), 0, None, 0)
        jobs[index] = replace(jobs[index], role="round")


def _add_leaves(jobs: list[PlannedJob], sweep: Sweep, parent: int, path: str) -> None:
    names = [*(f"runner-{slot}" for slot in range(1, sweep.runners + 1)), "best"]
    for ordinal, name in enumerate(names):
        below = f"{path}.{name}" if path else name
        _add(jobs, Leaf(compute=sweep.compute), parent, below, name, ordinal, (), 0, None, 0)
        role = "best" if name == "best" else "runner"
        jobs[-1] = replace(jobs[-1], role=role)


def _add_steps(jobs: list[PlannedJob], pipe: Pipe, parent: int, path: str) -> None:
    names = list(pipe.steps)
    steps = list(pipe.steps.values())
    above = [[names.index(name) for name in step.after] for step in steps]
    below = [sum(place in others for others in above) for place in range(len(steps))]
    runs = find_chains(range(len(steps)), above, is_leaf=[isinstance(step, Leaf) for step in steps])
    links = {place: (run[0], at) for run in runs if len(run) > 1 for at, place in enumerate(run)}
    indices: list[int] = []
    for place, step in enumerate(steps):
        head, position = links.get(place, (None, 0))
        at = len(jobs)
        indices.append(at)
        _add(
            jobs,
            step,
            parent,
            f"{path}.{names[place]}" if path else names[place],
            names[place],
            place,
            tuple(indices[other] for other in above[place]),
            below[place],
            None if head is None else indices[head],
            position,
        )
