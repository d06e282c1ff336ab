"""Samplers: the parameters of trial number n.

Grid, random and Sobol are pure functions of the seed and the number, so that any process computes
any trial without asking another. Only the Bayesian one looks at the trials before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from mlq.sweeps.space import Params, Space

if TYPE_CHECKING:
    from scipy.stats.qmc import Sobol

    from mlq.sweeps.objective import Objective

#: What SciPy has direction numbers for.
MAX_SOBOL_DIMENSIONS = 21_201
#: The length of the sequence that is asked of SciPy: 2**30 trials.
_SOBOL_BITS = 30


class SamplingError(ValueError):
    """A sampling algorithm that cannot draw from this space; says what can."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a trial.

    state: running, succeeded, failed, canceled or pruned.
    value: of the primary metric, once it has one. steps: its intermediate values, by step.
    """

    number: int
    params: Params
    state: str
    value: float | None = None
    steps: Mapping[int, float] = field(default_factory=dict)


class Sampler(Protocol):
    """Gives out the parameters of trials, by number.

    size: how many different trials there are; None where there is no end.
    needs_history: whether ask() depends on what was synced.
    """

    size: int | None
    needs_history: bool

    def sync(self, past: Iterable[Past]) -> None:
        """Take note of trials that are new or have changed since the last call."""

    def ask(self, number: int) -> Params:
        """The parameters of trial `number`. Raises IndexError at and beyond `size`."""


def make_sampler(
    sampling: Mapping[str, Any], space: Space, objective: Objective, *, seed: int
) -> Sampler:
    """The sampler of a sweep.

    sampling: {"type": "grid" | "random" | "bayesian", "rule": "random" | "sobol"}.
    Raises SamplingError where it cannot draw from the space: a grid of continuous parameters, or
    more dimensions than Sobol's sequence has.
    """
    kind = sampling["type"]
    if kind == "grid":
        return GridSampler(space)
    if kind == "random" and sampling.get("rule") == "sobol":
        return SobolSampler(space, seed=seed)
    if kind == "random":
        return RandomSampler(space, seed=seed)
    if kind == "bayesian":
        # brings in Optuna and numpy
        from mlq.sweeps.bayesian import BayesianSampler

        return BayesianSampler(space, objective, seed=seed)
    raise SamplingError(f"There is no sampling algorithm '{kind}': grid, random, bayesian.")


class _Memoryless:
    """A sampler that does not look at trials."""

    needs_history = False

    def sync(self, past: Iterable[Past]) -> None:
        """Nothing to note."""


class GridSampler(_Memoryless):
    """Every point once, in the order of scikit-learn's ParameterGrid."""

    def __init__(self, space: Space) -> None:
        self.size = space.grid_size()
        if self.size is None:
            raise SamplingError(
                "Grid sampling needs parameters that can be counted: choice, randint, quniform or "
                "qloguniform. Use random or bayesian sampling for the others."
            )
        self._space = space

    def ask(self, number: int) -> Params:
        """Grid point `number`. Raises IndexError beyond the grid."""
        return self._space.grid_point(number)


class RandomSampler(_Memoryless):
    """Independent draws, each trial from a generator of its own."""

    size: int | None = None

    def __init__(self, space: Space, *, seed: int) -> None:
        self._space = space
        self._seed = seed

    def ask(self, number: int) -> Params:
        """The draw of trial `number`: the same for the same seed, on every machine."""
        return self._space.from_unit(unit_point(self._space, seed=self._seed, number=number))


class SobolSampler(_Memoryless):
    """Scrambled Sobol points: random draws that leave no large gaps.

    A run of 2**n trials from the start is best balanced.
    """

    size: int | None = None

    def __init__(self, space: Space, *, seed: int) -> None:
        if space.dimensions() > MAX_SOBOL_DIMENSIONS:
            raise SamplingError(
                f"The search space has {space.dimensions()} dimensions, those of all branches "
                f"counted; rule sobol takes at most {MAX_SOBOL_DIMENSIONS}. Use rule random."
            )
        self._space = space
        self._seed = seed
        self._sequence: Sobol | None = None

    def ask(self, number: int) -> Params:
        """Point `number` of the sequence that belongs to the seed."""
        sequence = self._at(number)
        return self._space.from_unit(sequence.random(1)[0].tolist())

    def _at(self, number: int) -> Sobol:
        if self._sequence is None:
            from scipy.stats.qmc import Sobol

            # NumPy takes no negative seed
            seed = self._seed % 2**64
            self._sequence = Sobol(self._space.dimensions(), bits=_SOBOL_BITS, rng=seed)
        if number < self._sequence.num_generated:
            self._sequence.reset()
        ahead = number - self._sequence.num_generated
        if ahead:
            self._sequence.fast_forward(ahead)
        return self._sequence


def unit_point(space: Space, *, seed: int, number: int) -> list[float]:
    """A random point of the unit cube that belongs to (seed, number). Shape: (dimensions,)."""
    # Python keeps the sequence of a text seed the same across versions and machines
    generator = Random(f"{seed}/{number}")
    return [generator.random() for _ in range(space.dimensions())]
