"""The Python requirements that a job file's environment stands for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

#: Of an environment that is written out; Azure's and `requirements`.
ENVIRONMENT_KEYS = frozenset(
    {"$schema", "name", "version", "description", "tags", "properties", "type", "os_type", "image"}
    | {"build", "conda_file", "inference_config", "datastore", "requirements"}
)
#: Of pip's options in a requirements file: those that say where packages come from.
_OPTIONS = frozenset({"index-url", "extra-index-url", "find-links", "pre", "no-binary"})


class RequirementError(ValueError):
    """What is wrong with a line, in a sentence."""


def read_requirements(environment: Any) -> list[str] | None:
    """Requirements of an environment that is written out; None where it names none.

    environment: a mapping with `requirements` (a list, or the text of a requirements file), or with
    Azure's `conda_file` as a mapping, of whose dependencies the pip part counts.
    Raises RequirementError.
    """
    if not isinstance(environment, Mapping):
        return None
    if "requirements" in environment:
        written = environment["requirements"]
        lines = written.splitlines() if isinstance(written, str) else written
    elif isinstance(environment.get("conda_file"), Mapping):
        lines = list(_pip_part(environment["conda_file"]))
    else:
        return None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise RequirementError("requirements must be a list of texts, or one text with lines")
    found = list(_checked(lines))
    return found or None


def resolve_environment(environment: Any) -> Any:
    """An environment as a leaf carries it: {digest, requirements}, or as it was written.

    Raises nothing: what is wrong with it has been found before.
    """
    requirements = read_requirements(environment)
    if requirements is None:
        return environment
    return {"digest": digest_requirements(requirements), "requirements": requirements}


def digest_requirements(requirements: Iterable[str]) -> str:
    """Names a set of requirements: 64 hex digits, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(set(requirements))).encode()).hexdigest()


def requirement_name(line: str) -> str | None:
    """The package that a line asks for; None for an option."""
    return None if line.startswith("-") else Requirement(line).name


def _pip_part(conda: Mapping[str, Any]) -> Iterator[str]:
    for dependency in conda.get("dependencies") or []:
        if isinstance(dependency, Mapping):
            yield from dependency.get("pip") or []


def _checked(lines: list[str]) -> Iterator[str]:
    for raw in lines:
        line = raw.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("-"):
            option = line.partition(" ")[0].partition("=")[0]
            if not option.startswith("--") or option[2:] not in _OPTIONS:
                raise RequirementError(
                    f"'{line[:80]}' is not taken here; write the requirements themselves"
                )
            yield line
            continue
        try:
            Requirement(line)
        except InvalidRequirement:
            raise RequirementError(
                f"'{line[:80]}' is no requirement; write NAME, NAME>=1.2 or NAME @ URL"
            ) from None
        yield line
