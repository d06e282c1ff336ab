"""Every migration runs over tables that hold rows, and every row is there afterwards."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Column, MetaData, Table, func, select, text, types
from sqlalchemy.dialects import postgresql

import mlq.db
from mlq.db.engine import Database
from mlq.db.migrate import head_revision, require_current, upgrade
from mlq.db.tables import metadata
from mlq.errors import UnavailableError
from mlq.testing import invariants

_FOLDER = mlq.db.__path__[0] + "/migrations"
#: What came until here was never released.
_BEFORE_THE_RULE = "0182"
_AT = datetime(2026, 1, 2, tzinfo=UTC)
_ID = uuid.UUID(int=7)


def test_rows_of_every_revision_survive_all_later_ones(empty_database_url: str) -> None:
    """A ladder: rows are added where a revision made tables, and climb to the newest with it."""
    kept: dict[str, int] = {}
    revisions = [one.revision for one in ScriptDirectory(_FOLDER).walk_revisions()][::-1]
    assert revisions[-1] == head_revision()
    for revision in revisions:
        assert upgrade(empty_database_url, revision=revision) == revision
        database = Database.open(empty_database_url)
        found = MetaData()
        found.reflect(database.engine)
        with database.write() as conn:
            for table in found.sorted_tables:
                if table.name == "alembic_version":
                    continue
                if not conn.scalar(select(func.count()).select_from(table)):
                    conn.execute(table.insert().values(_row(table)))
                count = conn.scalar(select(func.count()).select_from(table))
                assert count >= kept.get(table.name, 1), f"{revision} lost rows of {table.name}"
                kept[table.name] = count
        database.close()
    assert set(kept) == set(metadata.tables)

    database = Database.open(empty_database_url)
    with database.read() as conn:
        for table in metadata.sorted_tables:  # this version reads them all
            assert len(conn.execute(select(table)).all()) == kept[table.name]
    assert isinstance(invariants.audit(database), list), "the audit reads rows of old revisions"
    database.close()


def test_a_migration_only_adds(empty_database_url: str) -> None:
    """Processes of the version before work on while the tables are those of the next one."""
    before: dict[str, dict[str, Any]] = {}
    revisions = [one.revision for one in ScriptDirectory(_FOLDER).walk_revisions()][::-1]
    for revision in revisions[revisions.index(_BEFORE_THE_RULE) :]:
        upgrade(empty_database_url, revision=revision)
        database = Database.open(empty_database_url)
        found = MetaData()
        found.reflect(database.engine)
        database.close()
        after = {name: dict(table.columns) for name, table in found.tables.items()}
        for name, columns in before.items():
            assert name in after, f"{revision} takes the table {name} away"
            for column in columns:
                assert column in after[name], f"{revision} takes {name}.{column} away"
                was, now = columns[column], after[name][column]
                assert str(was.type) == str(now.type), f"{revision} changes {name}.{column}"
                assert was.nullable <= now.nullable, f"{revision} makes {name}.{column} needed"
            for column in set(after[name]) - set(columns):
                added = after[name][column]
                assert added.nullable or added.server_default is not None, (
                    f"{revision} adds {name}.{column}, which rows of the version before lack"
                )
        before = after


def test_a_database_of_another_version_is_named(empty_database_url: str) -> None:
    database = Database.open(empty_database_url)
    with database.read() as conn, pytest.raises(UnavailableError) as caught:
        require_current(conn)
    assert (caught.value.code, "mlq db upgrade" in caught.value.hint) == ("database_outdated", True)
    upgrade(empty_database_url)
    with database.write() as conn:
        require_current(conn)
        conn.execute(text("UPDATE alembic_version SET version_num = 'later'"))
    with database.read() as conn, pytest.raises(UnavailableError, match="too old") as caught:
        require_current(conn)
    assert caught.value.code == "database_newer"
    with pytest.raises(UnavailableError, match="upgraded it to revision later"):
        upgrade(empty_database_url)
    database.close()


def _row(table: Table) -> dict[str, Any]:
    return {
        column.name: _value(column)
        for column in table.columns
        if not column.nullable or column.name in ("inputs", "outputs", "detail")
    }


def _value(column: Column[Any]) -> Any:
    """The same for all columns of a type, so that foreign keys find their rows."""
    kind = column.type
    if isinstance(kind, postgresql.UUID):
        return _ID
    if isinstance(kind, types.Boolean):
        return True
    if isinstance(kind, types.JSON):
        return {"a": [1]}
    if isinstance(kind, types.DateTime):
        return _AT
    if isinstance(kind, types.Integer | types.Numeric | types.Float):
        return 1
    assert isinstance(kind, types.String), f"{column} is {kind!r}"
    return _ID.hex[: kind.length or 32]
