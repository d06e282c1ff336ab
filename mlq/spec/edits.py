"""What a client changes in a job file before submit: `--set`, local paths, component files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from mlq.errors import SpecError, SpecProblem, nearest
from mlq.spec.builtin import ARTIFACT_TYPES
from mlq.spec.document import Document, parse_value, replace
from mlq.spec.model import JOB_TYPES
from mlq.spec.paths import KeyPath, format_path
from mlq.spec.references import (
    is_component_file,
    is_environment_file,
    is_local_path,
    shorten,
)
from mlq.spec.steps import find_builtin, is_typed

#: Mappings that `--set` may start in a job that has none.
_OPENED = frozenset(
    {"settings", "tags", "environment_variables", "limits", "inputs", "early_termination", "repeat"}
)
#: Keys that name or hold a component.
_COMPONENT_KEYS = ("component", "trial")


def apply_overrides(document: Document, overrides: Iterable[str]) -> Document:
    """Set values as `mlq job create --set inputs.x=1` does; the last one wins.

    Values are read as YAML scalars, or as lists, mappings and quoted text. On a typed input
    (`{type: uri_file, path: …}`) the path or value is set and the type kept. Raises SpecError for a
    path that leads nowhere, with the nearest word.
    """
    for override in overrides:
        path, separator, text = override.partition("=")
        path = path.strip()
        if not separator or not path:
            _refuse(document, (), f"'--set {shorten(override)}' is not PATH=VALUE.")
        try:
            value = parse_value(text)
        except SpecError as error:
            message = error.problems[0].message
            _refuse(
                document,
                document.locate(path)[0],
                f"The value of '--set {shorten(override)}' cannot be read: {message}",
            )
        document = _set(document, path, value)
    return document


def find_local_paths(document: Document) -> list[tuple[str, str]]:
    """(key path, path) of every input that names a file or folder on this machine.

    These are `path:` keys of inputs, and text given straight to a built-in step's file inputs.
    """
    found: list[tuple[str, str]] = []
    for key, step in _steps(document.data):
        component = next((step[word] for word in _COMPONENT_KEYS if word in step), None)
        builtin = find_builtin(component) if isinstance(component, str) else None
        ports = builtin.inputs if builtin is not None else {}
        for name, raw in _items(step.get("inputs")):
            where = (*key, "inputs", name)
            port = ports.get(name)
            if isinstance(raw, dict):
                path = raw.get("path")
                is_value = builtin is not None and (port is None or port.type == "object")
                if isinstance(path, str) and not is_value and is_local_path(path):
                    found.append((format_path((*where, "path")), path))
            elif (
                isinstance(raw, str)
                and port is not None
                and port.type in ARTIFACT_TYPES
                and is_local_path(raw)
            ):
                found.append((format_path(where), raw))
    return found


def find_code_folders(document: Document) -> list[tuple[str, str]]:
    """(key path, path) of every `code` that names a folder on this machine."""
    return [
        (format_path((*key, "code")), step["code"])
        for key, step in _steps(document.data)
        if isinstance(step.get("code"), str) and is_local_path(step["code"])
    ]


def find_component_files(document: Document) -> list[tuple[str, str]]:
    """(key path, path) of every `component: ./file.yml` and `trial: ./file.yml`.

    Each is to be replaced by the content of its file.
    """
    return [
        (format_path((*key, word)), step[word])
        for key, step in _steps(document.data)
        for word in _COMPONENT_KEYS
        if isinstance(step.get(word), str) and is_component_file(step[word])
    ]


def find_component_names(data: Mapping[str, Any]) -> list[tuple[KeyPath, str]]:
    """(key path, name) of every component that is registered, as far as one can tell from names."""
    return [
        ((*key, word), step[word])
        for key, step in _steps(data)
        for word in _COMPONENT_KEYS
        if isinstance(step.get(word), str)
        and not is_component_file(step[word])
        and find_builtin(step[word]) is None
    ]


def find_environment_files(document: Document) -> list[tuple[str, str]]:
    """(key path, path) of every `environment: file:./env.yml`, to be written out."""
    return [
        (format_path(key), name)
        for key, name in _environments(document.data)
        if isinstance(name, str) and is_environment_file(name)
    ]


def find_environment_names(data: Mapping[str, Any]) -> list[tuple[KeyPath, str]]:
    """(key path, name) of every environment that is named."""
    return [
        (key, name)
        for key, name in _environments(data)
        if isinstance(name, str) and not is_environment_file(name)
    ]


def find_conda_files(document: Document) -> list[tuple[str, str]]:
    """(key path, path) of every `environment: {conda_file: ./conda.yml}`, to be written out."""
    return [
        (format_path((*key, "conda_file")), environment["conda_file"])
        for key, environment in _environments(document.data)
        if isinstance(environment, dict) and isinstance(environment.get("conda_file"), str)
    ]


def _environments(root: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    return (
        ((*key, "environment"), step["environment"])
        for key, step in _steps(root)
        if "environment" in step
    )


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    return iter(value.items()) if isinstance(value, dict) else iter(())


def _steps(root: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """The root, every step, and every inline component, each with its key path."""
    stack: list[tuple[KeyPath, Any]] = [((), root)]
    while stack:
        key, step = stack.pop()
        if not isinstance(step, dict):
            continue
        yield key, step
        below = [
            ((*key, word, name), child)
            for word in ("jobs", "finally")
            for name, child in _items(step.get(word))
        ]
        below += [
            ((*key, word), step[word])
            for word in (*_COMPONENT_KEYS, "task")
            if isinstance(step.get(word), dict)
        ]
        stack.extend(reversed(below))


def _set(document: Document, path: str, value: Any) -> Document:
    parts, exists = document.locate(path)
    here: Any = document.data
    for depth, part in enumerate(parts[:-1]):
        below = here.get(part) if isinstance(here, dict) else here[part]
        if below is None and depth == 0 and part in _OPENED:
            document = replace(document, (part,), {})
            below = {}
        if not isinstance(below, (dict, list)):
            known = [str(key) for key in here] if isinstance(here, dict) else []
            _refuse(
                document,
                parts[: depth + 1],
                f"--set {path}: there is no '{shorten(part)}' to set a value in.",
                suggestion=nearest(str(part)[:100], known[:500]),
            )
        here = below
    last = parts[-1]
    if not exists:
        known = []
        if isinstance(here, list):
            pass
        elif parts[:-1] == ("inputs",):
            known = list(here)
        elif len(parts) == 1:
            kind = here.get("type", "sweep" if "trial" in here else "pipeline")
            model = JOB_TYPES.get(kind) if isinstance(kind, str) else None
            fields = model.model_fields if model is not None else {}
            if last in fields:
                return replace(document, parts, value)
            known = list(fields)
        else:
            return replace(document, parts, value)
        what = "input" if parts[:-1] == ("inputs",) else "key"
        _refuse(
            document,
            parts,
            f"--set {path}: this job has no {what} '{shorten(last)}'.",
            suggestion=nearest(str(last)[:100], known[:500]),
        )
    old = here[last]
    if parts[:-1][-1:] == ("inputs",) and is_typed(old) and not isinstance(value, dict):
        is_file = "path" in old or old.get("type") in ARTIFACT_TYPES
        return replace(document, (*parts, "path" if is_file else "value"), value)
    return replace(document, parts, value)


def _refuse(
    document: Document, path: KeyPath, message: str, *, suggestion: str | None = None
) -> NoReturn:
    where = format_path(path)
    raise SpecError(
        [SpecProblem(where, message, document.line_of(path), suggestion, document.file)]
    )
