"""Bindings, and commands with values put in."""

from __future__ import annotations

import pytest

from mlq.spec.bindings import (
    Binding,
    bind_search_space,
    find_bindings,
    is_balanced,
    parse_binding,
)


@pytest.mark.parametrize(
    ("text", "binding"),
    [
        ("${{parent.inputs.raw}}", Binding("parent.inputs", "raw")),
        (" ${{ parent.inputs.raw }} ", Binding("parent.inputs", "raw")),
        ("${{parent.outputs.model}}", Binding("parent.outputs", "model")),
        ("${{parent.jobs.prep.outputs.train}}", Binding("jobs.outputs", "train", "prep")),
        ("${{parent.jobs.prep.inputs.a.b}}", Binding("jobs.inputs", "a.b", "prep")),
        ("${{inputs.x}}", Binding("inputs", "x")),
        ("${{outputs.x}}", Binding("outputs", "x")),
        ("${{search_space.x}}", Binding("search_space", "x")),
        ("${{parent.x.y}}", None),
        ("${{parent.jobs.prep}}", None),
        ("${{parent.jobs..outputs.x}}", None),
        ("${{inputs.}}", None),
        ("${{}}", None),
        ("x ${{inputs.x}}", None),
        ("${{inputs.x}} ${{inputs.y}}", None),
    ],
)
def test_bindings(text: str, binding: Binding | None) -> None:
    assert parse_binding(text) == binding


def test_bindings_of_a_command_know_whether_they_are_optional() -> None:
    found = list(find_bindings("run ${{inputs.a}} $[[--b ${{inputs.b}}]] > ${{ outputs.c }}"))
    assert [(item.expression, item.optional) for item in found] == [
        ("inputs.a", False),
        ("inputs.b", True),
        ("outputs.c", False),
    ]


@pytest.mark.parametrize(
    ("command", "balanced"),
    [
        ("echo", True),
        ("${{inputs.a}} $[[x]]", True),
        ("${{inputs.a", False),
        ("$[[x", False),
        ("$[[ $[[x]] ]]", False),
        ("[[ -f x ]] && ${x}", True),
    ],
)
def test_balance(command: str, balanced: bool) -> None:
    assert is_balanced(command) is balanced


def test_a_swept_parameter_is_an_input_to_its_trial() -> None:
    command = "x ${{ search_space.a }} $[[-b ${{search_space.b}}]] ${{inputs.c}} ${{?}}"
    assert (
        bind_search_space(command) == "x ${{inputs.a}} $[[-b ${{inputs.b}}]] ${{inputs.c}} ${{?}}"
    )
