"""Studies made from a sweep's trials: parameter importance, and files for other programs.

Importing this module is cheap; Optuna comes in with the functions that need it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlq.sweeps.objective import Objective
from mlq.sweeps.samplers import Past
from mlq.sweeps.space import Space

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from mlq.sweeps.coordinates import Coordinates

#: With fewer finished trials nothing can be said about what matters.
MIN_FINISHED = 4
#: With fewer trials in its branch nothing is said about a parameter that only some have.
MIN_IN_BRANCH = 10
#: Of more finished trials, evenly spaced ones are looked at.
MAX_LOOKED_AT = 2_000

_TOP_TRIALS = 20


@dataclass(frozen=True, slots=True)
class TrialRecord(Past):
    """A trial and when it ran. reason: why it ended as it did; times with their zone."""

    reason: str | None = None
    started: datetime | None = None
    finished: datetime | None = None


def build_study(trials: Iterable[Past], space: Space, objective: Objective) -> Study:
    """An Optuna study in memory with these trials.

    Parameters have the names and values that people gave them; a choice between mappings is a
    category, and a name that several of them use is told apart: `model[0].C`. Canceled trials are
    failed ones, Optuna has no other word. A trial whose parameters are not of the space keeps them
    as a user attribute.
    """
    from mlq.sweeps.coordinates import shown_coordinates

    study = _create_study(objective)
    study.add_trials(_freeze(trials, space, shown_coordinates(space)))
    return study


def export_study(
    trials: Iterable[Past], space: Space, objective: Objective, path: Path, *, name: str
) -> None:
    """Write an Optuna study file (SQLite) that optuna-dashboard and optuna.load_study open.

    name: what the study is called in it. Raises FileExistsError where something is at `path`.
    """
    from mlq.sweeps.study_file import write_study

    if path.exists():
        raise FileExistsError(f"{path} is there already. Choose another name, or remove it first.")
    write_study(build_study(trials, space, objective), path, name=name)


def importance(trials: Iterable[Past], space: Space, objective: Objective) -> dict[str, float]:
    """How much each parameter matters for a good value: shares that add up to 1, largest first.

    Names are those of build_study. Empty with fewer than 4 finished trials, or where none of the
    parameters varied; below some 20 trials it is a hint, no more. Parameters that only some trials
    have are left out while these are fewer than 10.
    Source: Watanabe et al., PED-ANOVA, IJCAI 2023.
    """
    finished = [
        trial
        for trial in trials
        if trial.state == "succeeded" and trial.value is not None and math.isfinite(trial.value)
    ]
    if len(finished) < MIN_FINISHED:
        return {}
    finished = finished[:: math.ceil(len(finished) / MAX_LOOKED_AT)]
    return _importance(finished, space, objective)


def _importance(finished: Sequence[Past], space: Space, objective: Objective) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    from mlq.sweeps.coordinates import model_coordinates, shown_coordinates

    model = model_coordinates(space)
    names = {model[path].name: shown.name for path, shown in shown_coordinates(space).items()}
    frozen = list(_freeze(finished, space, model))
    seen: dict[str, list[Any]] = {}
    for trial in frozen:
        for name, value in trial.params.items():
            seen.setdefault(name, []).append(value)
    varied = [
        name
        for name, values in seen.items()
        if len(set(values)) > 1 and len(values) >= min(MIN_IN_BRANCH, len(frozen))
    ]
    if not varied or len({trial.value for trial in frozen}) == 1:
        return {}
    study = _create_study(objective)
    study.add_trials(frozen)
    # Compared with the rest is the top tenth, as Optuna does, but the top half of few trials: two
    # or three of them would make any parameter look important.
    top = min(max(_TOP_TRIALS / len(frozen), 0.1), 0.5)
    shares = get_param_importances(
        study, evaluator=PedAnovaImportanceEvaluator(target_quantile=top), params=varied
    )
    return {names[name]: share for name, share in shares.items()}


def _create_study(objective: Objective) -> Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=objective.goal)
    study.set_user_attr("primary_metric", objective.primary_metric)
    return study


def _freeze(
    trials: Iterable[Past], space: Space, coordinates: Coordinates
) -> Iterable[FrozenTrial]:
    from optuna.trial import TrialState, create_trial

    from mlq.sweeps.coordinates import encode

    distributions = {c.name: c.distribution for c in coordinates.values()}
    states = {
        "running": TrialState.RUNNING,
        "succeeded": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
    }
    for trial in trials:
        state = states.get(trial.state, TrialState.FAIL)
        has_value = trial.value is not None and not math.isnan(trial.value)
        if state == TrialState.COMPLETE and not has_value:
            state = TrialState.FAIL
        params = encode(space, coordinates, trial.params)
        attributes: dict[str, Any] = {"number": trial.number, "state": trial.state}
        if params is None:
            attributes["params"] = trial.params
            params = {}
        frozen = create_trial(
            state=state,
            value=trial.value if state == TrialState.COMPLETE else None,
            params=params,
            distributions={name: distributions[name] for name in params},
            user_attrs=attributes,
            intermediate_values=dict(trial.steps),
        )
        if isinstance(trial, TrialRecord):
            # Optuna's times have no zone: local time is what its dashboard shows
            frozen.datetime_start = _local(trial.started) or frozen.datetime_start
            if state.is_finished():
                frozen.datetime_complete = _local(trial.finished) or frozen.datetime_complete
            if trial.reason is not None:
                frozen.set_user_attr("reason", trial.reason)
        yield frozen


def _local(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone().replace(tzinfo=None)
