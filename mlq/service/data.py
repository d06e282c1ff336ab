"""Data assets: named, versioned datasets. Identical bytes under one name are one version."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from mlq.db import events, registry
from mlq.db.registry import Artifact, DataVersion
from mlq.errors import ConflictError, NotFoundError, nearest
from mlq.service import projects
from mlq.service.names import check_digest, check_name, check_text, invalid

TYPES = ("uri_file", "uri_folder", "mltable")


def create_version(
    conn: Connection,
    *,
    name: str,
    digest: str,
    type: str,
    file_name: str,
    size_bytes: int,
    actor: str,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    project: str | None = None,
    source: str | None = None,
    version: int | None = None,
) -> tuple[DataVersion, bool]:
    """Register stored bytes as the next version of `name`, or find the version that they are.

    digest: of a blob for uri_file, of a tree otherwise; the caller has stored it.
    source: the address that it came from. version: the number that it is to have.
    Returns the version and whether it is new.
    Raises MlqError (code `invalid`), ConflictError where the name is another project's, or the
    number another version's.
    """
    check_name(name, what="data asset")
    check_digest(digest)
    if type not in TYPES:
        raise invalid(f"There is no data type {type!r:.40}.", hint=f"Use {', '.join(TYPES)}.")
    if not 0 < len(file_name) <= 255 or "/" in file_name or not file_name.isprintable():
        raise invalid(f"{file_name!r:.80} is no file name: 1 to 255 characters without slash.")
    check_text(description, what="description")
    if type == "uri_file" and size_bytes == 0:
        raise invalid(
            f"'{file_name}' is empty: it has 0 bytes, and no version of '{name}' was made.",
            hint="Fill it and upload it again; curl sends its bytes with --data-binary @FILE.",
        )
    projects.own_name(conn, "data", name, project)
    registry.add_artifacts(conn, [Artifact(digest, registry.data_kind(type), size_bytes)])
    while True:
        # Whoever loses a race for a number finds the winner's row, or takes the next number.
        if found := registry.find_data_digest(conn, name, digest=digest):
            if version not in (None, found.version):
                raise ConflictError(
                    f"These bytes are {found.id} already.",
                    hint="Identical bytes are one version: leave `version` out, or name that one.",
                )
            return found, False
        if version is not None and registry.is_data_number_taken(conn, name, version):
            raise ConflictError(
                f"mlq:{name}:{version} has other bytes, or was deleted.",
                hint="Versions do not change: write another `version`, or none.",
            )
        made = registry.insert_data(
            conn,
            version=version,
            name=name,
            digest=digest,
            type=type,
            file_name=file_name,
            size_bytes=size_bytes,
            description=description,
            tags=dict(tags or {}),
            created_by=actor,
            source=source,
        )
        if made is not None:
            events.record(
                conn,
                "data.create",
                subject=made.id,
                actor=actor,
                detail={"digest": digest, "size_bytes": size_bytes}
                | ({"source": source} if source else {}),
            )
            return made, True


def find(conn: Connection, name: str, *, version: int | str = "latest") -> DataVersion:
    """A version by number, or the newest. Raises NotFoundError with the nearest name."""
    number = None if version == "latest" else _number(name, version)
    found = registry.find_data(conn, name, version=number)
    if found is None:
        raise missing(conn, name, version=number)
    return found


def list_newest(
    conn: Connection, *, limit: int = 50, after: str | None = None, project: str | None = None
) -> list[DataVersion]:
    """The newest version of each data asset, by name; `after` is the last name of a page."""
    return registry.page_data(conn, limit=limit, after=after, project=project)


def list_versions(
    conn: Connection, name: str, *, limit: int = 50, before: int | None = None
) -> list[DataVersion]:
    """Versions of `name`, newest first; `before` is the last version of a page.

    Raises NotFoundError where there is no such data asset.
    """
    found = registry.page_data_versions(conn, name, limit=limit, before=before)
    if not found and registry.find_data(conn, name) is None:
        raise missing(conn, name)
    return found


def missing(conn: Connection, name: str, *, version: int | None = None) -> NotFoundError:
    """The error for a data asset or version that is not there."""
    newest = registry.find_data(conn, name)
    if newest is not None:
        return NotFoundError(
            f"Data '{name}' has no version {version}.", hint=f"The newest is {newest.id}."
        )
    close = nearest(name, registry.data_names(conn))
    return NotFoundError(
        f"There is no data asset '{name}'.",
        hint=f"Did you mean '{close}'?" if close else "`mlq data list` shows what there is.",
    )


def _number(name: str, version: int | str) -> int:
    text = str(version)
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:10]) < 2**31:
        raise NotFoundError(
            f"Data '{name}' has no version '{text:.40}'.", hint="Versions are numbers, or 'latest'."
        )
    return int(text)
