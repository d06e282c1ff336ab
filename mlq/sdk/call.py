"""Runs one component in a command: `python -m mlq.sdk.call` is what submitted steps are.

It starts in the folder that holds the component's code. Literals, JSON values and files come as
options; outputs go to the folders that are named.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mlq.errors import MlqError
from mlq.sdk.components import Component
from mlq.sdk.values import Kind, read, write


def main(argv: Sequence[str]) -> int:
    """Call the function; returns the exit code. What it raises comes out of here."""
    parser = argparse.ArgumentParser(prog="python -m mlq.sdk.call")
    parser.add_argument("function", help="module:name of a component")
    for option in ("--literal", "--json", "--file", "--output"):
        parser.add_argument(option, action="append", default=[], metavar="NAME=VALUE", type=_pair)
    options = parser.parse_args(argv)
    component = find_component(options.function)
    arguments: dict[str, Any] = {
        **{name: parse_literal(text, component.inputs[name]) for name, text in options.literal},
        **{name: json.loads(text)[0] for name, text in options.json},
        **{name: read(Path(text), component.inputs[name]) for name, text in options.file},
    }
    returned = component.named(component.function(**arguments))
    for name, folder in options.output:
        write(returned[name], component.outputs[name], Path(folder))
    return 0


def find_component(path: str) -> Component[..., Any]:
    """The component at `module:name`. Raises MlqError where there is none."""
    module, _, name = path.partition(":")
    found = getattr(import_module(module), name, None)
    if not isinstance(found, Component):
        raise MlqError(
            f"'{path}' is no component.",
            code="unknown_component",
            hint="It must be a function of the module's top level, decorated with @mlq.component.",
        )
    return found


def parse_literal(text: str, kind: Kind) -> Any:
    """A literal as its component takes it, from how a command writes it."""
    match kind:
        case Kind.INTEGER:
            return int(text)
        case Kind.NUMBER:
            return float(text)
        case Kind.BOOLEAN:
            return text == "True"
        case _:
            return text


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
