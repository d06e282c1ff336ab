"""Sweeps and their trials as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import sweeps
from mlq.db.queries import jobs as query
from mlq.db.queries import trials
from mlq.sweeps.space import parse_space
from mlq_api.wire import iso

#: What trials are counted by, in the order in which they get there.
COUNTED = ("queued", "running", "succeeded", "failed", "pruned", "canceled")


def sweep_views(conn: Connection, rows: Iterable[RowMapping]) -> Mapping[str, dict[str, Any]]:
    """sweep id -> what it is after and how far it is; rows: of sweeps."""
    found = list(rows)
    if not found:
        return {}
    specs = query.specs_of(conn, found)
    counts = trials.count_by_state(conn, [row["id"] for row in found])
    views = {}
    for row in found:
        spec = specs[row["spec_digest"]]
        best = None
        if row["value"] is not None:
            maximize = spec["objective"]["goal"] == "maximize"
            best = sweeps.best_trial(conn, row["id"], maximize=maximize)
        views[row["id"]] = sweep_view(row, spec, counts=counts.get(row["id"], {}), best=best)
    return views


def sweep_view(
    row: RowMapping | Mapping[str, Any],
    spec: Mapping[str, Any],
    *,
    counts: Mapping[str, int],
    best: RowMapping | None,
) -> dict[str, Any]:
    """A sweep: its objective, limits as they are now, and what its trials came to."""
    params = row["params"] or {}
    limits = {**spec["limits"], **params.get("limits", {})}
    return {
        "objective": spec["objective"],
        "sampling": spec["sampling"],
        "early_termination": spec["early_termination"],
        "limits": {
            "max_total_trials": limits["max_total_trials"],
            "max_concurrent_trials": limits["max_concurrent_trials"],
            "timeout": row["timeout_s"],
            "trial_timeout": limits["trial_timeout_s"],
        },
        "total": _total(spec, limits, added=len(params.get("added", ()))),
        "counts": {state: counts.get(state, 0) for state in COUNTED},
        "best": None
        if best is None
        else {
            "number": best["ordinal"],
            "id": best["id"],
            "value": best["value"],
            "params": sweeps.swept_params(best) or {},
        },
        "paused_at": iso(row["paused_at"]),
    }


def _total(spec: Mapping[str, Any], limits: Mapping[str, Any], *, added: int) -> int | None:
    """How many trials there will be when nothing ends it early; None where nobody can know."""
    ends = [limits["max_total_trials"]]
    if spec["sampling"]["type"] == "grid":
        ends.append(parse_space(spec["search_space"]).grid_size())
    total = min((end for end in ends if end is not None), default=None)
    return None if total is None else total + added


def trial_views(conn: Connection, rows: Sequence[RowMapping]) -> list[dict[str, Any]]:
    """Trials with their metrics; rows carry the database's time as `now`."""
    metrics = query.newest_metrics(conn, [row["id"] for row in rows]) if rows else {}
    return [_trial_view(row, metrics.get(row["id"], {})) for row in rows]


def _trial_view(row: RowMapping, metrics: Mapping[str, float]) -> dict[str, Any]:
    duration = None
    if row["started_at"] is not None:
        ended = row["finished_at"] or row["now"]
        duration = max(0.0, (ended - row["started_at"]).total_seconds())
    return {
        "number": row["ordinal"],
        "id": row["id"],
        "state": row["state"],
        "reason": row["reason"],
        "error": row["error"],
        "params": sweeps.swept_params(row),
        "value": row["value"],
        "metrics": metrics,
        "attempt": row["attempt"],
        "worker": row["worker"],
        "started_at": iso(row["started_at"]),
        "finished_at": iso(row["finished_at"]),
        "duration_s": duration,
    }


def progress_view(rows: Iterable[RowMapping], *, maximize: bool) -> list[dict[str, Any]]:
    """The trials that were the best when they ended, each better than the one before.

    rows: succeeded trials in the order in which they ended.
    """
    points: list[dict[str, Any]] = []
    best: float | None = None
    for row in rows:
        value = row["value"]
        if best is None or (value > best if maximize else value < best):
            best = value
            points.append(
                {
                    "number": row["number"],
                    "finished_at": iso(row["finished_at"]),
                    "value": value,
                }
            )
    return points
