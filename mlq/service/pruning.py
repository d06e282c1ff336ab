"""What is removed in the end: old logs, metrics, jobs and events by age, and bytes nobody names.

Never what a model version, an endpoint, a version of data or their lineage needs: such jobs keep
all they have, and what any row names is kept with the files of its folders. See mlq.db.garbage for
how bytes that come to be named at the same moment are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection

from mlq.artifacts import Store
from mlq.db import Database, events, garbage, retention
from mlq.db.queries import jobs as queries
from mlq.db.retention import Amount, What
from mlq.errors import ConflictError, NotFoundError
from mlq.service import deletion
from mlq.settings import Settings

#: Rows and artifacts of one transaction: heartbeats come between.
_AT_ONCE = 200
_NONE = Amount()


@dataclass(frozen=True, slots=True)
class Policy:
    """How many seconds things are kept; None: for ever.

    jobs, logs, metrics: since the end of the whole job. events: of jobs that are gone, and
    administrative acts. unnamed: artifacts, since they were found to be named by nothing.
    """

    jobs_s: float | None = None
    logs_s: float | None = None
    metrics_s: float | None = None
    events_s: float | None = None
    unnamed_s: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """What an operator has set."""
        return cls(
            settings.keep_jobs_s,
            settings.keep_logs_s,
            settings.keep_metrics_s,
            settings.keep_events_s,
            settings.keep_unnamed_s,
        )

    @property
    def is_empty(self) -> bool:
        """Whether everything is kept for ever."""
        return all(value is None for value in asdict(self).values())


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be. waiting: artifacts that are unnamed, but not for long."""

    jobs: int = 0
    logs: Amount = _NONE
    metrics: int = 0
    events: int = 0
    artifacts: Amount = _NONE
    waiting: Amount = _NONE

    @property
    def is_empty(self) -> bool:
        """Whether nothing was removed."""
        return not (self.jobs or self.logs.count or self.metrics or self.events) and (
            not self.artifacts.count
        )


def measure(database: Database, store: Store, policy: Policy) -> Pruned:
    """What `prune` would remove now. Artifacts of jobs that would go are not among it."""
    with database.read() as conn:
        logs = metrics = Amount()
        if policy.logs_s is not None:
            logs = retention.measure(conn, "logs", age_s=policy.logs_s)
        if policy.metrics_s is not None:
            metrics = retention.measure(conn, "metrics", age_s=policy.metrics_s)
        forgotten = 0
        if policy.events_s is not None:
            forgotten = retention.count_events(conn, age_s=policy.events_s)
    jobs = 0
    if policy.jobs_s is not None:
        for root_id in _old_trees(database, age_s=policy.jobs_s):
            with database.read() as conn:
                jobs += _is_free(conn, root_id)
    artifacts = waiting = Amount()
    if policy.unnamed_s is not None:
        unnamed = _Unnamed.look(database, store)
        with database.read() as conn:
            ripe = garbage.ripe(conn, grace_s=policy.unnamed_s)
        artifacts, waiting = unnamed.sum(unnamed.due & ripe), unnamed.sum(unnamed.due - ripe)
        waiting += unnamed.sum(unnamed.fresh)
    return Pruned(jobs, logs, metrics.count, forgotten, artifacts, waiting)


def prune(database: Database, store: Store, policy: Policy, *, actor: str) -> Pruned:
    """Remove what `policy` lets go, in many short transactions; safe while mlq runs, and twice."""
    jobs = 0
    if policy.jobs_s is not None:
        for root_id in _old_trees(database, age_s=policy.jobs_s):
            jobs += database.transact(_delete, root_id, actor=actor)
    logs = metrics = Amount()
    if policy.logs_s is not None:
        logs = _drop(database, "logs", age_s=policy.logs_s)
    if policy.metrics_s is not None:
        metrics = _drop(database, "metrics", age_s=policy.metrics_s)
    forgotten = 0
    if policy.events_s is not None:
        while gone := database.transact(
            retention.drop_events, age_s=policy.events_s, limit=_AT_ONCE
        ):
            forgotten += gone
    artifacts = waiting = Amount()
    if policy.unnamed_s is not None:
        artifacts, waiting = _collect(database, store, grace_s=policy.unnamed_s)
    pruned = Pruned(jobs, logs, metrics.count, forgotten, artifacts, waiting)
    if not pruned.is_empty:
        database.transact(_record, pruned, actor=actor)
    return pruned


