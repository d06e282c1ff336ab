"""Metrics that a command reports: lines of JSON in a file that `mlq.log_metric` appends to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mlq.sdk.metrics import METRICS_VARIABLE
from mlq_workers.components.base import Metric

__all__ = ["METRICS_VARIABLE", "MetricsFile"]

_AT_ONCE = 1 << 20


class MetricsFile:
    """The file of one command; `path` need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def read(self) -> Iterator[Metric]:
        """What has been added since the last call; lines that are no metric are left out."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                content = file.read(_AT_ONCE)
        except FileNotFoundError:
            return
        whole, newline, _ = content.rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            metric = _parse(line)
            if metric is not None:
                yield metric


def _parse(line: bytes) -> Metric | None:
    try:
        found = json.loads(line)
        return Metric(str(found["key"]), float(found["value"]), int(found.get("step", 0)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
