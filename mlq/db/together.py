"""Statements that do not need each other's results, in one round trip.

PostgreSQL takes them through psycopg's pipeline mode, together with the BEGIN of a transaction that
has not begun yet; on two busy cores it is the round trips, not the statements, that a step costs.
SQLite, which has no round trips, runs them one after the other.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Float,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import UpdateBase

from mlq.db.types import Timestamp, dump_json

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


class Bulk:
    """An INSERT of any number of rows, compiled once per dialect and then run by the driver itself.

    columns: what rows give, by name; what a row lacks is NULL. computed: what SQL says instead,
    without parameters.
    """

    def __init__(
        self, table: Table, columns: Sequence[str], **computed: ColumnElement[Any]
    ) -> None:
        self._table = table
        self._columns = [table.c[name] for name in columns]
        self._computed = computed
        self._compiled: dict[str, _CompiledRows | _CompiledDocument] = {}

    def run(self, conn: Connection, raw: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert `rows` through the driver's connection `raw`."""
        dialect = conn.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            kind = _CompiledDocument if dialect.name == "postgresql" else _CompiledRows
            compiled = kind(self._table, self._columns, self._computed, dialect)
            self._compiled[dialect.name] = compiled
        compiled.run(raw, rows)


def insert_together(
    conn: Connection, inserts: Sequence[tuple[Bulk, Sequence[Mapping[str, Any]]]]
) -> None:
    """Insert rows into several tables, in order and in one round trip.

    Raises sqlalchemy.exc.DBAPIError as `Connection.execute` does.
    """
    raw = conn.connection.driver_connection
    assert raw is not None, "a checked-out connection has a driver's connection"
    try:
        with raw.pipeline() if conn.dialect.name == "postgresql" else nullcontext():
            for bulk, rows in inserts:
                if rows:
                    bulk.run(conn, raw, rows)
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
        self._readers = [_reader(column, dialect) for column in columns]

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


class _CompiledRows:
    """One statement, once for each row, as SQLite likes it."""

    def __init__(
        self,
        table: Table,
        columns: Sequence[Column[Any]],
        computed: Mapping[str, ColumnElement[Any]],
        dialect: Dialect,
    ) -> None:
        given = {column.name: bindparam(column.name, type_=column.type) for column in columns}
        compiled = insert(table).values({**given, **computed}).compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        assert compiled.positiontup is not None
        self._sql = compiled.string
        binders = {
            column.name: column.type.dialect_impl(dialect).bind_processor(dialect)
            for column in columns
        }
        self._binders = [(name, binders[name]) for name in compiled.positiontup]

    def run(self, raw: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        bound = [
            [
                row.get(name) if binder is None else binder(row.get(name))
                for name, binder in self._binders
            ]
            for row in rows
        ]
        raw.cursor().executemany(self._sql, bound).close()


class _CompiledDocument:
    """One statement for all rows, whose only parameter is a JSON document with them.

    PostgreSQL plans it once, however many rows there are, and each value crosses the drivers as a
    piece of one text instead of a parameter of its own.
    """

    def __init__(
        self,
        table: Table,
        columns: Sequence[Column[Any]],
        computed: Mapping[str, ColumnElement[Any]],
        dialect: Dialect,
    ) -> None:
        document = cast(bindparam("rows", type_=Text), JSONB)
        given = func.jsonb_to_recordset(document).table_valued(
            *(Column(column.name, column.type) for column in columns), name="given"
        )
        source = given.render_derived(with_types=True)
        statement = insert(table).from_select(
            [*(column.name for column in columns), *computed],
            select(*(source.c[column.name] for column in columns), *computed.values()),
        )
        self._sql = str(statement.compile(dialect=dialect))
        self._columns = [(column.name, isinstance(column.type, Timestamp)) for column in columns]

    def run(self, raw: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        document = [
            {
                name: value.isoformat() if is_timestamp else value
                for name, is_timestamp in self._columns
                if (value := row.get(name)) is not None
            }
            for row in rows
        ]
        raw.cursor().execute(self._sql, {"rows": dump_json(document)})


def _reader(column: Any, dialect: Dialect) -> Processor:
    if isinstance(column.type, Float):
        return None  # a float comes out of both drivers, and psycopg's dialect wants to see its oid
    return column.type.dialect_impl(dialect).result_processor(dialect, None)  # type: ignore[no-any-return]
