"""What the routes share: settings, database, broker, store, and the lanes to reach them by."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Concatenate, ParamSpec, TypeVar

import httpx
from fastapi import Request
from sqlalchemy import Connection

from mlq.artifacts import Store
from mlq.broker import Broker
from mlq.db import tokens as token_rows
from mlq.db import workers
from mlq.db.engine import Database
from mlq.db.projects import DEFAULT
from mlq.db.window import Delivery
from mlq.errors import MlqError, UnavailableError
from mlq.service import attempt_tokens, naming, tokens
from mlq.service.capacity import Windows
from mlq.service.naming import Named, Template
from mlq.service.tokens import Principal
from mlq.settings import Settings
from mlq_api.auth import Principals, Uses
from mlq_api.failed_logins import FailedLogins
from mlq_api.lanes import Lane
from mlq_api.observer import Observer
from mlq_api.plans import Plans
from mlq_api.probes import Probe
from mlq_api.streams import Hub

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

READ_THREADS = 2
#: SQLite has one writer at a time; on PostgreSQL transactions overlap while they wait for answers.
SQLITE_WRITE_THREADS = 1
WRITE_THREADS = 4
#: One connection for each thread that may hold one.
POOL_SIZE = READ_THREADS + WRITE_THREADS + 1
STATEMENT_TIMEOUT_S = 8.0
#: After a failure to publish; the reconciler sends what is accepted meanwhile.
BROKER_PAUSE_S = 2.0
_CAPACITY = 512
_TIMEOUT_S = 20.0


class Server:
    """One process of the API. Opens nothing before its first request."""

    def __init__(
        self, settings: Settings, *, database: Database, broker: Broker, store: Store
    ) -> None:
        self.settings = settings
        self.database = database
        self.broker = broker
        self.store = store
        self._reads = Lane("reads", threads=READ_THREADS, capacity=_CAPACITY, timeout_s=_TIMEOUT_S)
        writers = SQLITE_WRITE_THREADS if database.is_sqlite else WRITE_THREADS
        self._writes = Lane("writes", threads=writers, capacity=_CAPACITY, timeout_s=_TIMEOUT_S)
        #: cancels: whatever queues up to be written, what runs can be stopped
        self._cancels = Lane("cancels", threads=1, capacity=64, timeout_s=_TIMEOUT_S)
        #: files and calculations, whose length depends on what a caller sent
        self.files = Lane("files", threads=4, capacity=_CAPACITY, timeout_s=300)
        #: data read from elsewhere, and tables looked into: as long as they are large
        self.datasets = Lane("datasets", threads=2, capacity=32, timeout_s=3600)
        #: tables and study files of sweeps, one at a time
        self.studies = Lane("studies", threads=1, capacity=16, timeout_s=300)
        #: questions to broker and store that may hang
        self.checks = Lane("checks", threads=3, capacity=32, timeout_s=10)
        self.broker_probe = Probe(lambda: self.checks.call(self.broker.check))
        self.store_probe = Probe(lambda: self.checks.call(self.store.check))
        self._publisher = Lane("publisher", threads=1, capacity=4096, timeout_s=_TIMEOUT_S)
        self._broker_down_until = float("-inf")
        self.principals = Principals(self._find_principal, lookup_attempt=self._find_attempt)
        self.failed_logins = FailedLogins(per_minute=settings.failed_logins_per_minute)
        self._uses = Uses()
        self.observer = Observer()
        self.hub = Hub(self)
        self.plans = Plans(
            settings,
            self.files,
            list_computes=self._list_computes,
            find_named=self._find_named,
        )
        self.windows = Windows(per_slot=settings.window_per_slot)
        #: whether the database has had this version's tables while this process lives
        self.was_current = False
        self.http = httpx.AsyncClient(
            timeout=httpx.Timeout(60, connect=3),
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
            follow_redirects=False,
            trust_env=False,
        )

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(conn, …)` in a transaction that only reads."""

        def run() -> T:
            with self.database.read() as conn:
                return work(conn, *args, **kwargs)

        return await self._reads.call(run)

    async def write(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(conn, …)` in one write transaction."""

        def run() -> T:
            return self.database.transact(work, *args, **kwargs)

        return await self._writes.call(run)

    async def write_first(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `write`, past what waits there: for a cancel."""

        def run() -> T:
            return self.database.transact(work, *args, **kwargs)

        return await self._cancels.call(run)

    def publish(self, deliveries: Sequence[Delivery]) -> None:
        """Hand messages to the broker, after the commit and beside the answer.

        A job that was accepted is accepted: what cannot be sent now, the reconciler sends later.
        """
        if not deliveries or time.monotonic() < self._broker_down_until:
            return
        try:
            self._publisher.start(self._publish, deliveries)
        except UnavailableError:
            log.warning(
                "the publisher is behind; the reconciler will send %d messages",
                len(deliveries),
                extra={"action": "publish_skipped"},
            )

    async def close(self) -> None:
        """End streams and threads. What was opened by others stays open."""
        self.hub.close()
        await self.http.aclose()
        for lane in (
            self._publisher,
            self._writes,
            self._cancels,
            self._reads,
            self.files,
            self.datasets,
            self.studies,
            self.checks,
        ):
            lane.close()

    def _publish(self, deliveries: Sequence[Delivery]) -> None:
        try:
            if time.monotonic() >= self._broker_down_until:
                self.broker.publish(deliveries)
        except MlqError as error:
            # A dead broker takes seconds to say so: those behind need not ask it again.
            self._broker_down_until = time.monotonic() + BROKER_PAUSE_S
            log.warning(
                "not published, the reconciler will: %s",
                error.message,
                extra={"action": "publish_failed"},
            )

    async def _find_named(
        self, named: Collection[Named], project: str | None
    ) -> Mapping[Named, Template | None]:
        return await self.read(naming.templates, named, project or DEFAULT)

    async def _list_computes(self) -> frozenset[str]:
        return frozenset(await self.read(workers.known_computes))

    async def _find_principal(self, digest: str) -> Principal | None:
        principal = await self.read(tokens.authenticate, digest)
        if principal is not None and self._uses.is_due(principal.token_id):
            with suppress(UnavailableError):  # overloaded: a later request notes it
                self._writes.start(self.database.transact, token_rows.touch, principal.token_id)
        return principal

    async def _find_attempt(self, token: str) -> Principal | None:
        return await self.read(attempt_tokens.authenticate, token)


def server_of(request: Request) -> Server:
    """The server that answers `request`."""
    server: Server = request.app.state.server
    return server
