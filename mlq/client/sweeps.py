"""Sweeps: their trials, and what steers one that has not ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mlq.client.documents import Job, Progress, Trial
from mlq.client.downloads import save
from mlq.client.paths import locate
from mlq.client.session import Session


class Sweeps:
    """`/v1/jobs/{ref}/trials` and the like. ref: as of a job; the job has to be a sweep.

    Everything raises ConflictError (code `not_a_sweep`) for other jobs; what changes a sweep also
    for one that has ended, is stopping or is making its outputs.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def trials(
        self,
        ref: str,
        *,
        sort: str = "number",
        state: str | None = None,
        limit: int | None = 50,
    ) -> list[Trial]:
        """Trials by `number`, `value` or `metric:NAME`; `-` before it turns the order round.

        Those without the value come last. state: only of this one; `pruned` for those that early
        termination stopped. limit: None for all.
        """
        path = locate("/v1/jobs/{}/trials", ref)
        return list(self._session.pages(path, limit=limit, sort=sort, state=state))

    def best(self, ref: str) -> Progress:
        """How the best value came about: each trial that was better than all before it."""
        return cast(Progress, self._session.json("GET", locate("/v1/jobs/{}/trials/best", ref)))

    def importance(self, ref: str) -> dict[str, float]:
        """How much each parameter matters: shares of 1, the largest first; empty for few trials."""
        answer = self._session.json(
            "GET", locate("/v1/jobs/{}/trials/importance", ref), timeout_s=300
        )
        return cast("dict[str, float]", answer["importance"])

    def export(self, ref: str, *, to: Path, form: str = "csv") -> Path:
        """Save all trials into the file `to`. form: `csv`, or `optuna` for a study file."""
        path = locate("/v1/jobs/{}/trials/export", ref)
        return save(self._session, path, to=to, params={"format": form}, timeout_s=300)

    def pause(self, ref: str) -> Job:
        """Finish the trials that run and begin no others, until `client.jobs.resume`."""
        return cast(Job, self._session.json("POST", locate("/v1/jobs/{}/pause", ref)))

    def set_limits(self, ref: str, **limits: float | None) -> Job:
        """Change max_total_trials, max_concurrent_trials or timeout; None takes a limit away."""
        return cast(
            Job, self._session.json("PATCH", locate("/v1/jobs/{}/limits", ref), json=limits)
        )

    def add_trials(self, ref: str, points: Sequence[Mapping[str, Any]]) -> list[int]:
        """Try these points too; each has a value for every swept parameter. Returns the numbers."""
        body = {"points": [dict(point) for point in points]}
        answer = self._session.json("POST", locate("/v1/jobs/{}/trials", ref), json=body)
        return cast("list[int]", answer["trials"])
