"""Joining an installation: is what this process is set to really what the others use?

A worker on another host that sees a database of its own, listens to a broker of its own or keeps
its own artifacts would take jobs and lose their results. It is refused when it starts.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from sqlalchemy import Connection

from mlq.artifacts import Store
from mlq.db import installation
from mlq.db.migrate import require_current
from mlq.errors import SettingsError
from mlq.ids import new_id
from mlq.service import attempt_tokens
from mlq.settings import Settings

_HERE = frozenset({"", "localhost", "127.0.0.1", "::1"})


def join(conn: Connection, *, settings: Settings, store: Store, host: str) -> None:
    """Make sure that a process on `host` shares database, broker and artifacts with the others.

    The first process to join leaves a mark in the artifact store, which every other must find.
    Raises UnavailableError when the tables are not of this version, SettingsError that names what
    must change.
    """
    require_current(conn)
    began = installation.find(conn)
    if began is None:
        mark = store.put_stream([f"mlq installation {new_id()}\n".encode()])
        installation.found(conn, host=host, store_digest=mark.digest)
        began = installation.find(conn)
    assert began is not None, "the row has just been written"
    attempt_tokens.prepare(conn)
    if began.host != host:
        _require_shared(settings, began.host)
    if not store.exists(began.store_digest):
        raise SettingsError(
            f"The artifact store {settings.artifact_root} is not the one of this installation, "
            f"which began on {began.host}.",
            code="other_artifact_store",
            hint="Set MLQ_ARTIFACT_URL to the store that API and workers share: a folder that all "
            "hosts mount at this path, or an object store such as s3://BUCKET/PREFIX.",
        )


def _require_shared(settings: Settings, first_host: str) -> None:
    if settings.database.startswith("sqlite"):
        raise SettingsError(
            f"The database is a SQLite file, which serves one host only ({first_host}).",
            code="database_not_shared",
            hint="For workers on more hosts start mlq with --database-url postgresql://… and set "
            "MLQ_DATABASE_URL to the same here.",
        )
    address = urlsplit(settings.broker_url)
    if "socket" in address.scheme or (address.hostname or "") in _HERE:
        raise SettingsError(
            f"MLQ_BROKER_URL names a broker on this host, but mlq began on {first_host}.",
            code="broker_not_shared",
            hint="Start mlq with --broker-url redis://HOST or amqp://HOST that all hosts reach, "
            "and set MLQ_BROKER_URL to the same here.",
        )
