"""The items of a `parallel_for`: what its body is given, once for each of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlq.spec.bindings import has_binding
from mlq.spec.builtin import Port
from mlq.spec.references import is_step_name
from mlq.spec.rounds import own_output
from mlq.spec.values import BadValueError, cast_literal, describe


@dataclass(frozen=True, slots=True)
class Item:
    """One of the items. name: of its job; values: input of the body -> what it is given."""

    name: str
    values: Mapping[str, Any]


def read_items(written: Any) -> list[Item]:
    """The items of a list or mapping, or of either as JSON text.

    Those of a list are called `item-1` and so on, those of a mapping by their keys. Raises
    BadValueError, whose text follows "The items" or the name of an item.
    """
    if isinstance(written, str):
        try:
            written = json.loads(written)
        except ValueError as error:
            raise BadValueError(f"are neither JSON nor a binding ({error})") from None
    if isinstance(written, list):
        named: Iterable[tuple[str, Any]] = (
            (f"item-{place}", values) for place, values in enumerate(written, 1)
        )
    elif isinstance(written, dict):
        named = written.items()
    else:
        raise BadValueError(f"are a list or a mapping of mappings; got {describe(written)}")
    items = []
    for name, values in named:
        if not is_step_name(name):
            raise BadValueError(
                f"are named by their keys: letters, digits, _ and -, a letter or _ first; "
                f"got {describe(name)}"
            )
        if not isinstance(values, dict):
            raise BadValueError(f"map inputs of the body to values; '{name}' is {describe(values)}")
        items.append(Item(name, values))
    return items


def write_item(body: Mapping[str, Any], items: Sequence[Item] | str) -> dict[str, Any]:
    """The body as it might have been written for one item. items: a binding, or all of them."""
    written = dict(body)
    if isinstance(written.get("outputs"), dict):
        written["outputs"] = {name: own_output(raw) for name, raw in written["outputs"].items()}
    if isinstance(items, str) or not isinstance(written.get("inputs") or {}, dict):
        return written
    inputs = dict(written.get("inputs") or {})
    for item in items:
        inputs = {**item.values, **inputs}
    if inputs:
        written["inputs"] = inputs
    return written


def bound_outputs(body: Any, loop: Mapping[str, Any] | None) -> dict[str, Any]:
    """The outputs that go to those of the pipeline, as a body and its loop say; the loop wins."""
    own = body.items() if isinstance(body, dict) else ()
    return {
        **{name: raw for name, raw in own if has_binding(raw) and own_output(raw) is None},
        **{name: raw for name, raw in (loop or {}).items() if has_binding(raw)},
    }


def check_item(item: Item, ports: Mapping[str, Port], *, given: Iterable[str]) -> dict[str, Any]:
    """The values of an item that was found while the job runs, as the body's ports take them.

    given: inputs that the body has anyway. Raises BadValueError, whose text follows its name.
    """
    unknown = sorted(item.values.keys() - ports.keys())
    if unknown:
        raise BadValueError(f"gives '{unknown[0]:.60}', which is no input of the body")
    found = {}
    for name, value in item.values.items():
        try:
            found[name] = cast_literal(value, ports[name])
        except BadValueError as error:
            raise BadValueError(f"is no value for '{name}': it {error}") from None
    for name in ports.keys() - found.keys() - set(given):
        port = ports[name]
        if port.default is not None:
            found[name] = port.default
        elif not port.optional:
            raise BadValueError(f"lacks the input '{name}', which the body requires")
    return found
