"""Files of environments, data and models in Azure's schema, as they are sent."""

from __future__ import annotations

from pathlib import Path

from mlq.errors import SpecError, SpecProblem
from mlq.spec import Document, read_document, replace


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
        message = f"The conda file {named} cannot be read: {error}."
        problem = SpecProblem(
            "conda_file", message, document.line_of("conda_file"), None, document.file
        )
        raise SpecError([problem]) from None
    return replace(document, "conda_file", conda.data)
