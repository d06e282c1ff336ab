"""Batch deployment files on their way to the server, and the inputs of an invocation."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace as changed_to
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlq.cli.job_file import take_along
from mlq.errors import SpecError, SpecProblem
from mlq.spec import Document, parse_value, read_document, replace
from mlq.spec.batch import read_deployment
from mlq.spec.references import is_local_path

if TYPE_CHECKING:
    from mlq.client import Client


def read_file(path: Path) -> Document:
    """A file of either form."""
    media_type = "application/json" if path.suffix == ".json" else "application/yaml"
    return read_document(path.read_bytes(), file=str(path), media_type=media_type)


def prepare_deployment(
    path: Path, *, client: Client, say: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """The document to send: its pipeline written out, with what that needs."""
    document = read_file(path)
    for key in ("component", "job_definition.component", "component.component"):
        parts = document.locate(key)
        written: Any = document.data
        for part in parts[0]:
            written = written.get(part) if isinstance(written, dict) else None
        if isinstance(written, str) and not written.startswith(("azureml:", "mlq:")):
            file = (path.parent / written.removeprefix("file:")).resolve()
            if not file.is_file():
                problem = SpecProblem(
                    key,
                    f"There is no file {written} (looked for {file}).",
                    document.line_of(key),
                    None,
                    document.file,
                )
                raise SpecError([problem])
            component = _take_along(read_file(file), base=file.parent, client=client, say=say)
            document = replace(document, parts[0], component.data)
        elif isinstance(written, dict) and "jobs" in written:
            inner = changed_to(document, data=written, marks={})
            component = _take_along(inner, base=path.parent, client=client, say=say)
            document = replace(document, parts[0], component.data)
    read_deployment(document)
    return dict(document.data)


def read_inputs(
    data: str | None,
    given: Sequence[str],
    *,
    client: Client,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Inputs of the command line; what names a file here is uploaded."""
    pairs = [("data", data)] if data is not None else []
    for text in given:
        name, found, value = text.partition("=")
        if not found or not name:
            raise click.BadParameter(f"'{text}' is not NAME=VALUE.", param_hint="--set")
        pairs.append((name, value))
    inputs: dict[str, Any] = {}
    for name, text in pairs:
        file = Path(text)
        if is_local_path(text) and file.is_file():
            say(f"{file.name}: uploading")
            digest = client.blobs.upload(file)
            shown = re.sub(r"\s", "_", file.name)
            inputs[name] = f"artifact:sha256:{digest}/{shown}"
        else:
            inputs[name] = parse_value(text)
    return inputs


def _take_along(
    document: Document, *, base: Path, client: Client, say: Callable[[str], None]
) -> Document:
    """The pipeline with its files; what it is given when invoked is not known yet."""
    return take_along(document, base=base, client=client, say=say, filled=None).document
