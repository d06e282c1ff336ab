"""Files of environments, data and models in Azure's schema, and what they name on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from mlq.errors import SpecError, SpecProblem
from mlq.spec import Document, read_document, replace
from mlq.spec.references import is_local_path


def read_file(path: Path) -> Document:
    """A file of an asset, YAML or JSON by its name. Raises SpecError."""
    media_type = "application/json" if path.suffix == ".json" else "application/yaml"
    return read_document(path.read_bytes(), file=str(path), media_type=media_type)


def with_conda(document: Document, *, base: Path) -> Document:
    """An environment with its conda file written out. base: of relative paths."""
    named = document.data.get("conda_file")
    if not isinstance(named, str):
        return document
    file = (base / named).resolve()
    try:
        conda = read_document(file.read_bytes(), file=str(file))
    except OSError as error:
        _refuse(document, "conda_file", f"The conda file {named} cannot be read: {error}.")
    return replace(document, "conda_file", conda.data)


def find_local(document: Document, *, base: Path, type: str) -> Path | None:
    """The file or folder that an asset's `path` names; None for an address.

    Raises SpecError where there is none, or not of that type.
    """
    named = str(document.data["path"])
    if not is_local_path(named):
        return None
    found = (base / named.removeprefix("file://").removeprefix("file:")).resolve()
    if not found.exists():
        _refuse(document, "path", f"There is nothing at {named} (looked for {found}).")
    if type == "uri_file" and not found.is_file():
        _refuse(document, "path", f"{named} is a folder; a uri_file names a single file.")
    if type in ("uri_folder", "mltable", "mlflow_model") and not found.is_dir():
        _refuse(document, "path", f"{named} is a file; {type} names a folder.")
    if type == "mltable" and not (found / "MLTable").is_file():
        _refuse(document, "path", f"{named} is no mltable: it has no file MLTable.")
    if type == "mlflow_model" and not (found / "MLmodel").is_file():
        _refuse(document, "path", f"{named} is no mlflow_model: it has no file MLmodel.")
    return found


def refuse_address(document: Document) -> NoReturn:
    """Raise SpecError for a model that is not on this machine."""
    _refuse(
        document,
        "path",
        f"{document.data['path']} is no file or folder on this machine. Download the model first; "
        "what a job here made is registered by a step mlq:register.",
    )


def _refuse(document: Document, key: str, message: str) -> NoReturn:
    problem = SpecProblem(key, message, document.line_of(key), None, document.file)
    raise SpecError([problem])
