"""What flows into an input, against what the input takes."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace as copy_with
from typing import Any

from mlq.spec.builtin import ARTIFACT_TYPES, Port
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import BadReferenceError, parse_asset, shorten
from mlq.spec.tree import Node
from mlq.spec.values import BadValueError, cast_literal, describe, fits


@dataclass(frozen=True, slots=True)
class Flow:
    """The value of one input.

    kind: `literal`, `asset`, `output`, `absent` (optional, not given) or `broken` (reported).
    producer, output: of an `output` the leaf and its output's name.
    """

    kind: str
    value: Any = None
    producer: Node | None = None
    output: str = ""
    type: str = "string"


ABSENT = Flow("absent")
BROKEN = Flow("broken")


def fit(problems: Problems, name: str, flow: Flow, port: Port | None, key: KeyPath) -> Flow:
    """`flow` as `port` takes it; what it does not take becomes a problem."""
    if port is None or flow.kind in ("absent", "broken"):
        return flow
    if flow.kind == "literal":
        return _fit_literal(problems, name, flow, port, key)
    if not fits(flow.type, port.type):
        what = "this step's output" if flow.kind == "output" else "this asset"
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
        problems.add(key, f"The input '{shorten(name)}' {error}.", suggestion=error.suggestion)
        return BROKEN
