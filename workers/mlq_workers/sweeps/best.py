"""The leaf that makes a sweep's outputs from its best trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from mlq.artifacts import Store
from mlq.db import Database, reports, sweeps
from mlq.db.queries.jobs import newest_metrics
from mlq.db.registry import Artifact
from mlq.db.reports import MetricValue
from mlq.errors import StepError
from mlq.service.execution import Attempt
from mlq.spec.builtin import BUILTIN
from mlq.sweeps.objective import Objective
from mlq_workers.board import Seat
from mlq_workers.components.trials import Trials, prepare_trials
from mlq_workers.ending import Ending
from mlq_workers.handlers import fetch, store_outputs
from mlq_workers.reporter import Reporter


@dataclass(frozen=True, slots=True)
class BestHandler:
    """Refits the best trial on all rows, or hands its outputs over."""

    database: Database

    def handle(
        self, attempt: Attempt, *, scratch: Path, store: Store, seat: Seat, reporter: Reporter
    ) -> Ending:
        """Make the sweep's outputs. Raises StepError when no trial has succeeded."""
        sweep_id = attempt.claim.parent_id
        assert sweep_id is not None, "it is a sweep's child"
        spec = attempt.spec["sweep"]
        objective = Objective.from_dict(spec["objective"])
        with self.database.read() as conn:
            best = sweeps.best_trial(conn, sweep_id, maximize=objective.goal == "maximize")
            if best is None:
                raise _nothing(conn, sweep_id)
            metrics = newest_metrics(conn, [best["id"]]).get(best["id"], {})
        params = sweeps.swept_params(best) or {}
        metrics = metrics or {objective.primary_metric: best["value"]}
        reporter.log(
            "stdout",
            f"Trial {best['ordinal']} is the best: {objective.primary_metric} "
            f"{best['value']:.6g}.\n",
        )
        for name, value in metrics.items():
            reporter.metric(name, value)
        trials = _prepare(attempt, spec, params, store, reporter)
        stored: Sequence[Artifact] = ()
        if trials is None:
            outputs = dict(best["outputs"] or {})
        else:
            scratch.mkdir(parents=True, mode=0o700)
            types = BUILTIN[spec["trial"]["component"]].outputs
            outputs, stored = store_outputs(
                store,
                trials.refit(params, scratch, metrics=metrics),
                {name: port.type for name, port in types.items()},
            )
        outputs["best_params"] = {"type": "object", "value": dict(params)}
        outputs["best_value"] = {"type": "number", "value": best["value"]}

        def note_metrics(conn: Connection, _: Attempt) -> Mapping[str, Any]:
            values = [MetricValue(name, value) for name, value in metrics.items()]
            reports.write_metrics(conn, sweep_id, attempt.claim.attempt, values)
            return {}

        return Ending(outputs=outputs, artifacts=stored, effect=note_metrics)


def _prepare(
    attempt: Attempt,
    spec: Mapping[str, Any],
    params: Mapping[str, Any],
    store: Store,
    reporter: Reporter,
) -> Trials | None:
    """What can refit the best trial; None where that has written its outputs itself."""
    component = spec["trial"].get("component")
    if component is None:
        return None
    return prepare_trials(
        component,
        {name: fetch(store, given) for name, given in attempt.inputs.items()},
        lambda line: reporter.log("stdout", line + "\n"),
        primary_metric=spec["objective"]["primary_metric"],
        swept=frozenset(params),
        only_refit=True,
    )


def _nothing(conn: Connection, sweep_id: str) -> StepError:
    counts = sweeps.count_by_state(conn, sweep_id)
    total = sum(counts.values())
    found = sweeps.commonest_error(conn, sweep_id)
    if found is None:
        return StepError(
            f"None of the {total} trials ran to its end, so there is no best one.",
            code="no_successful_trial",
            hint="Give the sweep more time or more trials.",
        )
    count, error = found
    message = str(error.get("message") or error.get("code"))
    return StepError(
        f"None of the {total} trials succeeded; {count} failed alike: {message}",
        code="no_successful_trial",
        hint=str(error.get("hint") or "`mlq job trials` lists the trials with their errors."),
    )
