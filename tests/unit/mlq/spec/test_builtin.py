"""The built-in components are what the compiler can check."""

from __future__ import annotations

import pytest

from mlq.spec import BUILTIN, Component
from mlq.spec.builtin import ARTIFACT_TYPES, LITERAL_TYPES
from mlq.spec.values import cast_literal


@pytest.mark.parametrize("component", BUILTIN.values(), ids=BUILTIN)
def test_ports_are_of_known_types_and_defaults_fit(component: Component) -> None:
    for port in (*component.inputs.values(), *component.outputs.values()):
        assert port.type in ARTIFACT_TYPES | LITERAL_TYPES
        if port.default is not None:
            assert port.optional
            assert cast_literal(port.default, port) == port.default
