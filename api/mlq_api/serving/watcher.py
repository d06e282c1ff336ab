"""Follows the routing version in the database, and swaps the table when its models are warm."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial

from mlq.db import routing
from mlq.db.engine import Database
from mlq.db.routing import Routing, Target
from mlq.errors import MlqError
from mlq_api.serving import routes
from mlq_api.serving.packages import Packages, import_stack

log = logging.getLogger(__name__)

POLL_S = 0.25
#: A model that could not be loaded is tried again after this.
RETRY_S = 5.0


class Watcher:
    """A thread with a connection of its own. Requests only ever read `table`.

    A table goes live in pieces: at once what needs no loading, then each model as it is warm. Where
    one cannot be loaded, what it would have replaced goes on answering, and `problems` says why.
    While a model is being loaded, changes that need none go live all the same. When all is live,
    what a rollback would go back to is loaded too.
    """

    def __init__(
        self,
        database: Database,
        packages: Packages,
        *,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._packages = packages
        self._poll_s = poll_s
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlq-watcher", daemon=True)
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mlq-loader")
        self._latest = routes.EMPTY
        self._number: int | None = None
        self._retry_at = 0.0
        self.table: Routing = routes.EMPTY
        self.is_ready = False
        self.is_away = False
        #: model version -> why it could not be loaded
        self.problems: dict[str, str] = {}

    def start(self) -> None:
        """Begin to follow the database."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a model that is being loaded is finished first."""
        self._stopped.set()
        self._thread.join()
        self._loader.shutdown()

    def look(self) -> None:
        """Follow the database once. Raises whatever the database raises."""
        with self._database.read() as conn:
            number = routing.read_number(conn)
            is_due = bool(self.problems) and self._clock() >= self._retry_at
            if number == self._number and not is_due:
                return
            new = routing.read_routing(conn)
        self._advance(new)
        self._number = self._latest.number
        self.is_ready = True

    def _advance(self, new: Routing) -> None:
        self._publish(new)
        if new.newest:
            self._beside(import_stack)  # a model is deployed soon after it is registered
        problems: dict[str, str] = {}
        while (target := self._next(problems)) is not None:
            if self._stopped.is_set():
                return
            try:
                self._beside(partial(self._packages.load, target))
            except Exception as error:  # whatever a package provokes, the others go on
                problems[target.uri] = _describe(error)
                self._report(target, error)
            else:
                self._publish(self._latest)
        self.problems = problems
        self._retry_at = self._clock() + RETRY_S
        # Only now may what this replaced give way to others in memory.
        self._packages.pin(routes.routed(self.table) | self._latest.spares)
        self._load_spares()

    def _load_spares(self) -> None:
        """Load what a rollback would go back to; one that cannot be is no problem until then."""
        for target in sorted(self._latest.spares):
            if self._stopped.is_set():
                return
            if not self._packages.is_loaded(target):
                with suppress(Exception):
                    self._beside(partial(self._packages.load, target))

    def _next(self, failed: Container[str]) -> Target | None:
        """What to load next; failed: versions that were tried."""
        wanted = routes.wanted(self.table, self._latest, is_loaded=self._packages.is_loaded)
        return next((target for target in wanted if target.uri not in failed), None)

    def _beside(self, work: Callable[[], object]) -> None:
        """Run what takes long, and let changes go live meanwhile. Raises what it raises."""
        running = self._loader.submit(work)
        while not wait([running], timeout=self._poll_s).done:
            # the database may be away, which `_run` will find
            with suppress(MlqError), self._database.read() as conn:
                if routing.read_number(conn) != self._latest.number:
                    self._publish(routing.read_routing(conn))
        running.result()

    def _publish(self, new: Routing) -> None:
        self._latest = new
        self.table = routes.settle(self.table, new, is_loaded=self._packages.is_loaded)

    def _report(self, target: Target, error: Exception) -> None:
        if self.problems.get(target.uri) == _describe(error):
            return  # said before, and tried again since
        log.error(
            "%s cannot be loaded, what it would replace goes on answering: %s",
            target.uri,
            error,
            exc_info=None if isinstance(error, MlqError) else error,
            extra={"action": "model_not_loaded", "model": target.uri},
        )

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except Exception as error:  # the database is away or outdated; memory goes on serving
                if not self.is_away:
                    log.warning(
                        "the database does not answer, serving goes on from memory: %s",
                        error,
                        extra={"action": "database_away"},
                    )
                self.is_away = True
            else:
                if self.is_away:
                    log.info("the database answers again", extra={"action": "database_back"})
                self.is_away = False
            self._stopped.wait(self._poll_s)


def _describe(error: Exception) -> str:
    return error.message if isinstance(error, MlqError) else f"{type(error).__name__}: {error}"
