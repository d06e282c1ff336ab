"""The OpenAPI document is one that other programs can read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlq.settings import Settings
from mlq_api.app import create_app


def _pointers(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from _pointers(item)
    elif isinstance(value, list):
        for item in value:
            yield from _pointers(item)


def test_every_pointer_leads_to_a_schema_of_the_document(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, broker_url="redis://127.0.0.1:1/0")
    document = create_app(settings).openapi()
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    pointers = set(_pointers(document["paths"]))
    assert len(pointers) > 20
    assert pointers <= known
