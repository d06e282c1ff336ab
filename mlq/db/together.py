"""Statements that do not need each other's results, in one round trip.

PostgreSQL takes them through psycopg's pipeline mode, together with the BEGIN of a transaction that
has not begun yet; on two busy cores it is the round trips, not the statements, that a step costs.
SQLite, which has no round trips, runs them one after the other.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import UpdateBase

Processor = Callable[[Any], Any] | None


class Prepared:
    """A statement, compiled once per dialect and then run by the driver itself.

    It has no expanding parameters. On PostgreSQL it must return rows.
    """

    def __init__(self, statement: Select[Any] | UpdateBase) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def bind(self, dialect: Dialect, params: Mapping[str, Any]) -> tuple[str, Any, _Compiled]:
        """SQL text and parameters as the driver takes them."""
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _Compiled(self._statement, dialect)
        return compiled.sql, compiled.parameters(params), compiled


def run_together(
    conn: Connection, statements: Sequence[tuple[Prepared, Mapping[str, Any]]]
) -> list[list[Any]]:
    """Run statements in order; returns the rows of each, as named tuples.

    Raises sqlalchemy.exc.DBAPIError as `Connection.execute` does.
    """
    raw = conn.connection.driver_connection
    assert raw is not None, "a checked-out connection has a driver's connection"
    bound = [prepared.bind(conn.dialect, params) for prepared, params in statements]
    try:
        if conn.dialect.name != "postgresql" or len(bound) == 1:
            return [compiled.rows(raw.cursor().execute(sql, p)) for sql, p, compiled in bound]
        with raw.pipeline():
            cursors = [raw.cursor().execute(sql, p) for sql, p, _ in bound]
        return [
            compiled.rows(cursor) for cursor, (_, _, compiled) in zip(cursors, bound, strict=True)
        ]
    except conn.dialect.loaded_dbapi.Error as error:
        raise _translate(conn, error, bound[0][0]) from error


@contextmanager
def without_waiting(conn: Connection) -> Iterator[None]:
    """Within it, statements that return nothing are sent to PostgreSQL without waiting for each."""
    raw = conn.connection.driver_connection
    assert raw is not None, "a checked-out connection has a driver's connection"
    if conn.dialect.name != "postgresql":
        yield
        return
    try:
        with raw.pipeline():
            yield
    except conn.dialect.loaded_dbapi.Error as error:
        raise _translate(conn, error, "INSERT") from error


def _translate(conn: Connection, error: Exception, sql: str) -> StatementError:
    """The error that `Connection.execute` would raise for one of the driver's."""
    is_disconnect = conn.dialect.is_disconnect(error, None, None)  # type: ignore[arg-type]
    if is_disconnect:
        conn.invalidate(error)
    return DBAPIError.instance(
        sql,
        None,
        error,
        conn.dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=is_disconnect,
        dialect=conn.dialect,
    )


class _Compiled:
    def __init__(self, statement: Select[Any] | UpdateBase, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        self.sql = compiled.string
        self._positions: Sequence[str] | None = compiled.positiontup
        self._constants: dict[str, Any] = {}
        self._binders: list[tuple[str, Processor]] = []
        for bind, name in compiled.bind_names.items():
            binder = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if bind.required:
                self._binders.append((name, binder))
            else:
                self._constants[name] = bind.value if binder is None else binder(bind.value)
        columns = list(statement.exported_columns)
        self._row = namedtuple("Row", [column.name for column in columns])  # type: ignore[misc]
        self._readers: list[Processor] = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        ]

    def parameters(self, params: Mapping[str, Any]) -> Any:
        given = dict(self._constants)
        for name, binder in self._binders:
            value = params[name]
            given[name] = value if binder is None else binder(value)
        if self._positions is not None:
            return tuple([given[name] for name in self._positions])
        return given

    def rows(self, cursor: Any) -> list[Any]:
        rows = [
            self._row(
                *(
                    value if reader is None else reader(value)
                    for value, reader in zip(values, self._readers, strict=True)
                )
            )
            for values in cursor.fetchall()
        ]
        cursor.close()
        return rows
