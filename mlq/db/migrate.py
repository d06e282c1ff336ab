"""Bringing a database to the tables of this version (Alembic migrations, shipped in the wheel)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from mlq import __version__
from mlq.db.engine import Database
from mlq.errors import UnavailableError

_FOLDER = Path(__file__).parent / "migrations"
# Any constant will do; it only has to be the same for everybody who migrates.
_MIGRATION_LOCK = 0x6D6C71


def upgrade(url: str, *, revision: str = "head") -> str:
    """Bring the database at `url` to this version's tables; return the revision it is at.

    revision: an earlier one that was released, to stop at.
    Two upgrades at once wait for each other.
    Raises UnavailableError for a database that a newer version has upgraded.
    """
    database = Database.open(url, timeout_s=60, statement_timeout_s=3600)
    try:
        with database.write() as conn:
            if not database.is_sqlite:
                conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            _require_known(current_revision(conn))
            command.upgrade(_config(conn), revision)
            return current_revision(conn) or ""
    finally:
        database.close()


def current_revision(conn: Connection) -> str | None:
    """The revision a database is at, None for an empty one."""
    return MigrationContext.configure(conn).get_current_revision()


def head_revision() -> str:
    """The revision this version needs."""
    head = _scripts().get_current_head()
    assert head is not None, "the wheel carries at least one migration"
    return head


def require_current(conn: Connection) -> None:
    """Raise UnavailableError unless the database has this version's tables.

    Code `database_outdated` where they are older, `database_newer` where a later version of mlq has
    upgraded them.
    """
    found, needed = current_revision(conn), head_revision()
    _require_known(found)
    if found != needed:
        raise UnavailableError(
            f"The database is at revision {found or 'none'}, older than mlq {__version__} here, "
            f"which needs {needed}.",
            code="database_outdated",
            hint="Run `mlq db upgrade` once, with this version.",
        )


def _require_known(found: str | None) -> None:
    if found is not None and found not in {one.revision for one in _scripts().walk_revisions()}:
        raise UnavailableError(
            f"mlq {__version__} here is too old for the database: a newer version has upgraded it "
            f"to revision {found}.",
            code="database_newer",
            hint="Install the version that the others run here; `mlq worker list` shows it.",
        )


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def _config(conn: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = conn
    return config
