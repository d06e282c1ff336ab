"""What a server tells the others while it lives: what it is, where, and of which version."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from socket import gethostname
from typing import Any

from sqlalchemy import Connection

import mlq
from mlq.db import servers
from mlq.db.engine import Database
from mlq.ids import new_id
from mlq.settings import Settings

log = logging.getLogger(__name__)

_COURTESY_S = 2.0


class Presence:
    """A thread that says now and then that this process lives, on a connection of its own.

    kind: `api` or `serve`. While the database is away, or has no place for it, it goes on trying.
    """

    def __init__(self, settings: Settings, *, kind: str, beat_s: float = servers.BEAT_S) -> None:
        self._database = Database.open(settings.database, pool_size=1)
        self._server: Mapping[str, Any] = {
            "id": new_id(),
            "kind": kind,
            "host": gethostname(),
            "pid": os.getpid(),
            "version": mlq.__version__,
        }
        self._beat_s = beat_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlq-presence", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Say good-bye and end."""
        self._stopped.set()
        self._thread.join(timeout=_COURTESY_S)  # a database that hangs forgets it later by itself

    def _run(self) -> None:
        while True:
            self._say(servers.beat, self._server)
            if self._stopped.wait(self._beat_s):
                break
        self._say(servers.retire, self._server["id"])
        self._database.close()

    def _say(self, what: Callable[[Connection, Any], None], about: Any) -> None:
        try:
            self._database.transact(what, about)
        except Exception as error:  # also that an older database has no such table
            log.debug("%s", error)  # whoever needs the database says so louder
