"""What mlq says of a job file or component file, as its command line and its server would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from mlq.cli.job_file import take_along
from mlq.client import Client
from mlq.errors import SpecError, SpecProblem
from mlq.spec import (
    Component,
    Document,
    EnvironmentTemplate,
    JobTemplate,
    Plan,
    check_component,
    compile_job,
    find_builtin,
    parse_component,
    parse_environment,
    read_document,
)
from tests.oracle.files import CORPUS, read


def problems_of(data: Mapping[str, Any], path: Path) -> list[SpecProblem]:
    """What is wrong with a document that stands at `path`; nothing where mlq accepts it."""
    try:
        plan_of(data, path)
    except SpecError as error:
        return list(error.problems)
    return []


def plan_of(data: Mapping[str, Any], path: Path) -> Plan | None:
    """What mlq makes of a job; None for a component. Raises SpecError."""
    final = localized(data, path)
    if path.parent.name == "components":
        check_component(final, components=find_component, environments=find_environment)
        return None
    return compile_job(
        final, computes=None, components=find_component, environments=find_environment
    )


def localized(data: Mapping[str, Any], path: Path) -> Document:
    """The document as it is sent: its files taken along. Raises SpecError."""
    text = json.dumps(data, ensure_ascii=False)
    document = read_document(text, file=str(path), media_type="application/json")
    # Files are looked for and hashed, as at a submit; a server that has all of them takes none.
    with Client("http://mlq.test", "t", transport=httpx.MockTransport(_has_everything)) as client:
        return take_along(document, base=path.parent, client=client, filled=None).document


def find_component(reference: str) -> Component | JobTemplate | None:
    """Built-in components, and those of the corpus that need no files, as if registered."""
    name, _ = parse_component(reference)
    definition = _registered().get(name)
    return find_builtin(reference) if definition is None else JobTemplate(name, "1", definition)


def find_environment(reference: str) -> EnvironmentTemplate | None:
    """The environment of the corpus, as if registered."""
    definition = read(CORPUS / "assets" / "environment_fruit.yml")
    if parse_environment(reference).name != definition["name"]:
        return None
    conda = read(CORPUS / "src" / "conda.yml")
    return EnvironmentTemplate("mlq:fruit", "1", {**definition, "conda_file": conda})


@cache
def _registered() -> Mapping[str, Mapping[str, Any]]:
    found = [read(CORPUS / "components" / name) for name in ("sort.yml", "count.yml")]
    return {f"mlq:{one['name']}": one for one in found}


def _has_everything(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200)
