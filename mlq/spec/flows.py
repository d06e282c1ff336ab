"""What flows into an input, against what the input takes."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace as copy_with
from typing import Any

from mlq.spec.builtin import ARTIFACT_TYPES, Port
from mlq.spec.nodes import Draw, Node
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import BadReferenceError, parse_asset, shorten
from mlq.spec.values import BadValueError, cast_literal, describe, fits, mismatch


@dataclass(frozen=True, slots=True)
class Flow:
    """The value of one input.

    kind: `literal`, `asset`, `output`, `absent` (optional, not given) or `broken` (reported); in a
    sweep's trial also `param` (of the search space) and `input` (what the sweep itself is given).
    producer, output: of an `output` the leaf and its output's name.
    draws: of a `param`, what it may be. is_partial: some trials are not given it, or the step that
    writes it may not have come to that; `default`, which is the port's, then stands in.
    """

    kind: str
    value: Any = None
    producer: Node | None = None
    output: str = ""
    type: str = "string"
    draws: tuple[Draw, ...] = ()
    is_partial: bool = False
    default: Any = None


ABSENT = Flow("absent")
BROKEN = Flow("broken")


def fit(problems: Problems, name: str, flow: Flow, port: Port | None, key: KeyPath) -> Flow:
    """`flow` as `port` takes it; what it does not take becomes a problem."""
    if port is None or flow.kind in ("absent", "broken"):
        return flow
    if flow.kind == "literal":
        return _fit_literal(problems, name, flow, port, key)
    if flow.kind == "param":
        return _fit_param(problems, name, flow, port, key)
    if not fits(flow.type, port.type):
        what = {"output": "this step's output", "asset": "this asset"}.get(flow.kind, "this")
        hint = ""
        if port.type in ARTIFACT_TYPES and flow.type in ARTIFACT_TYPES and flow.producer:
            if flow.producer.component is None:
                hint = (
                    f" Declare the output '{flow.output}' of '{flow.producer.path}' as "
                    f"{{type: {port.type}}}."
                )
        elif port.type in ARTIFACT_TYPES:
            hint = " Bind an output that is a file or folder, or name a data asset."
        problems.add(
            key,
            f"The input '{shorten(name)}' takes {port.type}; {what} is {flow.type}.{hint}",
        )
        return BROKEN
    if flow.is_partial:
        if not port.optional and port.default is None:
            problems.add(
                key,
                f"The input '{shorten(name)}' is required, but a step under `finally` runs whether "
                "or not this output was written; make it `optional: true` or give it a default.",
            )
            return BROKEN
        return copy_with(flow, default=port.default)
    if flow.kind == "asset" and flow.type != port.type:
        return copy_with(flow, type=port.type)
    return flow


def _fit_literal(problems: Problems, name: str, flow: Flow, port: Port, key: KeyPath) -> Flow:
    if port.type in ARTIFACT_TYPES:
        if not isinstance(flow.value, str):
            problems.add(
                key,
                f"The input '{shorten(name)}' takes {port.type}; got {describe(flow.value)}. "
                "Bind an output, or name a data asset such as mlq:NAME@latest.",
            )
            return BROKEN
        try:
            return Flow("asset", parse_asset(flow.value, type=port.type), type=port.type)
        except BadReferenceError as error:
            problems.add(key, f"{error}.", suggestion=error.suggestion)
            return BROKEN
    try:
        return Flow("literal", cast_literal(flow.value, port), type=port.type)
    except BadValueError as error:
        words = error.sentence(f"The input '{shorten(name)}'")
        problems.add(key, words, suggestion=error.suggestion)
        return BROKEN


def _fit_param(problems: Problems, name: str, flow: Flow, port: Port, key: KeyPath) -> Flow:
    if port.type in ARTIFACT_TYPES:
        problems.add(
            key,
            f"The input '{shorten(name)}' takes {port.type}; a search space gives values, and no "
            "files. Sweep over a value that chooses between them.",
        )
        return BROKEN
    before = len(problems)
    for draw in flow.draws:
        _check_draw(problems, name, draw, port)
    if flow.is_partial and not port.optional and port.default is None:
        problems.add(
            key,
            f"The input '{shorten(name)}' is required, but some trials of this search space are "
            "not given it.",
        )
    if len(problems) > before:
        return BROKEN
    return copy_with(flow, type=port.type, default=port.default)


def _check_draw(problems: Problems, name: str, draw: Draw, port: Port) -> None:
    """What a parameter may be, against the port that takes it."""
    if (draw.type, port.type) == ("number", "integer") and (
        not draw.values or (isinstance(draw.values[0], float) and len(draw.values) > 1)
    ):
        problems.add(
            draw.key,
            f"The input '{shorten(name)}' takes an integer: draw it with randint, or with a "
            "quantised type and an integer as `q`.",
        )
        return
    for value in draw.values:
        try:
            if isinstance(value, str) and port.type in ("number", "integer", "boolean"):
                # values reach the trial as they stand here; nothing reads numbers out of text
                raise mismatch(port.type, value)
            cast_literal(value, port)
        except BadValueError as error:
            words = error.sentence(f"The input '{shorten(name)}'")
            problems.add(draw.key, words, suggestion=error.suggestion)
            return
