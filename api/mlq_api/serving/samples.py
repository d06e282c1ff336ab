"""Requests that are drawn to be kept, with what was answered: gathered here, stored in batches."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, Metric

from mlq.db import monitoring
from mlq.db.engine import Database
from mlq.db.monitoring import Sample
from mlq_api.serving.rows import Table

if TYPE_CHECKING:
    import numpy as np

#: Requests that wait to be stored, and so at most for each second of a replica.
_CAPACITY = 200
_BATCH_BYTES = 2 * 2**20
_CELLS = 5000
_TEXT = 200


@dataclass(frozen=True, slots=True)
class Source:
    """Where an answer comes from. task: classification or regression."""

    endpoint: str
    deployment: str
    version: int
    is_copy: bool
    task: str


@dataclass(frozen=True, slots=True)
class _Drawn:
    request_id: str
    source: Source
    count: int
    columns: dict[str, Sequence[Any]]
    predictions: np.ndarray


class Samples:
    """Samples that wait. Memory is bounded: what is drawn while all places are taken is left out.

    `add` is called by the event loop, `store` by one other thread.
    """

    def __init__(self, *, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._waiting: deque[_Drawn] = deque()
        #: How many were drawn and left out.
        self.left_out = 0

    def add(self, request_id: str, source: Source, table: Table, predictions: np.ndarray) -> None:
        """Keep a request and its answer, of many rows only some."""
        if len(self._waiting) >= self._capacity:
            self.left_out += 1
            return
        most = max(1, _CELLS // max(1, len(table.fields)))
        places = monitoring.places(table.count)[:most]
        kept = slice(0, places[-1] + 1, places.step)
        columns = table.columns(kept)
        # a copy of the predictions: a slice would hold the whole batch that they came in
        drawn = _Drawn(request_id, source, table.count, columns, predictions[kept].copy())
        self._waiting.append(drawn)

    def store(self, database: Database) -> None:
        """Write what waits; it goes on waiting where the database raises."""
        waiting = list(self._waiting)
        if not waiting:
            return
        samples: list[Sample] = []
        total = 0
        for drawn in waiting:
            sample = _write(drawn)
            total += sample.size_bytes
            if total > _BATCH_BYTES and samples:
                self.left_out += len(waiting) - len(samples)
                break
            samples.append(sample)
        with database.write() as conn:
            monitoring.add_samples(conn, samples)
        for _ in waiting:
            self._waiting.popleft()

    def collect(self) -> Iterator[Metric]:
        """What was left out, as Prometheus reads it."""
        help = "Sampled requests that were not kept: too many at a time."
        yield CounterMetricFamily("mlq_serving_samples_left_out", help, value=self.left_out)


def _write(drawn: _Drawn) -> Sample:
    columns = {
        name: [value[:_TEXT] if isinstance(value, str) else value for value in values]
        for name, values in drawn.columns.items()
    }
    source = drawn.source
    return Sample(
        request_id=drawn.request_id,
        endpoint=source.endpoint,
        deployment=source.deployment,
        version=source.version,
        is_copy=source.is_copy,
        task=source.task,
        count=drawn.count,
        columns=columns,
        predictions=drawn.predictions.tolist(),
        size_bytes=len(json.dumps(columns)),
    )
