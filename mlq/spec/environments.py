"""Environments by name: what job files call them, and what their own files say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlq.spec.document import Document
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import shorten
from mlq.spec.requirements import ENVIRONMENT_KEYS, RequirementError, read_requirements
from mlq.spec.values import describe

#: Of an environment's file: one of these says what is in it.
_CONTENT = ("requirements", "conda_file", "image", "build")
_TEXTS = ("description", "image", "os_type", "datastore")
_MAPPINGS = ("tags", "properties", "build", "inference_config")


@dataclass(frozen=True, slots=True)
class EnvironmentTemplate:
    """A registered environment. name: `mlq:sklearn`; definition: of its file's schema."""

    name: str
    version: str
    definition: Mapping[str, Any]


FindEnvironment = Callable[[str], EnvironmentTemplate | None]


def find_no_environment(reference: str) -> EnvironmentTemplate | None:
    """Finds none, where there is no registry to look into."""
    return None


def check_environment(document: Document) -> None:
    """Check an environment's own file. Raises SpecError with all problems found."""
    problems = Problems(document)
    data = document.data
    check_definition(problems, data, ())
    if not any(data.get(key) for key in _CONTENT):
        problems.add(
            (),
            "Nothing is said of what is in this environment; write `conda_file`, `requirements` "
            "(mlq's own) or `image`.",
        )
    problems.raise_any()


def check_definition(problems: Problems, data: Mapping[str, Any], where: KeyPath) -> bool:
    """Note what is wrong with an environment that is written out; whether it has requirements.

    where: the key that it stands at.
    """
    for name in data.keys() - ENVIRONMENT_KEYS:
        problems.add(
            (*where, name), f"Unknown key '{shorten(name)}'.", word=name, known=ENVIRONMENT_KEYS
        )
    for name in _TEXTS:
        if not isinstance(data.get(name, ""), str | None):
            problems.add((*where, name), f"This must be text; got {describe(data[name])}.")
    for name in _MAPPINGS:
        if not isinstance(data.get(name, {}), Mapping | None):
            problems.add((*where, name), f"This must be a mapping; got {describe(data[name])}.")
    if isinstance(data.get("conda_file"), str):
        problems.add(
            (*where, "conda_file"),
            f"'{shorten(data['conda_file'])}' is a file on your machine, which the server cannot "
            "read. `mlq job create` and `mlq environment create` put such files into what they "
            "send; over HTTP, write the mapping that it holds here.",
        )
        return True
    try:
        return read_requirements(data) is not None
    except RequirementError as error:
        problems.add(where, f"{error}.")
        return True


def list_warnings(definition: Mapping[str, Any]) -> list[str]:
    """What a definition says that commands here do without."""
    unused = [key for key in ("image", "build") if definition.get(key)]
    words = " and ".join(unused)
    if read_requirements(definition) is None:
        return [
            "No Python requirements are named: commands run in the worker's own Python environment."
        ]
    if unused:
        are = "are" if len(unused) > 1 else "is"
        return [f"{words} {are} kept and not used: a virtual environment of the worker's Python."]
    return []
