"""The whole database as lines of JSON, the same for SQLite and PostgreSQL, and back.

    {"mlq": VERSION, "revision": REVISION}
    {"table": NAME, "columns": [NAME, …]}
    [VALUE, …]            a row of that table; times as ISO 8601
    …
    {"end": true}         nothing is missing

One form for both, so that what was backed up on one can be restored on the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Table, and_, func, or_, select, update

from mlq import __version__
from mlq.db.engine import hold_still
from mlq.db.migrate import current_revision, head_revision
from mlq.db.tables import events, installation, jobs, metadata, webhooks
from mlq.db.types import Serial, Timestamp
from mlq.errors import ConflictError, MlqError

_ROWS_AT_ONCE = 500


def dump(conn: Connection) -> Iterator[str]:
    """Every row of every table as of one moment, as lines; conn: in a transaction of its own."""
    hold_still(conn)
    yield _line({"mlq": __version__, "revision": current_revision(conn)})
    for table in metadata.sorted_tables:
        yield _line({"table": table.name, "columns": [column.name for column in table.columns]})
        for row in conn.execute(select(table), execution_options={"yield_per": _ROWS_AT_ONCE}):
            yield _line([v.isoformat() if isinstance(v, datetime) else v for v in row])
    yield _line({"end": True})


def load(conn: Connection, lines: Iterable[str], *, host: str) -> int:
    """Fill a database that has this version's tables and no jobs; how many rows there are.

    host: where the installation goes on. Raises ConflictError for a database that is in use or a
    copy of another revision, MlqError for one that is damaged; then nothing is kept.
    """
    source = iter(lines)
    _require_fitting(conn, _read(next(source, "")))
    for table in reversed(metadata.sorted_tables):
        conn.execute(table.delete())  # rows that migrations make are in the copy as well
    rows, is_whole = 0, False
    table, columns = jobs, list(jobs.columns)
    for is_row, block in _blocks(source):
        if is_row:
            rows += _insert(conn, table, columns, block)
        elif "table" in block[0]:
            table = metadata.tables[block[0]["table"]]
            columns = [table.c[name] for name in block[0]["columns"]]
        else:
            is_whole = "end" in block[0]
    if not is_whole:
        raise MlqError("The copy of the database ends too early.", code="backup_damaged")
    _continue_here(conn, host=host)
    return rows


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _read(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise MlqError("The copy of the database cannot be read.", code="backup_damaged") from None


def _blocks(lines: Iterable[str]) -> Iterator[tuple[bool, list[Any]]]:
    """Rows of one table together, up to _ROWS_AT_ONCE; everything else by itself."""
    block: list[Any] = []
    for line in lines:
        value = _read(line)
        if block and (not isinstance(value, list) or len(block) == _ROWS_AT_ONCE):
            yield True, block
            block = []
        if isinstance(value, list):
            block.append(value)
        else:
            yield False, [value]


def _insert(
    conn: Connection, table: Table, columns: Sequence[Column[Any]], rows: Sequence[Sequence[Any]]
) -> int:
    times = [isinstance(column.type, Timestamp) for column in columns]
    names = [column.name for column in columns]
    conn.execute(
        table.insert(),
        [
            {
                name: datetime.fromisoformat(value) if is_time and value is not None else value
                for name, is_time, value in zip(names, times, row, strict=True)
            }
            for row in rows
        ],
    )
    return len(rows)


def _require_fitting(conn: Connection, head: Any) -> None:
    revision = head.get("revision") if isinstance(head, dict) else None
    if revision is None:
        raise MlqError("This is no copy of an mlq database.", code="backup_damaged")
    if revision != head_revision():
        raise ConflictError(
            f"The copy was made at revision {revision}, this version of mlq is at "
            f"{head_revision()}.",
            code="backup_of_other_version",
            hint=f"Restore it with mlq {head['mlq']}, then upgrade: `mlq db upgrade`.",
        )
    if conn.scalar(select(jobs.c.id).limit(1)) or conn.scalar(select(installation.c.id).limit(1)):
        raise ConflictError(
            "The database is in use: it has jobs, or processes have joined it.",
            code="database_not_empty",
            hint="Restore into a new database.",
        )


def _continue_here(conn: Connection, *, host: str) -> None:
    """What depends on the server that the rows came from."""
    conn.execute(update(installation).values(host=host))
    # Numbers of transactions of another server mean nothing here: see mlq.db.events.
    seen = or_(
        events.c.txid < webhooks.c.seen_txid,
        and_(events.c.txid == webhooks.c.seen_txid, events.c.id <= webhooks.c.seen_id),
    )
    last = select(func.coalesce(func.max(events.c.id), 0)).where(seen).scalar_subquery()
    conn.execute(update(webhooks).values(seen_txid=0, seen_id=last))
    conn.execute(update(events).values(txid=0))
    if conn.dialect.name != "postgresql":
        return
    for table in metadata.sorted_tables:
        for column in table.primary_key.columns:
            if column.type is Serial:
                highest = func.coalesce(func.max(column), 0)
                sequence = func.pg_get_serial_sequence(table.name, column.name)
                conn.execute(
                    select(
                        func.setval(sequence, func.greatest(1, select(highest).scalar_subquery()))
                    )
                )
