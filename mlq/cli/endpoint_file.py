"""Endpoint and deployment files on the command line: `-f FILE --set KEY=VALUE`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mlq.spec import Document
    from mlq.spec.serving import DeploymentFile, EndpointFile


def file_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-f/--file` and `--set`; the command gets them as `file` and `overrides`."""
    function = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a value of the file; repeatable.",
    )(function)
    return click.option(
        "-f",
        "--file",
        "file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Azure ML v2 YAML.",
    )(function)


def read_endpoint_file(path: Path | None, overrides: Sequence[str]) -> EndpointFile:
    """The file, or one that says nothing. Raises SpecError with line and key path."""
    from mlq.spec.serving import EndpointFile, read_endpoint

    document = _read(path, overrides)
    if document is None:
        return EndpointFile()
    found = read_endpoint(document)
    _tell_ignored(found.ignored)
    return found


def read_deployment_file(path: Path | None, overrides: Sequence[str]) -> DeploymentFile:
    """The file, or one that says nothing. Raises SpecError with line and key path."""
    from mlq.spec.serving import DeploymentFile, read_deployment

    document = _read(path, overrides)
    if document is None:
        return DeploymentFile()
    found = read_deployment(document)
    _tell_ignored(found.ignored)
    return found


def one_name(given: str | None, written: str | None, *, what: str = "NAME") -> str:
    """The name on the command line, else the one in the file. Raises click.UsageError."""
    name = given or written
    if not name:
        raise click.UsageError(f"Missing '{what}': give it here or in the file.")
    return name


def _read(path: Path | None, overrides: Sequence[str]) -> Document | None:
    from mlq.spec import apply_overrides, read_document

    if path is None:
        if overrides:
            raise click.UsageError("--set changes a file: give one with --file.")
        return None
    media_type = "application/json" if path.suffix == ".json" else "application/yaml"
    document = read_document(path.read_bytes(), file=str(path), media_type=media_type)
    return apply_overrides(document, overrides)


def _tell_ignored(keys: Sequence[str]) -> None:
    if keys:
        print(f"without meaning here, left out: {', '.join(keys)}", file=sys.stderr)