def _record(conn: Connection, pruned: Pruned, *, actor: str) -> None:
    events.record(conn, "storage.prune", subject="storage", actor=actor, detail=asdict(pruned))


def _old_trees(database: Database, *, age_s: float, holding: What | None = None) -> Iterator[str]:
    found = [""]
    while found:
        with database.read() as conn:
            found = retention.old_trees(
                conn, age_s=age_s, limit=_AT_ONCE, after=found[-1], holding=holding
            )
        yield from found


def _is_free(conn: Connection, root_id: str) -> bool:
    try:
        row = queries.read(conn, root_id)
        deletion.require_unused(conn, root_id, root_id=row["root_id"], state=row["state"])
    except (ConflictError, NotFoundError):
        return False
    return True


def _delete(conn: Connection, root_id: str, *, actor: str) -> bool:
    """Delete a tree, unless something has come to need it."""
    try:
        row = queries.read(conn, root_id)
        deletion.delete_job(conn, root_id, root_id=row["root_id"], state=row["state"], actor=actor)
    except (ConflictError, NotFoundError):
        return False
    return True


def _drop(database: Database, what: What, *, age_s: float) -> Amount:
    total = Amount()
    for root_id in _old_trees(database, age_s=age_s, holding=what):
        while (gone := database.transact(retention.drop, what, root_id, limit=_AT_ONCE)).count:
            total += gone
    return total


@dataclass(frozen=True, slots=True)
class _Unnamed:
    """What is stored and named by nothing.

    sizes: of each, in bytes; used: its time in the store. marked: unnamed before, or once.
    """

    sizes: dict[str, int]
    used: dict[str, datetime]
    marked: frozenset[str]
    due: frozenset[str]  # marked, and not stored or asked for since

    @classmethod
    def look(cls, database: Database, store: Store) -> _Unnamed:
        """Look once. What is stored is listed first: what comes later is not looked at."""
        stored = dict(store.stored())
        with database.read() as conn:
            keep = {digest for digest in garbage.named(conn) if digest in stored}
        for digest in list(keep):
            keep.update(store.files_of(digest))
        used = {
            digest: at
            for digest in stored.keys() - keep
            if (at := store.used_at(digest)) is not None
        }
        with database.read() as conn:
            marks = garbage.marks(conn)
        due = frozenset(one for one, at in used.items() if one in marks and marks[one][1] == at)
        return cls({one: stored[one] for one in used}, used, frozenset(marks), due)

    @property
    def fresh(self) -> frozenset[str]:
        """Seen unnamed for the first time, or used since."""
        return frozenset(self.used.keys() - self.due)

    def sum(self, digests: frozenset[str] | set[str]) -> Amount:
        """How many, and how many bytes."""
        return Amount(len(digests), sum(self.sizes[digest] for digest in digests))


def _collect(database: Database, store: Store, *, grace_s: float) -> tuple[Amount, Amount]:
    unnamed = _Unnamed.look(database, store)
    for some in _pieces(unnamed.marked - unnamed.used.keys()):
        database.transact(garbage.pardon, some)  # named again, or gone
    for some in _pieces(unnamed.fresh):
        database.transact(garbage.mark, [(digest, unnamed.used[digest]) for digest in some])
    # Folders first: who names one in this moment means its files, too, and speaks of it alone.
    folders = {digest: set(store.files_of(digest)) for digest in unnamed.used}
    removed = _remove(
        database, store, unnamed, {one for one in unnamed.due if folders[one]}, grace_s
    )
    standing = {file for one, files in folders.items() if one not in removed for file in files}
    plain = {one for one in unnamed.due if not folders[one]} - standing
    removed |= _remove(database, store, unnamed, plain, grace_s)
    return unnamed.sum(removed), unnamed.sum(frozenset(unnamed.used.keys() - removed))


def _remove(
    database: Database, store: Store, unnamed: _Unnamed, digests: set[str], grace_s: float
) -> set[str]:
    """Of these, what was unnamed for the grace and is gone now."""
    return {
        digest
        for some in _pieces(digests)
        for digest in database.transact(garbage.take, some, grace_s=grace_s)
        if store.remove(digest, used_at=unnamed.used[digest])
    }


def _pieces(digests: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(digests)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]
