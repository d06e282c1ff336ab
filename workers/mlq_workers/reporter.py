"""Metrics and log lines of an attempt on their way to the database."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence

from mlq.db import Database
from mlq.db.registry import Artifact
from mlq.db.reports import LogChunk, MetricValue
from mlq.db.transitions import Claim
from mlq.db.usage import Usage
from mlq.errors import StepError, UnavailableError
from mlq.service import execution
from mlq.service.execution import Report

logger = logging.getLogger("mlq.reporter")

_FLUSH_S = 1.0
_USAGE_S = 10.0
_FLUSH_BYTES = 256 * 1024
_MAX_KEY = 255
_CUT = b"\n[mlq: the log is longer than is kept; cut here]\n"


class Reporter:
    """Collects what an attempt says and writes it about once a second.

    What is left at the end goes with the outcome, in its transaction: a short step costs no write
    of its own.
    """

    def __init__(self, database: Database, claim: Claim, *, max_log_bytes: int) -> None:
        self._database = database
        self._claim = claim
        self._metrics: list[MetricValue] = []
        self._logs: list[LogChunk] = []
        self._log_bytes = 0
        self._log_room = max_log_bytes
        self._log_is_cut = False
        self._usage: Usage | None = None
        self._flushed_at = self._measured_at = time.monotonic()

    def usage(self, usage: Usage) -> None:
        """Say what the attempt has used so far, all of it."""
        self._usage = usage

    def metric(self, key: str, value: float, *, step: int = 0) -> None:
        """Report a value of a metric; one that is not a number is left out, and the log says so.

        Raises StepError for a name that cannot be stored.
        """
        if not 0 < len(key) <= _MAX_KEY or "\x00" in key:
            raise StepError(
                f"A metric cannot be named {key[:40]!r}.",
                code="bad_metric",
                hint=f"Use 1 to {_MAX_KEY} characters.",
            )
        if math.isnan(value):
            self.log("mlq", f"The metric '{key}' is not a number at step {step} and is left out.\n")
            return
        self._metrics.append(MetricValue(key, float(value), step))
        self.flush_if_due()

    def log(self, stream: str, text: str) -> None:
        """Report log text; beyond the limit it is left out, with a mark where."""
        if self._log_is_cut:
            return
        encoded = text.encode(errors="replace")
        if len(encoded) > self._log_room:
            self._log_is_cut = True
            encoded = encoded[: self._log_room] + _CUT
            text = encoded.decode(errors="ignore")
        size = len(encoded)
        self._log_room -= size
        self._logs.append(LogChunk(stream, text))
        self._log_bytes += size
        self.flush_if_due()

    def rest(self, artifacts: Sequence[Artifact] = ()) -> Report:
        """What has not been written yet, for the outcome's transaction."""
        report = Report(tuple(self._metrics), _joined(self._logs), tuple(artifacts), self._usage)
        self._metrics, self._logs, self._log_bytes, self._usage = [], [], 0, None
        return report

    def flush(self) -> None:
        """Write now what has been collected; kept for later when the database is away."""
        self._flushed_at = time.monotonic()
        later = None
        if self._flushed_at - self._measured_at < _USAGE_S:
            later, self._usage = self._usage, None  # it is whole each time: seldom is enough
        else:
            self._measured_at = self._flushed_at
        said = self.rest()
        self._usage = later
        if not said.metrics and not said.logs and said.usage is None:
            return
        try:
            self._database.transact(execution.report, self._claim, said)
        except UnavailableError as error:
            logger.warning("report of %s waits: %s", self._claim.id, error)
            self._metrics = [*said.metrics, *self._metrics]
            self._logs = [*said.logs, *self._logs]
            self._usage = self._usage or said.usage

    def flush_if_due(self) -> None:
        """Write what has been collected if it is about a second old, or much."""
        if time.monotonic() - self._flushed_at >= _FLUSH_S or self._log_bytes >= _FLUSH_BYTES:
            self.flush()


def _joined(chunks: Sequence[LogChunk]) -> tuple[LogChunk, ...]:
    """Neighbours of the same stream as one chunk."""
    joined: list[LogChunk] = []
    for chunk in chunks:
        if joined and joined[-1].stream == chunk.stream:
            joined[-1] = LogChunk(chunk.stream, joined[-1].content + chunk.content)
        else:
            joined.append(chunk)
    return tuple(joined)
