"""Numbers for Prometheus: requests of this process; queues, workers and jobs of all."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlq.db.queries import jobs, queues
from mlq.errors import MlqError

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
#: Counting all jobs reads an index from end to end, so not at every scrape.
_COUNTS_TTL_S = 15.0


class Reader(Protocol):
    """What the observer needs of a server."""

    async def read(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run `work(conn, …)` in a transaction that only reads."""


class Observer:
    """Collects the numbers of one process; a registry of its own, nothing global."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "mlq_http_request_seconds",
            "Requests by route and status, until the answer began.",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._clock = clock
        self._counts: Mapping[tuple[str, str], int] = {}
        self._counts_until = float("-inf")

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Note a request."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    async def render(self, reader: Reader) -> bytes:
        """The exposition text. A database that does not answer is a number too."""
        try:
            if self._clock() >= self._counts_until:
                self._counts = await reader.read(jobs.count_by_state)
                self._counts_until = self._clock() + _COUNTS_TTL_S
            rows, alive = await reader.read(_read_queues)
            families = list(_families(rows, alive, self._counts))
        except MlqError:
            families = [_gauge("mlq_database_up", "Whether the database answers.", [], [((), 0)])]
        collected = CollectorRegistry()
        collected.register(_Fixed(families))
        return generate_latest(self._registry) + generate_latest(collected)


class ObserveMiddleware:
    """Measures every request until its answer begins; streams are not counted by their length."""

    def __init__(self, app: ASGIApp, *, observer: Observer) -> None:
        self._app = app
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def send_observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - started
                route = getattr(scope.get("route"), "path", "other")
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._observer.observe(method, route, message["status"], seconds)
            await send(message)

        await self._app(scope, receive, send_observed)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


class _Fixed:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _read_queues(conn: Connection) -> tuple[list[queues.Queue], list[Any]]:
    return queues.queues(conn), queues.live_workers(conn)


def _families(
    rows: list[queues.Queue], alive: list[Any], counts: Mapping[tuple[str, str], int]
) -> Iterator[Metric]:
    yield _gauge("mlq_database_up", "Whether the database answers.", [], [((), 1)])
    for name, words, column in (
        ("mlq_queue_waiting", "Queued jobs.", "queued"),
        ("mlq_queue_outstanding", "Queued jobs with a message.", "outstanding"),
        ("mlq_queue_running", "Running jobs.", "running"),
        ("mlq_queue_slots", "Slots of live workers.", "slots"),
        ("mlq_queue_workers", "Live workers.", "workers"),
        ("mlq_queue_oldest_seconds", "Wait of the oldest.", "oldest_queued_s"),
    ):
        yield _gauge(
            name, words, ["queue"], [((row.compute,), getattr(row, column) or 0) for row in rows]
        )
    slots: Tally[str] = Tally()
    for worker in alive:
        slots["busy"] += worker["busy"]
        slots["free"] += max(0, worker["slots"] - worker["busy"])
    yield _gauge(
        "mlq_worker_slots",
        "Slots of all live workers.",
        ["state"],
        [((state,), slots[state]) for state in ("busy", "free")],
    )
    yield _gauge(
        "mlq_jobs",
        "Submitted jobs by type and state; steps are not counted.",
        ["type", "state"],
        [(key, count) for key, count in sorted(counts.items())],
    )


def _gauge(
    name: str, words: str, labels: list[str], values: list[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family
