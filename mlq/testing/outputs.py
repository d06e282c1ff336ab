"""Whether what succeeded jobs wrote is still there, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from sqlalchemy import Connection, select

from mlq.artifacts import Store
from mlq.db.engine import Database
from mlq.db.tables import jobs
from mlq.errors import MlqError
from mlq.lifecycle import State

_PIECE_BYTES = 1 << 20


def audit(database: Database, store: Store) -> list[str]:
    """Read every output of every succeeded job; each that is not what was stored, as a sentence.

    Bytes that several outputs share are read once.
    """
    with database.read() as conn:
        outputs = list(_outputs(conn))
    seen: dict[str, str | None] = {}
    violations = []
    for where, digest, kind in outputs:
        if digest not in seen:
            seen[digest] = _find_fault(store, digest, kind, seen)
        if (fault := seen[digest]) is not None:
            violations.append(f"{where}: {fault}")
    return violations


def _outputs(conn: Connection) -> Iterator[tuple[str, str, str]]:
    query = select(jobs.c.id, jobs.c.path, jobs.c.outputs).where(
        jobs.c.state == State.SUCCEEDED.value, jobs.c.outputs.is_not(None)
    )
    for row in conn.execute(query):
        for name, output in (row.outputs or {}).items():
            if "digest" in output:
                where = f"{row.id} ({row.path or 'root'}), output {name}"
                yield where, output["digest"], output.get("kind", "blob")


def _find_fault(store: Store, digest: str, kind: str, seen: dict[str, str | None]) -> str | None:
    try:
        found = _digest_of(store, digest)
        if found != digest:
            return f"{digest} is stored, but its bytes are {found}"
        if kind != "tree":
            return None
        for entry in store.tree(digest).entries:
            if entry.digest not in seen:
                seen[entry.digest] = _find_fault(store, entry.digest, "blob", seen)
            if (fault := seen[entry.digest]) is not None:
                return f"{entry.path}: {fault}"
    except (MlqError, OSError) as error:
        return f"{digest} cannot be read: {error}"
    return None


def _digest_of(store: Store, digest: str) -> str:
    """Of the bytes as they are, in the form of the digest that they should have."""
    summed = hashlib.sha256()
    with store.read(digest) as source:
        while piece := source.read(_PIECE_BYTES):
            summed.update(piece)
    prefix, colon, _ = digest.rpartition(":")
    return f"{prefix}{colon}{summed.hexdigest()}"
