"""Bayesian sampling: Optuna's tree-structured Parzen estimator over mlq's own trials.

Optuna gets no storage of its own. Each ask() shows its sampler a bounded selection of the trials:
the best, of which the estimator makes its model of good ones, and the latest others, which it
weighs most. So an ask after ten thousand trials costs what it did after three hundred, and depends
on nothing but the seed, the number and what was synced. Importing this module brings in Optuna.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mlq.sweeps.coordinates import Path, encode, model_coordinates
from mlq.sweeps.objective import Objective
from mlq.sweeps.samplers import Past, unit_point
from mlq.sweeps.space import Branch, Choice, Params, Space

#: Finished trials before the first proposal from a model, as Optuna has it.
STARTUP_TRIALS = 10
#: Finished trials that the estimator is shown.
MAX_SHOWN = 300
#: The most that it takes for good ones.
MAX_GOOD = 25
#: Proposals that are made where the point was tried before, and draws after that.
_PROPOSALS = 8
_DRAWS = 64
#: A grid up to this size is searched for a point that is left.
_MAX_SEARCHED = 10_000

_STATES = {
    "running": TrialState.RUNNING,
    "succeeded": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
}

# "A new study created in memory" tells nobody anything
optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True, slots=True)
class _Noted:
    """What is kept of a trial. point: its parameters as text; rank: sorts the best first."""

    point: str | None
    trial: FrozenTrial | None
    rank: tuple[float, ...] | None


class BayesianSampler:
    """Proposes what is likely to be good, given the trials so far.

    Failed and canceled trials are left out, pruned ones count as worse than those that finished,
    running ones as bad, so that trials asked for at once differ. In a space that can be counted, no
    point is proposed twice while others are left.
    """

    size: int | None = None
    needs_history = True

    def __init__(self, space: Space, objective: Objective, *, seed: int) -> None:
        self._space = space
        self._sign = -1.0 if objective.goal == "maximize" else 1.0
        self._seed = seed
        self._coordinates = model_coordinates(space)
        self._points = space.grid_size()
        self._storage = _Shown()
        # values are shown with their sign, smaller is better
        study_id = self._storage.create_new_study([StudyDirection.MINIMIZE])
        self._study_name = self._storage.get_study_name_from_id(study_id)
        self._noted: dict[int, _Noted] = {}
        self._tried: Counter[str] = Counter()
        self._running: set[int] = set()
        self._ranked: list[tuple[float, ...]] = []
        self._finished: list[int] = []

    def sync(self, past: Iterable[Past]) -> None:
        """Take note of trials that are new or have changed."""
        for trial in past:
            self._note(trial)

    def ask(self, number: int) -> Params:
        """Propose the parameters of trial `number`, and note it as running."""
        self._forget(number)
        params = self._propose(number)
        self._note(Past(number, params, "running"))
        return params

    def _note(self, past: Past) -> None:
        before = self._noted.get(past.number)
        if past.state == "running" and before is not None and past.number in self._running:
            return
        self._forget(past.number)
        point = None
        if self._points is not None and past.state != "canceled":
            point = _write(past.params)
            self._tried[point] += 1
        trial = self._freeze(past)
        rank = None
        if trial is not None and trial.state == TrialState.RUNNING:
            self._running.add(past.number)
        elif trial is not None:
            rank = _rank(trial)
            insort(self._ranked, rank)
            insort(self._finished, past.number)
        self._noted[past.number] = _Noted(point, trial, rank)

    def _forget(self, number: int) -> None:
        noted = self._noted.pop(number, None)
        if noted is None:
            return
        self._running.discard(number)
        if noted.point is not None:
            self._tried[noted.point] -= 1
            if not self._tried[noted.point]:
                del self._tried[noted.point]
        if noted.rank is not None:
            del self._ranked[bisect_left(self._ranked, noted.rank)]
            del self._finished[bisect_left(self._finished, number)]

    def _freeze(self, past: Past) -> FrozenTrial | None:
        state = _STATES.get(past.state)
        value = past.value
        if state is None or (
            state == TrialState.COMPLETE and (value is None or not math.isfinite(value))
        ):
            return None
        params = encode(self._space, self._coordinates, past.params)
        if params is None:
            return None
        steps = {step: self._sign * v for step, v in past.steps.items() if math.isfinite(v)}
        return FrozenTrial(
            number=past.number,
            state=state,
            value=self._sign * value
            if value is not None and state == TrialState.COMPLETE
            else None,
            datetime_start=None,
            datetime_complete=None,
            params=params,
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values=steps,
            trial_id=past.number,
        )

    def _propose(self, number: int) -> Params:
        params = self._model(number, 0)
        if self._points is None or len(self._tried) >= self._points:
            return params
        for attempt in range(1, _PROPOSALS + _DRAWS):
            if _write(params) not in self._tried:
                return params
            if attempt < _PROPOSALS:
                params = self._model(number, attempt)
            else:
                params = self._draw(number, attempt)
        if self._points > _MAX_SEARCHED:
            return params
        left = [
            point
            for point in map(self._space.grid_point, range(self._points))
            if _write(point) not in self._tried
        ]
        return Random(self._seed_of(number, _PROPOSALS)).choice(left) if left else params

    def _draw(self, number: int, attempt: int) -> Params:
        seed = self._seed if not attempt else self._seed_of(number, attempt)
        return self._space.from_unit(unit_point(self._space, seed=seed, number=number))

    def _model(self, number: int, attempt: int) -> Params:
        if len(self._finished) < STARTUP_TRIALS:
            return self._draw(number, attempt)
        self._storage.shown = self._select()
        sampler = TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            multivariate=True,
            constant_liar=True,
            seed=self._seed_of(number, attempt),
        )
        # a study remembers the trials that it has seen
        study = Study(self._study_name, self._storage, sampler=sampler)
        running = FrozenTrial(
            number=number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=None,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            trial_id=number,
        )
        params: Params = {}
        self._put(self._space, (), params, sampler, study, running)
        return params

    def _put(
        self,
        space: Space,
        above: Path,
        params: Params,
        sampler: TPESampler,
        study: Study,
        trial: FrozenTrial,
    ) -> None:
        """Draw the parameters of `space` together, then those of the branches chosen there."""
        here = {name: self._coordinates[(*above, name)] for name in space.parameters}
        wanted = {c.name: c.distribution for c in here.values() if not c.distribution.single()}
        drawn = sampler.sample_relative(study, trial, wanted)
        for name, coordinate in here.items():
            distribution = space.parameters[name]
            if coordinate.name in drawn:
                value = coordinate.decode(drawn[coordinate.name])
            else:
                value = _only(distribution)
            if not isinstance(distribution, Choice):
                params[name] = value
            elif isinstance(branch := distribution.values[value], Branch):
                params.update(branch.constants)
                below = (*above, name, value)
                self._put(branch.space, below, params, sampler, study, trial)
            else:
                params[name] = branch

    def _select(self) -> list[FrozenTrial]:
        """The trials to show, oldest first: the best, the latest others, and what is running."""
        numbers = set(self._running)
        if len(self._finished) <= MAX_SHOWN:
            numbers.update(self._finished)
        else:
            numbers.update(int(rank[-1]) for rank in self._ranked[:MAX_GOOD])
            latest = (number for number in reversed(self._finished) if number not in numbers)
            numbers.update(islice(latest, MAX_SHOWN - MAX_GOOD))
        trials = (self._noted[number].trial for number in sorted(numbers))
        return [trial for trial in trials if trial is not None]

    def _seed_of(self, number: int, attempt: int) -> int:
        return Random(f"{self._seed}/{number}/{attempt}").getrandbits(32)


class _Shown(InMemoryStorage):
    """A storage of the trials that the estimator is to see."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[FrozenTrial] = []

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        return [trial for trial in self.shown if states is None or trial.state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Optuna shares here what it proposed; ask() notes the whole trial as running."""


def _rank(trial: FrozenTrial) -> tuple[float, ...]:
    """Sorts as Optuna does: finished by value, then pruned by how far they came, then by value."""
    if trial.state == TrialState.COMPLETE:
        assert trial.value is not None
        return (0, trial.value, trial.number)
    if trial.intermediate_values:
        step, value = max(trial.intermediate_values.items())
        return (1, -step, value, trial.number)
    return (2, trial.number)


def _only(distribution: Any) -> Any:
    """The one value of a distribution that has no other; for a choice its index."""
    return 0 if isinstance(distribution, Choice) else distribution.value(0.5)


def _write(params: Params) -> str:
    return json.dumps(params, sort_keys=True)
