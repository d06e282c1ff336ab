"""Specs: what is the same from run to run, stored once under the digest of its canonical JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ARRAY, JSON, Boolean, Connection, String, bindparam, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from mlq.db.tables import specs
from mlq.db.together import Prepared
from mlq.db.upsert import insert_missing


class _is_among(FunctionElement[bool]):
    """Whether a value is among those of one parameter, however many it holds."""

    inherit_cache = True
    name = "is_among"
    type = Boolean()


@compiles(_is_among, "postgresql")
def _among_postgresql(element: _is_among, compiler: SQLCompiler, **kw: Any) -> str:
    value, many = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({value} = ANY({many}))"


@compiles(_is_among, "sqlite")
def _among_sqlite(element: _is_among, compiler: SQLCompiler, **kw: Any) -> str:
    value, many = (compiler.process(clause, **kw) for clause in element.clauses)
    each = "SELECT json_each.value FROM json_each"
    return f"({value} IN ({each}({many})))"


_WANTED = bindparam("digests", type_=ARRAY(String).with_variant(JSON(), "sqlite"))
#: Rows with the `digest` of those that are stored, of a list `digests`.
KNOWN = Prepared(select(specs.c.digest).where(_is_among(specs.c.digest, _WANTED)))


def add(
    conn: Connection, contents: Mapping[str, Mapping[str, Any]], *, known: Collection[str]
) -> None:
    """Store specs by digest, but for those that are `known` to be there."""
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
