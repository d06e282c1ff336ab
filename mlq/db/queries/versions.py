"""Which versions of mlq run, and where they differ."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection

from mlq.db import servers
from mlq.db.queries.queues import live_workers


def versions(conn: Connection) -> dict[str, Counter[str]]:
    """version -> how many live processes of each kind (`worker`, `api`, `serve`) are of it."""
    found: dict[str, Counter[str]] = {}
    for row in live_workers(conn):
        found.setdefault(row["version"], Counter())["worker"] += 1
    for row in servers.live(conn):
        found.setdefault(row["version"], Counter())[row["kind"]] += 1
    return found
