"""Removes what is kept no longer: the leader's part, once an hour, where an operator has set it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Thread

from mlq.artifacts import Store
from mlq.db import Database
from mlq.errors import MlqError
from mlq.service.pruning import Policy, prune
from mlq.settings import Settings

logger = logging.getLogger("mlq.janitor")

_INTERVAL_S = 3600.0
#: A leader that has just begun has other things to do, and may not lead for long.
_FIRST_S = 60.0


class Janitor:
    """Prunes in a thread of its own: a store that hangs must not keep leases from being reconciled.

    clock: boot time.
    """

    def __init__(
        self, settings: Settings, database: Database, *, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._policy = Policy.of(settings)
        self._thread: Thread | None = None
        self._next = clock() + _FIRST_S

    def run(self) -> None:
        """Begin if it is time to, and nothing is under way."""
        if self._policy.is_empty or self._clock() < self._next:
            return
        if self._thread is None or not self._thread.is_alive():
            self._next = self._clock() + _INTERVAL_S
            # a daemon: whatever it is at may end with the keeper
            self._thread = Thread(target=self._prune, name="prune", daemon=True)
            self._thread.start()

    def _prune(self) -> None:
        try:
            store = Store.open(self._settings.artifact_root, cache=self._settings.home / "cache")
            pruned = prune(self._database, store, self._policy, actor="reconciler")
        except MlqError as error:
            logger.warning("nothing more was pruned: %s", error)
        except Exception:
            logger.exception("nothing more was pruned")
        else:
            logger.info("pruned: %s", pruned, extra={"action": "pruned"})
