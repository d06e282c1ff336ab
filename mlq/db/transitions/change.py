"""A change of state and its event, as one thing that cannot be had in halves.

On PostgreSQL both are one statement (the INSERT reads what the UPDATE returned), which saves a
round trip on the hot path; on SQLite, which has no such statement, two of the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    String,
    Update,
    bindparam,
    insert,
    select,
)

from mlq.db.events import INSERT_EVENT, current_txid, event_row
from mlq.db.tables import events, jobs
from mlq.db.together import Prepared, run_together
from mlq.db.types import Json, now

#: What an event takes from the changed row.
_NOTED = (
    jobs.c.id,
    jobs.c.root_id,
    jobs.c.attempt,
    jobs.c.generation,
    jobs.c.state,
    jobs.c.reason,
)


_NOTE = Prepared(INSERT_EVENT.values({name: bindparam(name) for name in event_row("")}))


class Change:
    """A guarded UPDATE of `jobs`; every row it changes leaves an event.

    returning: columns of the changed rows that the caller needs.
    only_state: note only rows that are in this state afterwards, for an UPDATE that also counts.
    """

    def __init__(
        self,
        statement: Update,
        *,
        returning: Sequence[Column[Any]] = (),
        only_state: str | None = None,
    ) -> None:
        columns = list(dict.fromkeys((*returning, *_NOTED)))
        self._only_state = only_state
        self._update = statement.returning(*columns)
        changed = self._update.cte("changed")
        source = select(
            current_txid(),
            now(),
            bindparam("event_kind", type_=String),
            changed.c.id,
            changed.c.root_id,
            changed.c.attempt,
            changed.c.generation,
            changed.c.state,
            changed.c.reason,
            bindparam("event_actor", type_=String),
            bindparam("event_detail", type_=Json),
        )
        if only_state is not None:
            source = source.where(changed.c.state == only_state)
        noted = insert(events).from_select(
            [
                "txid",
                "at",
                "kind",
                "job_id",
                "root_id",
                "attempt",
                "generation",
                "state",
                "reason",
                "actor",
                "detail",
            ],
            source,
        )
        self._both = select(changed).add_cte(noted.cte("noted"))
        self._prepared_both = Prepared(self._both)
        self._prepared_update = Prepared(self._update)

    def apply(
        self,
        conn: Connection,
        params: Mapping[str, Any],
        *,
        kind: str,
        actor: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Sequence[Any]:
        """Change what the guards allow; returns the changed rows, none for a lost race.

        kind: of the event, "job.claim" and the like; actor, detail: as in `mlq.db.events.Event`.
        """
        noting = Noting(kind, actor, detail)
        if conn.dialect.name == "postgresql":
            return conn.execute(self._both, {**params, **noting.params()}).all()
        rows = conn.execute(self._update, dict(params)).all()
        self._note(conn, rows, noting)
        return rows

    def bind(self, params: Mapping[str, Any], noting: Noting) -> BoundChange:
        """This change with its parameters, for `apply_together`."""
        return BoundChange(self, params, noting)

    def _note(self, conn: Connection, rows: Sequence[Any], noting: Noting) -> None:
        noted = [
            event_row(
                noting.kind,
                job_id=row.id,
                root_id=row.root_id,
                attempt=row.attempt,
                generation=row.generation,
                state=row.state,
                reason=row.reason,
                actor=noting.actor,
                detail=noting.detail,
            )
            for row in rows
            if self._only_state is None or row.state == self._only_state
        ]
        run_together(conn, [(_NOTE, row) for row in noted])


@dataclass(frozen=True, slots=True)
class Noting:
    """What an event says beside the changed row."""

    kind: str
    actor: str | None = None
    detail: Mapping[str, Any] | None = None

    def params(self) -> dict[str, Any]:
        """As parameters of the statement that changes and notes at once."""
        return {
            "event_kind": self.kind,
            "event_actor": self.actor,
            "event_detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class BoundChange:
    """A change and its parameters."""

    change: Change
    params: Mapping[str, Any]
    noting: Noting

    def statement(self, dialect: str) -> tuple[Prepared, Mapping[str, Any]]:
        """The statement of this change on `dialect`."""
        if dialect == "postgresql":
            return self.change._prepared_both, {**self.params, **self.noting.params()}
        return self.change._prepared_update, self.params


def apply_together(
    conn: Connection, *steps: BoundChange | tuple[Prepared, Mapping[str, Any]]
) -> list[list[Any]]:
    """Run changes and other statements in one round trip; returns the rows of each.

    All of them run, whatever the first ones return: a caller whose guard has failed must raise, so
    that the transaction is rolled back.
    """
    dialect = conn.dialect.name
    statements = [
        step.statement(dialect) if isinstance(step, BoundChange) else step for step in steps
    ]
    results = run_together(conn, statements)
    if dialect != "postgresql":
        for step, rows in zip(steps, results, strict=True):
            if isinstance(step, BoundChange):
                step.change._note(conn, rows, step.noting)
    return results
