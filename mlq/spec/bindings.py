"""Bindings: `${{parent.jobs.prep.outputs.train}}` in inputs, `${{inputs.x}}` in commands.

A binding stands alone as a value; only a command mixes bindings with text. `$[[ … ]]` in a command
encloses words that fall away when an optional input between them was not given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_WHOLE = re.compile(r"\s*\$\{\{(?P<expression>[^{}]*)\}\}\s*")
_ANYWHERE = re.compile(r"\$\{\{(?P<expression>[^{}]*)\}\}")
_STEP = re.compile(r"\s*\$\{\{\s*parent\.jobs\.(?P<name>[^{}\s.]+)\s*\}\}\s*")
_OPTIONAL = re.compile(r"\$\[\[(?P<words>.*?)\]\](?!\])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a value comes from.

    kind: `parent.inputs`, `parent.outputs`, `jobs.inputs`, `jobs.outputs`, `inputs`, `outputs`,
    `search_space`.
    name: of the input or output; step: the sibling step of the two `jobs` kinds.
    """

    kind: str
    name: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class CommandBinding:
    """A binding inside a command; optional: it stands between `$[[` and `]]`."""

    binding: Binding | None
    expression: str
    optional: bool


def has_binding(value: object) -> bool:
    """Whether `value` is text with a `${{`."""
    return isinstance(value, str) and "${{" in value


def parse_binding(text: str) -> Binding | None:
    """Parse a value that is one binding and nothing else; None when it is anything else."""
    match = _WHOLE.fullmatch(text)
    return parse_expression(match["expression"]) if match else None


def parse_step(text: str) -> str | None:
    """The step that `${{parent.jobs.STEP}}` names, as control nodes do; None for other text."""
    match = _STEP.fullmatch(text)
    return match["name"] if match else None


def parse_expression(expression: str) -> Binding | None:
    """Parse what stands between `${{` and `}}`; None when no binding reads like that."""
    words = expression.strip().split(".")
    if len(words) >= 3 and words[0] == "parent" and words[1] in ("inputs", "outputs"):
        name = ".".join(words[2:])
        return Binding(f"parent.{words[1]}", name) if name else None
    if len(words) >= 5 and words[:2] == ["parent", "jobs"] and words[3] in ("inputs", "outputs"):
        name = ".".join(words[4:])
        return Binding(f"jobs.{words[3]}", name, words[2]) if name and words[2] else None
    if len(words) >= 2 and words[0] in ("inputs", "outputs", "search_space"):
        name = ".".join(words[1:])
        return Binding(words[0], name) if name else None
    return None


def find_bindings(command: str) -> Iterator[CommandBinding]:
    """Every binding of a command, in order."""
    optional = [match.span() for match in _OPTIONAL.finditer(command)]
    for match in _ANYWHERE.finditer(command):
        inside = any(start < match.start() < end for start, end in optional)
        expression = match["expression"].strip()
        yield CommandBinding(parse_expression(expression), expression, inside)


def bind_search_space(command: str) -> str:
    """The command of a trial with `${{search_space.x}}` written as the input that x is to it."""

    def rename(match: re.Match[str]) -> str:
        binding = parse_expression(match["expression"])
        if binding is None or binding.kind != "search_space":
            return match[0]
        return f"${{{{inputs.{binding.name}}}}}"

    return _ANYWHERE.sub(rename, command)


def is_balanced(command: str) -> bool:
    """Whether every `${{` and `$[[` of a command is closed, and no `$[[` holds another."""
    if command.count("${{") != len(_ANYWHERE.findall(command)):
        return False
    groups = _OPTIONAL.findall(command)
    return command.count("$[[") == len(groups) and not any("$[[" in group for group in groups)
