"""Trials that are whole pipelines: planted below their sweep by its one runner, which parks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from mlq.db import sweeps, transitions, workers
from mlq.db.transitions import Sweep
from mlq.db.window import Delivery
from mlq.lifecycle import Reason, Role
from mlq.service.capacity import Windows
from mlq.service.execution import Attempt
from mlq.service.jobs import dispatch
from mlq.service.planting import tree_rows
from mlq.service.sweeps import Assignment, Verdict, point_of
from mlq.spec.embedded import instantiate
from mlq.sweeps.objective import Objective

#: A parked runner looks after its trials itself now and then, whoever forgot to wake it.
_PARKED_S = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A trial to plant. point: which of the sampler's it is; params: those that people gave it."""

    number: int
    point: int
    params: Mapping[str, Any] | None


def find_wanted(
    conn: Connection, attempt: Attempt, *, limits: Mapping[str, Any], size: int | None
) -> list[Wanted]:
    """The trials that may be planted now, those that people added first.

    limits: of the sweep's file; what was changed since counts. size: points of the sampler, None
    for no end.
    """
    sweep_id = attempt.claim.parent_id
    assert sweep_id is not None, "a runner is a sweep's child"
    params = transitions.read_sweep(conn, sweep_id).params
    limits = {**limits, **params.get("limits", {})}
    added: Sequence[int] = params.get("added", ())
    given: Mapping[str, Any] = params.get("points", {})
    first = transitions.count_trials(conn, sweep_id)
    most = limits.get("max_concurrent_trials")
    if most is None:
        most = max(1, workers.live_slots(conn).get(attempt.claim.compute, 1))
    ends = [end for end in (limits.get("max_total_trials"), size) if end is not None]
    left = min(ends) + len(added) - first if ends else most
    count = max(0, min(most - sweeps.count_live_trials(conn, sweep_id), left))
    return [
        Wanted(number, point_of(number, added), given.get(str(number)))
        for number in range(first, first + count)
    ]


def tend(
    conn: Connection,
    attempt: Attempt,
    *,
    points: Mapping[int, Mapping[str, Any]],
    objective: Objective,
    limits: Mapping[str, Any],
    size: int | None,
    windows: Windows,
) -> Assignment | None:
    """Look after the sweep's trials and plant new ones; the runner parks while any of them runs.

    points: number -> parameters of the trials to plant; limits, size: as for `find_wanted`.
    None when the attempt is not the current one any more; verdict END when the runner has nothing
    left to do, YIELD when it has parked.
    """
    runner = attempt.claim
    sweep = transitions.hold_sweep(conn, runner)
    if sweep is None:
        return None
    best = sweeps.best_trial(conn, sweep.id, maximize=objective.goal == "maximize")
    if best is not None and best["value"] != sweep.value:
        transitions.note_best(conn, sweep.id, best["value"])
    if sweep.is_stopping or not sweep.is_running:
        return Assignment(Verdict.END, sweep.moment)
    if best is not None and objective.reaches_target(best["value"]):
        settled = transitions.finish_early(conn, sweep.id, reason=Reason.TARGET, spare=runner.id)
        ready = settled.ready if settled is not None else set()
        return Assignment(Verdict.END, sweep.moment, deliveries=dispatch(conn, ready, windows))
    ready = set()
    if not sweep.is_paused:
        for number, params in points.items():
            ready |= _plant(conn, attempt, sweep, number, params)
    delay_s = _PARKED_S
    if not sweep.is_paused and not sweeps.count_live_trials(conn, sweep.id):
        if not find_wanted(conn, attempt, limits=limits, size=size):
            transitions.dismiss(conn, runner)
            return Assignment(Verdict.END, sweep.moment)
        delay_s = 0.0  # somebody gave it more to do a moment ago
    transitions.park(conn, runner, delay_s=delay_s)
    deliveries: Sequence[Delivery] = dispatch(conn, ready | {runner.compute}, windows)
    return Assignment(Verdict.YIELD, sweep.moment, deliveries=deliveries)


def _plant(
    conn: Connection, attempt: Attempt, sweep: Sweep, number: int, params: Mapping[str, Any]
) -> set[str]:
    """Store one trial; returns the computes that it waits for."""
    runner = attempt.claim
    spec = attempt.spec["sweep"]
    embedded = spec["trial"]["plan"]
    common = sweeps.trial_columns(conn, runner.id)
    top, *steps = instantiate(embedded, params)
    top = replace(
        top,
        name=str(number),
        display_name=f"trial {number}",
        ordinal=number,
        timeout_s=spec["limits"].get("trial_timeout_s"),
    )
    shadow = f"{common['shadow'].rpartition('.')[0]}.{number}"
    common = {**common, "shadow": shadow}
    path = f"{common['path']}.{number}".lstrip(".")
    stored, links = tree_rows(conn, [top, *steps], attempt, attempt.inputs, common, path=path)
    ids = [row["id"] for row in stored]
    stored[0] |= {
        "parent_id": sweep.id,
        "role": Role.TRIAL.value,
        "params": _top_params(stored[0]["params"], embedded, params, ids),
    }
    return transitions.insert_below(conn, stored, links, at=sweep.moment)


def _top_params(
    inner: Mapping[str, Any] | None,
    embedded: Mapping[str, Any],
    params: Mapping[str, Any],
    ids: Sequence[str],
) -> dict[str, Any]:
    metric = embedded["metric"]
    return {
        **(inner or {}),
        "swept": dict(params),
        "metric": {"name": metric["name"], "jobs": [ids[index] for index in metric["jobs"]]},
        "outputs": {
            name: {"job": ids[index], "output": output}
            for name, (index, output) in embedded["outputs"].items()
        },
    }
