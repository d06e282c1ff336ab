"""The append-only history: audit log, live updates and the correctness checker read it.

Order: PostgreSQL hands out ids before commit, so a reader that only remembers the highest id would
miss a row that commits late. Rows therefore carry their transaction's id, and a reader takes only
rows of transactions below the oldest one that still writes to this database, ordered by (txid, id).
SQLite has one writer at a time, there the id alone is the order and txid is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, func, insert, or_, select, text, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from mlq.db.projects import roots_of
from mlq.db.tables import events
from mlq.db.types import now


class Cursor(NamedTuple):
    """A place in the history; `str()` of it is what streams send as `id`."""

    txid: int = 0
    id: int = 0

    def __str__(self) -> str:
        return f"{self.txid}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Read `str(cursor)` back; None for anything else."""
        txid, dot, number = text.partition(".")
        if dot and txid.isdecimal() and number.isdecimal() and len(text) < 40:
            return cls(int(txid), int(number))
        return None


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the history."""

    cursor: Cursor
    at: datetime
    kind: str
    job_id: str | None
    root_id: str | None
    attempt: int | None
    generation: int | None
    state: str | None
    reason: str | None
    subject: str | None
    actor: str | None
    detail: Mapping[str, Any] | None


class current_txid(FunctionElement[int]):
    """The writing transaction; 0 on SQLite, which writes one after the other."""

    inherit_cache = True
    name = "current_txid"
    type = BigInteger()


@compiles(current_txid, "postgresql")
def _txid_postgresql(element: current_txid, compiler: SQLCompiler, **kw: Any) -> str:
    return "(pg_current_xact_id()::text::bigint)"


@compiles(current_txid, "sqlite")
def _txid_sqlite(element: current_txid, compiler: SQLCompiler, **kw: Any) -> str:
    return "0"


INSERT_EVENT = insert(events).values(txid=current_txid(), at=now())
_COLUMNS = (
    "kind",
    "job_id",
    "root_id",
    "attempt",
    "generation",
    "state",
    "reason",
    "subject",
    "actor",
    "detail",
)
_EMPTY: dict[str, Any] = dict.fromkeys(_COLUMNS)


def event_row(kind: str, **columns: Any) -> dict[str, Any]:
    """A row for INSERT_EVENT; columns as in `Event`, those left out are empty."""
    return {**_EMPTY, "kind": kind, **columns}


def record(conn: Connection, kind: str, **columns: Any) -> None:
    """Append a single event; columns as in `Event`."""
    conn.execute(INSERT_EVENT, event_row(kind, **columns))


def read_after(
    conn: Connection,
    cursor: Cursor,
    *,
    limit: int = 500,
    root_id: str | None = None,
    subject: str | None = None,
    kinds: Sequence[str] = (),
    project: str | None = None,
) -> list[Event]:
    """Up to `limit` committed events after `cursor`, in an order that never gains a row behind it.

    kinds: only events whose kind starts with one of these words ("job", "model").
    project: only those of jobs in this project.
    """
    # a row value, so that both databases seek in the index instead of filtering
    after = tuple_(events.c.txid, events.c.id) > tuple_(cursor.txid, cursor.id)
    statement = select(events).where(after).order_by(events.c.txid, events.c.id).limit(limit)
    if conn.dialect.name == "postgresql":
        statement = statement.where(events.c.txid < _horizon(conn))
    if root_id is not None:
        statement = statement.where(events.c.root_id == root_id)
    if subject is not None:
        statement = statement.where(events.c.subject == subject)
    if project is not None:
        statement = statement.where(
            events.c.root_id.is_not(None), roots_of(events.c.root_id, project)
        )
    if kinds:
        statement = statement.where(
            or_(*(events.c.kind.startswith(f"{kind}.", autoescape=True) for kind in kinds))
        )
    return [_event(row) for row in conn.execute(statement)]


# Transactions of other databases of the server count in a snapshot, too, and may last for hours.
# Who writes here holds a lock on a table of this database from before it has an id until it has
# ended; who has not locked one yet when the locks are read gets an id from `ends` on. They are read
# after the snapshot that `ends` is from, and before the one that the events are read by: with one
# snapshot for all statements (repeatable read) only the snapshot itself can tell.
# (PostgreSQL manual: "pg_locks"; "Transaction ID and Snapshot Information Functions".)
_HORIZON = text(
    """
    WITH here AS (
        SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS begins,
               pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS ends
    )
    SELECT CASE
        WHEN begins = ends OR current_setting('transaction_isolation') <> 'read committed'
        THEN begins
        ELSE least(ends, (
            SELECT min(CASE WHEN age < 2147483648 THEN ends - age ELSE ends END)
            FROM pg_locks AS own
            CROSS JOIN LATERAL (
                SELECT (ends - own.transactionid::text::bigint) & 4294967295 AS age
            ) AS known  -- locks tell the lower half of an id; one that begins now is beyond `ends`
            WHERE own.locktype = 'transactionid' AND own.mode = 'ExclusiveLock' AND own.granted
              AND EXISTS (
                SELECT 1 FROM pg_locks AS held
                WHERE held.pid = own.pid AND held.locktype = 'relation'
                  AND held.database = (
                    SELECT oid FROM pg_database WHERE datname = current_database()
                  )
              )
        ))
    END
    FROM here
    """
)


def _horizon(conn: Connection) -> int:
    """Events of transactions below this id are complete: none can be added any more."""
    return int(conn.execute(_HORIZON).scalar_one())


def newest(conn: Connection) -> Cursor:
    """Where the history ends now; events that are still being committed come after it."""
    if conn.dialect.name == "postgresql":
        return Cursor(_horizon(conn) - 1, 2**62)
    return Cursor(0, conn.scalar(select(func.max(events.c.id))) or 0)


def _event(row: Any) -> Event:
    return Event(
        cursor=Cursor(row.txid, row.id),
        at=row.at,
        **{name: getattr(row, name) for name in _COLUMNS},
    )
