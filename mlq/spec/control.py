"""Control nodes: steps that say which of their siblings run, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlq.spec.bindings import has_binding, parse_binding, parse_step
from mlq.spec.model import DoWhileJob, IfElseJob
from mlq.spec.nodes import Branches, Carried, Rounds
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import shorten
from mlq.spec.rounds import own_output

LOOPS = frozenset({"do_while", "parallel_for"})
CONTROLS = LOOPS | {"if_else"}
#: Keys of control nodes that bindings stand in.
BOUND_KEYS = frozenset({"condition", "true_block", "false_block", "body", "mapping", "items"})


def kind_of(raw: Any) -> str | None:
    """The type that a step's mapping says, where that is text."""
    kind = raw.get("type") if isinstance(raw, Mapping) else None
    return kind if isinstance(kind, str) else None


def find_bodies(problems: Problems, jobs: Mapping[str, Any], where: KeyPath) -> dict[str, str]:
    """Steps that are the bodies of loops -> the loop's name. jobs: of one pipeline, at `where`."""
    bodies: dict[str, str] = {}
    for name, raw in jobs.items():
        if kind_of(raw) not in LOOPS:
            continue
        body = raw.get("body")
        if not isinstance(body, str):
            continue  # the model of the loop says so
        key = (*where, name, "body")
        step = _read_step(problems, body, key, jobs)
        if step is None:
            continue
        other = jobs[step]
        if kind_of(other) in CONTROLS:
            problems.add(
                key,
                f"'{step}' is a control node itself; put it into a pipeline, and make that the "
                "body.",
            )
        elif step in bodies:
            problems.add(key, f"'{step}' is the body of '{bodies[step]}' already.")
        else:
            bodies[step] = name
    return bodies


def read_branches(
    problems: Problems, job: IfElseJob, key: KeyPath, jobs: Mapping[str, Any]
) -> Branches | None:
    """The steps that an `if_else` at `key` chooses between; jobs: its siblings, and itself."""
    blocks: list[dict[str, KeyPath]] = []
    before = len(problems)
    for name, written in (("true_block", job.true_block), ("false_block", job.false_block)):
        block: dict[str, KeyPath] = {}
        several = isinstance(written, list)
        for place, text in enumerate(written if isinstance(written, list) else [written]):
            where = (*key, name, place) if several else (*key, name)
            step = _read_step(problems, text, where, jobs) if text is not None else None
            if step is None:
                continue
            if step in block or any(step in other for other in blocks):
                problems.add(where, f"'{step}' stands in the blocks of this step twice.")
            block[step] = where
        blocks.append(block)
    if not any(blocks) and len(problems) == before:
        problems.add(
            key, "An if_else needs a true_block or a false_block: '${{parent.jobs.STEP}}'."
        )
    return Branches(*blocks) if len(problems) == before else None


def read_loop(problems: Problems, loop: DoWhileJob, key: KeyPath, body: str) -> Rounds | None:
    """What a `do_while` at `key` says about the rounds of the step `body`."""
    before = len(problems)
    if loop.limits is None or loop.limits.max_iteration_count is None:
        problems.add(
            key,
            "A loop needs a bound: set limits.max_iteration_count, the most often that its body "
            "may run.",
        )
    condition = _read_output(problems, loop.condition, (*key, "condition"), body)
    carried: dict[str, Carried] = {}
    for output, written in (loop.mapping or {}).items():
        for name in written if isinstance(written, list) else [written]:
            where = (*key, "mapping", output)
            target = _read_input(problems, name, where, body)
            if target in carried:
                problems.add(
                    where,
                    f"The input '{shorten(target)}' is given '{carried[target].output}' already.",
                )
            carried[target] = Carried(output, where)
    if len(problems) > before:
        return None
    return Rounds(None, condition=condition, carried=carried)


def write_iterations(
    raw: Mapping[str, Any], loop: DoWhileJob
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and text of the body `raw`, once for each time that it may run."""
    assert loop.limits is not None
    assert loop.limits.max_iteration_count is not None
    once = dict(raw)
    if isinstance(once.get("outputs"), dict):
        once["outputs"] = {name: own_output(value) for name, value in once["outputs"].items()}
    for place in range(loop.limits.max_iteration_count):
        yield f"iteration-{place + 1}", once


def _read_step(
    problems: Problems, text: str, where: KeyPath, jobs: Mapping[str, Any]
) -> str | None:
    name = parse_step(text)
    if name is None:
        problems.add(
            where,
            f"'{shorten(text)}' names no step; write '${{{{parent.jobs.STEP}}}}'.",
            suggestion=f"${{{{parent.jobs.{text}}}}}" if text in jobs else None,
        )
        return None
    own = where[-2] if isinstance(where[-1], str) else where[-3]
    if name == own:
        problems.add(where, f"'{shorten(name)}' cannot name itself here.")
        return None
    if name not in jobs:
        problems.add(
            where,
            f"There is no step '{shorten(name)}' in this pipeline.",
            word=name,
            known=jobs,
        )
        return None
    return name


def _read_output(problems: Problems, text: str, where: KeyPath, body: str) -> str:
    """An output of the body: its name, or a binding to it."""
    if not has_binding(text):
        return text
    binding = parse_binding(text)
    if binding is None or (binding.kind, binding.step) != ("jobs.outputs", body):
        problems.add(
            where,
            f"'{shorten(text)}' is no output of the body; write the name of one, or "
            f"'${{{{parent.jobs.{shorten(body)}.outputs.NAME}}}}'.",
        )
        return ""
    return binding.name


def _read_input(problems: Problems, text: str, where: KeyPath, body: str) -> str:
    """An input of the body: its name, or a binding to it."""
    if not has_binding(text):
        return text
    binding = parse_binding(text)
    if binding is None or (binding.kind, binding.step) != ("jobs.inputs", body):
        problems.add(
            where,
            f"'{shorten(text)}' is no input of the body; write the name of one, or "
            f"'${{{{parent.jobs.{shorten(body)}.inputs.NAME}}}}'.",
        )
        return ""
    return binding.name
