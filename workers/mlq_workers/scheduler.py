"""Fires schedules: the leader's part, in every pass of the reconciler.

All that decides is in the database, so that a leader that is killed in the middle, or two that
believe they lead, fire each due time once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from mlq.artifacts import Store
from mlq.db import Database
from mlq.db import schedules as rows
from mlq.db.window import Delivery
from mlq.errors import MlqError
from mlq.service import schedules
from mlq.service.capacity import Windows
from mlq.service.schedules import Draft, Due, Fired
from mlq.settings import Settings
from mlq_workers import watcher

logger = logging.getLogger("mlq.scheduler")

#: Times of one schedule that are made up for in one pass; the rest follows in the next ones.
_AT_ONCE = 50


class Scheduler:
    """Fires what is due. now: the database's clock, or that of a test."""

    def __init__(self, settings: Settings, database: Database, *, windows: Windows) -> None:
        self._settings = settings
        self._database = database
        self._windows = windows
        # a store that hangs must not keep leases from being reconciled
        self._watching = ThreadPoolExecutor(1, thread_name_prefix="watch")
        self._watch: Future[None] | None = None
        self._watch_after: datetime | None = None

    def run(self, *, now: datetime) -> list[Delivery]:
        """Fire what is due at `now`; returns the messages to publish."""
        deliveries: list[Delivery] = []
        for _ in range(_AT_ONCE):
            with self._database.read() as conn:
                due = schedules.find_due(conn, now=now)
            for one in due:
                deliveries += self._fire(one, now=now)
            if not due:
                break
        with self._database.read() as conn:
            waiting = schedules.find_waiting(conn)
        for one in waiting:
            deliveries += self._fire_waiting(one)
        self._look_at_stores(now)
        return deliveries

    def close(self) -> None:
        """Wait for nothing any more."""
        self._watching.shutdown(wait=False, cancel_futures=True)

    def _fire(self, due: Due, *, now: datetime) -> Sequence[Delivery]:
        drafted = self._draft(due)
        fired = self._database.transact(
            schedules.fire, due, drafted, windows=self._windows, now=now
        )
        return _tell(due, fired)

    def _fire_waiting(self, due: Due) -> Sequence[Delivery]:
        drafted = self._draft(due)
        fired = self._database.transact(schedules.fire_waiting, due, drafted, windows=self._windows)
        return _tell(due, fired)

    def _draft(self, due: Due) -> Draft:
        with self._database.read() as conn:
            return schedules.draft(conn, due, aliases=self._settings.computes)

    def _look_at_stores(self, now: datetime) -> None:
        if self._watch is not None and not self._watch.done():
            return
        if self._watch_after is not None and now < self._watch_after:
            return
        with self._database.read() as conn:
            watching = rows.watching(conn)
        if watching:
            self._watch = self._watching.submit(self._watch_stores, now)
        self._watch_after = now + watcher.INTERVAL

    def _watch_stores(self, now: datetime) -> None:
        try:
            store = Store.open(self._settings.artifact_root, cache=self._settings.home / "cache")
            watcher.look(self._database, store, now=now)
        except MlqError as error:
            logger.warning("watched stores were not looked at: %s", error)
        except Exception:
            logger.exception("watched stores were not looked at")


def _tell(due: Due, fired: Fired | None) -> Sequence[Delivery]:
    if fired is None:
        return ()
    logger.info(
        "schedule %s, %s: %s",
        due.schedule["name"],
        due.key,
        fired.outcome,
        extra={"action": "schedule_fired", "schedule": due.schedule["name"], "job": fired.job_id},
    )
    return fired.deliveries
