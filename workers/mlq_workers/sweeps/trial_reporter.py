"""What a trial that is a step says: to the database, and to its sweep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mlq.db import Database, reports
from mlq.db.transitions import Claim
from mlq.errors import UnavailableError
from mlq_workers.reporter import Reporter

#: Between two looks for what a trial's command logged through MLflow's API.
_LISTEN_S = 1.0


class TrialReporter(Reporter):
    """A reporter that also lets the sweep know. note: hears of each value at a step."""

    def __init__(self, *args: Any, note: Callable[[str, float, int], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._note = note
        self.values: dict[str, float] = {}

    def metric(self, key: str, value: float, *, step: int = 0) -> None:
        """Report a value of a metric; also one that is not a number, which fails the trial."""
        self.values[key] = float(value)
        if step > 0 and value == value:
            self._note(key, float(value), step)
        super().metric(key, value, step=step)

    def hear(self, key: str, value: float, *, step: int) -> None:
        """Note a value that the trial's code has written to the database without this process."""
        self.values[key] = value
        if step > 0:
            self._note(key, value, step)


class Listener:
    """Lets a trial's reporter know what its command logged through MLflow's API."""

    def __init__(self, database: Database, claim: Claim, reporter: TrialReporter) -> None:
        self._database = database
        self._claim = claim
        self._reporter = reporter
        self._last = 0
        self._heard: set[str] = set()
        self._due_at = time.monotonic() + _LISTEN_S

    def hear(self, at_end: bool) -> None:
        """Look into the database about once a second, and once more at the end."""
        if not at_end and time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + _LISTEN_S
        own = frozenset(self._reporter.values) - self._heard
        try:
            with self._database.read() as conn:
                said, self._last = reports.read_metrics(
                    conn, self._claim.id, self._claim.attempt, after=self._last
                )
        except UnavailableError:
            if at_end:
                raise  # without them, the trial might seem to have no metric
            return
        for value in said:
            if value.key not in own:  # what the reporter wrote itself stands there too
                self._heard.add(value.key)
                self._reporter.hear(value.key, value.value, step=value.step)
