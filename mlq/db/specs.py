"""Specs: what is the same from run to run, stored once under the digest of its canonical JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from mlq.db.tables import specs
from mlq.db.upsert import insert_missing


def save(conn: Connection, contents: Mapping[str, Mapping[str, Any]]) -> None:
    """Store specs by digest; those already there are left as they are."""
    known = set(conn.scalars(select(specs.c.digest).where(specs.c.digest.in_(contents))))
    rows = [
        {"digest": digest, "content": dict(content)}
        for digest, content in sorted(contents.items())  # one lock order for all writers
        if digest not in known
    ]
    if rows:
        insert_missing(conn, specs, rows)


def load(conn: Connection, digest: str) -> dict[str, Any]:
    """The content stored under `digest`. Raises KeyError when there is none."""
    content = conn.scalar(select(specs.c.content).where(specs.c.digest == digest))
    if content is None:
        raise KeyError(digest)
    return dict(content)
