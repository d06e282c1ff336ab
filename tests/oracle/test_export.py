"""Every sample and every file of the corpus, exported for Azure, loads in the oracle."""

from __future__ import annotations

import json

import pytest

from tests.oracle.exports import ask_all, digest, exports
from tests.oracle.files import VERDICTS

RECORDED = json.loads(VERDICTS.read_text())["exports"]


def test_every_export_loads() -> None:
    """As the oracle has said of what is exported today; else: `python -m tests.oracle.record`."""
    assert {name: digest(made) for name, made in exports().items()} == {
        name: verdict["digest"] for name, verdict in RECORDED.items()
    }
    assert [name for name, verdict in RECORDED.items() if verdict["errors"]] == []


def test_the_oracle_says_so_today() -> None:
    pytest.importorskip(
        "azure.ai.ml", reason="the oracle is not installed: pip install '.[oracle]'"
    )
    assert set(ask_all(exports()).values()) == {""}
