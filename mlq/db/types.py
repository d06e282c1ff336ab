"""Column types and SQL expressions that read the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Integer, String
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Id(TypeDecorator[str]):
    """A UUID as 32 hex digits in Python, `uuid` in PostgreSQL, text in SQLite."""

    impl = String(32)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.UUID(as_uuid=True))
        return dialect.type_descriptor(String(32))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "postgresql":
            return value
        return uuid.UUID(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return value.hex if isinstance(value, uuid.UUID) else value


class Timestamp(TypeDecorator[datetime]):
    """An aware UTC datetime; `timestamptz` in PostgreSQL, microseconds since 1970 in SQLite."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if isinstance(value, int):
            return _EPOCH + timedelta(microseconds=value)
        return value if value is None else value.astimezone(UTC)


def storable(text: str) -> str:
    """`text` without what a database cannot store: NUL (PostgreSQL) and lone surrogates (both)."""
    return (
        text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def dump_json(value: Any) -> str:
    """`value` as JSON that every database takes; NaN and infinities, which JSON lacks, are null.

    Names, messages and results come from users' code: one odd character in them must not keep an
    outcome from being committed.
    """
    try:
        dumped = json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_clean(value), allow_nan=False)
    # an escape of either, or a pair of surrogates; looking twice then is cheap enough
    return json.dumps(_clean(value)) if "\\u0000" in dumped or "\\ud" in dumped else dumped


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, (list, tuple)) else value


#: JSON text in SQLite, `jsonb` in PostgreSQL. None is SQL NULL in both.
Json = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

#: A key that counts up. SQLite only does that for INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")


class now_plus(FunctionElement[datetime]):
    """The database's clock plus some seconds, which may be negative.

    The clock at this statement, not at the transaction's start: a transaction that waited for a
    lock must not grant a lease that is already old.
    """

    inherit_cache = True
    name = "now_plus"
    type = Timestamp()


@compiles(now_plus, "postgresql")
def _now_plus_postgresql(element: now_plus, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))"


@compiles(now_plus, "sqlite")
def _now_plus_sqlite(element: now_plus, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(mlq_now() + CAST({seconds} * 1000000 AS INTEGER))"


class now(FunctionElement[datetime]):
    """The database's clock at this statement."""

    inherit_cache = True
    name = "now"
    type = Timestamp()


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: SQLCompiler, **kw: Any) -> str:
    return "clock_timestamp()"


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: SQLCompiler, **kw: Any) -> str:
    return "mlq_now()"
