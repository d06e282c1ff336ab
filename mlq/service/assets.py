"""References of job files to the bytes they stand for: data, models, artifacts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from mlq.db import garbage, registry
from mlq.db.projects import DEFAULT, owned_blobs
from mlq.db.registry import Kind
from mlq.errors import NotFoundError
from mlq.service import data, models, projects
from mlq.service.names import invalid
from mlq.spec.references import BadReferenceError, parse_asset

_REFERENCE = re.compile(
    r"mlq:(?P<data>[^:@]+)[:@](?P<data_label>[^:@]+)"
    r"|models:/(?P<model>[^/@]+)(?P<separator>[/@])(?P<model_label>[^/@]+)"
    r"|artifact:sha256:(?P<digest>[0-9a-f]{64})(?:/(?P<file>.+))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference, taken apart.

    name: of the data asset or model; for an artifact the file name, if it says one.
    label: version number, `latest` or, where is_alias, an alias. digest: of an artifact.
    """

    kind: Literal["data", "model", "artifact"]
    name: str | None
    label: str | None = None
    is_alias: bool = False
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Asset:
    """What a reference stands for. uri: the same with its version resolved (`mlq:churn:3`).

    name: what a step sees it called; empty where nothing is known.
    """

    type: str
    digest: str
    kind: Kind
    name: str
    uri: str
    size_bytes: int


def parse(text: str) -> Reference:
    """Take a reference apart: `mlq:churn:3`, `azureml:churn@latest`, `models:/churn/3`,
    `models:/churn@production`, `artifact:sha256:HEX[/name]`.

    Raises MlqError (code `invalid`).
    """
    try:
        match = _REFERENCE.fullmatch(parse_asset(text))
    except BadReferenceError as error:
        hint = f"Did you mean '{error.suggestion}'?" if error.suggestion else ""
        raise invalid(f"{error}.", hint=hint) from None
    if match is None:
        raise invalid(f"'{text:.80}' names nothing that is stored here.")
    if match["digest"]:
        return Reference("artifact", match["file"], digest=match["digest"])
    if match["data"]:
        return Reference("data", match["data"], match["data_label"])
    label = match["model_label"]
    is_alias = match["separator"] == "@" and label != "latest"
    return Reference("model", match["model"], label, is_alias)


def resolve(
    conn: Connection, references: Iterable[str], *, project: str | None = None
) -> dict[str, Asset]:
    """What each reference stands for now, by its text. project: only what belongs to it.

    Raises NotFoundError with the nearest name; MlqError (code `invalid`) for what is no reference.
    """
    return {text: _find(conn, parse(text), project) for text in dict.fromkeys(references)}


def resolve_late(conn: Connection, text: str, *, project: str | None = None) -> Asset | None:
    """What an optional reference stands for now; None while there is no such thing.

    Raises MlqError (code `invalid`) for what is no reference.
    """
    reference = parse(text)
    try:
        return _find(conn, reference, project)
    except NotFoundError:
        return None


def _find(conn: Connection, reference: Reference, project: str | None) -> Asset:
    if reference.kind == "artifact":
        return _find_artifact(conn, reference, project)
    assert reference.name is not None
    assert reference.label is not None
    projects.require_name(conn, reference.kind, reference.name, project)
    if reference.kind == "data":
        version = data.find(conn, reference.name, version=reference.label)
        return Asset(
            type=version.type,
            digest=version.digest,
            kind=version.kind,
            name=version.file_name,
            uri=version.id,
            size_bytes=version.size_bytes,
        )
    model = models.find_version(conn, reference.name, version=reference.label)
    stored = registry.find_artifact(conn, model.digest)
    return Asset(
        type="mlflow_model",
        digest=model.digest,
        kind="tree",
        name=model.name,
        uri=model.uri,
        size_bytes=stored.size_bytes if stored else 0,
    )


def _find_artifact(conn: Connection, reference: Reference, project: str | None) -> Asset:
    assert reference.digest is not None
    garbage.pardon(conn, [reference.digest])
    stored = registry.find_artifact(conn, reference.digest)
    if (
        stored is not None
        and project not in (None, DEFAULT)
        and not owned_blobs(conn, [stored.digest], project)
    ):
        stored = None
    if stored is None:
        raise NotFoundError(
            f"There is no artifact {reference.digest}.",
            hint="Upload it first with PUT /v1/blobs/SHA256.",
        )
    tail = f"/{reference.name}" if reference.name else ""
    return Asset(
        type="uri_file" if stored.kind == "blob" else "uri_folder",
        digest=stored.digest,
        kind=stored.kind,
        name=(reference.name or "").rpartition("/")[2],
        uri=f"artifact:sha256:{stored.digest}{tail}",
        size_bytes=stored.size_bytes,
    )
