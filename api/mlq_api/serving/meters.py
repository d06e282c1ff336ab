"""What this replica answered: counted as it happens, stored every second, shown to Prometheus."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from mlq.db import rollouts
from mlq.db.engine import Database
from mlq.db.rollouts import Count
from mlq.errors import MlqError
from mlq.spec.rollout import BOUNDS_MS, Measured, bucket_of
from mlq_api.serving.samples import Samples

log = logging.getLogger(__name__)

REPORT_S = 1.0
_LABELS = ("endpoint", "deployment", "model_version", "copy")

Key = tuple[str, str, int, bool]


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    errors: int = 0
    rows: int = 0
    seconds: float = 0.0
    latency: Counter[int] = field(default_factory=Counter)

    def measured(self, before: _Tally) -> Measured:
        """What came since `before`."""
        return Measured(
            self.requests - before.requests,
            self.errors - before.errors,
            self.rows - before.rows,
            dict(self.latency - before.latency),
        )

    def copy(self) -> _Tally:
        return _Tally(self.requests, self.errors, self.rows, self.seconds, Counter(self.latency))


class Meters:
    """Counters by (endpoint, deployment, version, is a copy). Safe to use from many threads.

    What no endpoint stands behind is shown to Prometheus only.
    """

    def __init__(self) -> None:
        self._tallies: dict[Key, _Tally] = {}
        self._stored: dict[Key, _Tally] = {}
        self._lock = threading.Lock()

    def record(self, key: Key, *, seconds: float, rows: int, is_error: bool) -> None:
        """Count one answer. is_error: the deployment's fault, not the caller's."""
        with self._lock:
            tally = self._tallies.get(key)
            if tally is None:
                tally = self._tallies[key] = _Tally()
            tally.requests += 1
            tally.errors += is_error
            tally.rows += rows
            tally.seconds += seconds
            tally.latency[bucket_of(seconds * 1000)] += 1

    def store(self, database: Database, *, replica: str) -> None:
        """Write what came since the last time; it is kept where the database raises."""
        with self._lock:
            now = {
                key: tally.copy()
                for key, tally in self._tallies.items()
                if key[0]  # of an endpoint, and
                and tally.requests > self._stored.get(key, _Tally()).requests
            }
        if not now:
            return
        counts = [
            Count(*key, tally.measured(self._stored.get(key, _Tally())))
            for key, tally in now.items()
        ]
        with database.write() as conn:
            rollouts.add_counts(conn, counts, replica=replica)
        self._stored.update(now)

    def collect(self) -> Iterator[Metric]:
        """The counters as Prometheus reads them."""
        with self._lock:
            found = [(key, tally.copy()) for key, tally in sorted(self._tallies.items())]
        sums = {
            name: CounterMetricFamily(f"mlq_serving_{name}", help, labels=_LABELS)
            for name, help in (
                ("requests", "Requests that a deployment answered or failed."),
                ("errors", "Requests that failed through the deployment's fault."),
                ("rows", "Rows that were predicted."),
            )
        }
        latency = HistogramMetricFamily(
            "mlq_serving_latency_seconds", "Time from request to answer.", labels=_LABELS
        )
        for (endpoint, deployment, version, is_copy), tally in found:
            labels = (endpoint, deployment, str(version), str(is_copy).lower())
            sums["requests"].add_metric(labels, tally.requests)
            sums["errors"].add_metric(labels, tally.errors)
            sums["rows"].add_metric(labels, tally.rows)
            latency.add_metric(labels, _buckets(tally.latency), tally.seconds)
        yield from sums.values()
        yield latency


class Reporter:
    """A thread that stores what the meters counted, and the samples."""

    def __init__(
        self, database: Database, meters: Meters, samples: Samples, *, replica: str
    ) -> None:
        self._database = database
        self._meters = meters
        self._samples = samples
        self._replica = replica
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlq-reporter", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Store the last of both and end."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(REPORT_S):
            self._store()
        self._store()

    def _store(self) -> None:
        try:
            self._meters.store(self._database, replica=self._replica)
            self._samples.store(self._database)
        except MlqError as error:  # the watcher says that the database is away; we keep counting
            log.debug("counts are not stored yet: %s", error)
        except Exception:
            log.exception("counts cannot be stored", extra={"action": "counts_not_stored"})


def _buckets(latency: Counter[int]) -> list[tuple[str, float]]:
    """Cumulative buckets in seconds, every fourth bound: enough to draw, few enough to keep."""
    found: list[tuple[str, float]] = []
    for place in range(3, len(BOUNDS_MS), 4):
        below = sum(count for bucket, count in latency.items() if bucket <= place)
        found.append((f"{BOUNDS_MS[place] / 1000:g}", below))
    return [*found, ("+Inf", sum(latency.values()))]
