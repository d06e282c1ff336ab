"""Folders by content on an open transaction: what is lacking, and lists of files that are whole."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from mlq.artifacts import Tree
from mlq.db import garbage, registry
from mlq.db.projects import DEFAULT, own_blob, owned_blobs
from mlq.db.registry import Artifact
from mlq.errors import NotFoundError
from mlq.service import projects
from mlq.service.names import invalid


def find_missing(conn: Connection, digests: Sequence[str], *, project: str | None) -> list[str]:
    """Those of `digests` whose bytes are not stored, or were not uploaded by the project.

    The others are kept for the caller to name.
    """
    garbage.pardon(conn, digests)
    known = registry.find_artifacts(conn, digests).keys() & _reached(conn, digests, project)
    return [digest for digest in dict.fromkeys(digests) if digest not in known]


def keep_blobs(conn: Connection, stored: Sequence[Artifact], *, project: str | None) -> None:
    """Note bytes that are stored, for the project to use."""
    registry.add_artifacts(conn, stored)
    if project is not None:
        projects.require_known(conn, project)
        for one in stored:
            own_blob(conn, one.digest, project)


def has_tree(conn: Connection, digest: str, *, project: str | None) -> bool:
    """Whether a folder was stored, complete, for the project to use; it is kept for that."""
    garbage.pardon(conn, [digest])
    found = registry.find_artifact(conn, digest)
    is_tree = found is not None and found.kind == "tree"
    return is_tree and bool(_reached(conn, [digest], project))


def keep_tree(conn: Connection, tree: Tree, *, project: str | None) -> None:
    """Note a folder whose list of files is stored, as its files must be.

    Raises NotFoundError for a file that is not stored for the project, MlqError (code `invalid`)
    for an empty folder, or a file of another size than the list says.
    """
    if not tree.entries:
        raise invalid("The folder holds no files.")
    digests = sorted({entry.digest for entry in tree.entries})
    garbage.pardon(conn, digests)
    known, reached = registry.find_artifacts(conn, digests), _reached(conn, digests, project)
    for entry in tree.entries:
        stored = known.get(entry.digest)
        if stored is None or entry.digest not in reached:
            raise NotFoundError(
                f"There is no blob {entry.digest}, which '{entry.path:.200}' is said to be.",
                hint=f"Upload it first with PUT /v1/blobs/{entry.digest}.",
            )
        if stored.kind == "blob" and stored.size_bytes != entry.size_bytes:
            raise invalid(
                f"'{entry.path:.200}' has {stored.size_bytes} bytes; the folder's list says "
                f"{entry.size_bytes}.",
                hint="Write the list again from the files that were uploaded.",
            )
    registry.add_tree(conn, tree.digest, tree.size_bytes)
    if project is not None:
        projects.require_known(conn, project)
        own_blob(conn, tree.digest, project)


def _reached(conn: Connection, digests: Sequence[str], project: str | None) -> set[str]:
    """Those of `digests` that callers of the project may name."""
    if project in (None, DEFAULT):
        return set(digests)
    return owned_blobs(conn, digests, project)
