"""Digests of specs."""

from __future__ import annotations

import math

import pytest

from mlq.spec import canonical_json, spec_digest


def test_equal_mappings_have_equal_digests() -> None:
    assert canonical_json({"b": [1, 2.0], "a": "ä"}) == '{"a":"\\u00e4","b":[1,2.0]}'
    assert spec_digest({"a": 1, "b": 2}) == spec_digest({"b": 2, "a": 1})
    assert spec_digest({"a": 1}) != spec_digest({"a": "1"})
    assert len(spec_digest({})) == 64


def test_not_a_number_has_no_digest() -> None:
    with pytest.raises(ValueError, match="float"):
        spec_digest({"a": math.nan})
