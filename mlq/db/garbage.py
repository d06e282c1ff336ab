"""Artifacts that no row names any more, and how it is made sure that none comes to name them.

An artifact is removed when two looks, at least the grace apart, found it named by no row, and
nobody stored or asked for it between them. The first look leaves a mark. Whoever names bytes in a
transaction takes the mark away (`pardon`), and whoever removes them takes it, too (`take`): the
row's lock decides who was first. Bytes that are stored anew get a new time in the store, which the
remover compares under the store's own lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import JSON, Connection, String, Text, cast, delete, select

from mlq.db import tables
from mlq.db.engine import hold_still
from mlq.db.tables import artifacts, jobs, metadata, project_blobs, specs, unnamed_artifacts
from mlq.db.types import now, now_plus
from mlq.db.upsert import conflict_insert

_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_ROWS_AT_ONCE = 500
#: Tables whose digests keep no bytes: inventories of what is stored, what was said and done, and
#: digests of other things. Every other table keeps what it names, one that is added later, too.
_KEEP_NOTHING = frozenset(
    {
        tables.artifacts,
        tables.project_blobs,
        tables.unnamed_artifacts,
        tables.events,
        tables.idempotency_keys,
        tables.latest_metrics,
        tables.log_chunks,
        tables.metrics,
        tables.secrets,
        tables.serving_counts,
        tables.tokens,
        tables.webhook_deliveries,
    }
)


def named(conn: Connection) -> Iterator[str]:
    """Whatever a row names that may be the digest of an artifact, as of one moment; repeated.

    conn: in a transaction of its own. Reads whole tables. Specs count while a job has them.
    """
    hold_still(conn)
    for table in metadata.sorted_tables:
        columns = [c for c in table.columns if isinstance(c.type, String | JSON)]
        if table in _KEEP_NOTHING or not columns:
            continue
        query = select(*(cast(column, Text) for column in columns))
        if table is specs:
            query = query.where(specs.c.digest.in_(select(jobs.c.spec_digest)))
        for row in conn.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
            for text in row:
                if text:
                    yield from _DIGEST.findall(text)


def marks(conn: Connection) -> dict[str, tuple[datetime, datetime]]:
    """Artifacts that were found unnamed: since when, and their time in the store then."""
    rows = conn.execute(select(unnamed_artifacts))
    return {row.digest: (row.since, row.used_at) for row in rows}


def ripe(conn: Connection, *, grace_s: float) -> set[str]:
    """Artifacts that were found unnamed at least the grace ago."""
    since = unnamed_artifacts.c.since <= now_plus(-float(grace_s))
    return set(conn.scalars(select(unnamed_artifacts.c.digest).where(since)))


def mark(conn: Connection, found: Iterable[tuple[str, datetime]]) -> None:
    """Note artifacts with their time in the store as unnamed from now on."""
    used = dict(found)
    pardon(conn, list(used))
    if used:
        rows = [{"digest": digest, "used_at": used[digest]} for digest in sorted(used)]
        # another look may have been first
        conn.execute(
            conflict_insert(conn, unnamed_artifacts).values(since=now()).on_conflict_do_nothing(),
            rows,
        )


def pardon(conn: Connection, digests: Sequence[str]) -> None:
    """Take the marks of artifacts away: they are named from now on, or will be in a moment."""
    ordered = sorted(digests)  # one lock order for all
    for start in range(0, len(ordered), _ROWS_AT_ONCE):
        some = ordered[start : start + _ROWS_AT_ONCE]
        conn.execute(delete(unnamed_artifacts).where(unnamed_artifacts.c.digest.in_(some)))


def take(conn: Connection, digests: Sequence[str], *, grace_s: float) -> set[str]:
    """Of these, what has been unnamed for the grace, and is the caller's to remove.

    Nothing finds it by its digest once this commits.
    """
    taken = set(
        conn.scalars(
            delete(unnamed_artifacts)
            .where(
                unnamed_artifacts.c.digest.in_(sorted(digests)),
                unnamed_artifacts.c.since <= now_plus(-float(grace_s)),
            )
            .returning(unnamed_artifacts.c.digest)
        )
    )
    for table in (artifacts, project_blobs):
        conn.execute(delete(table).where(table.c.digest.in_(sorted(taken))))
    return taken
