"""A search space as Optuna sees it: one of Optuna's distributions for each thing that is drawn.

Optuna knows uniform numbers and categories. Conditional parameters become coordinates that only
some trials have. Importing this module brings in Optuna.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from mlq.sweeps.distributions import (
    MAX_DEVIATIONS,
    Distribution,
    Normal,
    RandInt,
    Uniform,
    is_number,
    multiple,
    nearest_multiple,
)
from mlq.sweeps.space import Branch, Choice, Space

#: Where a coordinate stands: ("C",) at the top, ("model", 0, "C") in the first branch of `model`.
Path = tuple[str | int, ...]

_MAX_LABEL = 60


@dataclass(frozen=True)
class Coordinate:
    """One thing that is drawn.

    encode: from the trial's value (for a choice the index of the value) to Optuna's; decode: back.
    """

    name: str
    distribution: BaseDistribution
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


Coordinates = Mapping[Path, Coordinate]


def model_coordinates(space: Space) -> Coordinates:
    """Coordinates to model an objective on.

    Normal distributions are taken as their quantiles, so that the prior is theirs; quantised ones
    as the number of the multiple; choices between numbers as ranks, because neighbours are alike.
    """
    return {path: _model(str(path), drawn) for path, drawn in all_drawn(space)}


def shown_coordinates(space: Space) -> Coordinates:
    """Coordinates to look at: the values that trials have, under the names that people gave.

    A name that several branches use is told apart by its branch: `model[0].C`. What is encoded
    cannot be decoded.
    """
    paths = dict(all_drawn(space))
    uses = Counter(path[-1] for path in paths)
    return {
        path: _shown(str(path[-1]) if uses[path[-1]] == 1 else _format(path), drawn)
        for path, drawn in paths.items()
    }


def encode(
    space: Space, coordinates: Coordinates, params: Mapping[str, Any]
) -> dict[str, Any] | None:
    """A trial's parameters as Optuna's, by coordinate name; None where they are not of `space`."""
    if not space.contains(params):
        return None
    return {
        coordinates[path].name: coordinates[path].encode(value)
        for path, value in _values(space, params, ())
    }


def all_drawn(space: Space, above: Path = ()) -> Iterator[tuple[Path, Distribution]]:
    """Every distribution of the space, those of branches included."""
    for name, drawn in space.parameters.items():
        yield (*above, name), drawn
        if isinstance(drawn, Choice):
            for index, value in enumerate(drawn.values):
                if isinstance(value, Branch):
                    yield from all_drawn(value.space, (*above, name, index))


def _values(space: Space, params: Mapping[str, Any], above: Path) -> Iterator[tuple[Path, Any]]:
    for name, drawn in space.parameters.items():
        if not isinstance(drawn, Choice):
            yield (*above, name), params[name]
            continue
        chosen = drawn.chosen(name, params)
        assert chosen is not None
        yield (*above, name), chosen
        value = drawn.values[chosen]
        if isinstance(value, Branch):
            yield from _values(value.space, params, (*above, name, chosen))


def _model(name: str, drawn: Distribution) -> Coordinate:
    if isinstance(drawn, Choice):
        count = len(drawn.values)
        if count > 2 and all(is_number(value) for value in drawn.values):
            order = sorted(range(count), key=lambda index: drawn.values[index])
            ranks = {index: rank for rank, index in enumerate(order)}
            return Coordinate(
                name, IntDistribution(0, count - 1), ranks.__getitem__, order.__getitem__
            )
        return Coordinate(name, CategoricalDistribution(range(count)), int, int)
    if isinstance(drawn, RandInt):
        return Coordinate(name, IntDistribution(0, drawn.upper - 1), int, int)
    if isinstance(drawn, Uniform):
        q = drawn.q
        if q is None:
            return Coordinate(
                name, FloatDistribution(drawn.low, drawn.high, log=drawn.is_log), float, float
            )
        return Coordinate(
            name,
            IntDistribution(*drawn.multiples, log=drawn.is_log),
            lambda value: nearest_multiple(value, q),
            lambda index: multiple(q, index),
        )
    assert isinstance(drawn, Normal)
    return Coordinate(name, FloatDistribution(0.0, 1.0), drawn.unit, drawn.value)


def _shown(name: str, drawn: Distribution) -> Coordinate:
    if isinstance(drawn, Choice):
        labels = _labels(drawn)
        return Coordinate(name, CategoricalDistribution(labels), labels.__getitem__, _undecodable)
    if isinstance(drawn, RandInt):
        return Coordinate(name, IntDistribution(0, drawn.upper - 1), int, _undecodable)
    if isinstance(drawn, Uniform):
        low, high = drawn.low, drawn.high
        if drawn.q is not None:
            low, high = (multiple(drawn.q, index) for index in drawn.multiples)
    else:
        assert isinstance(drawn, Normal)
        low, high = (drawn.mu + sign * MAX_DEVIATIONS * drawn.sigma for sign in (-1, 1))
        if drawn.is_log:
            low, high = math.exp(low), math.exp(high)
        if drawn.q is not None:
            low, high = (multiple(drawn.q, nearest_multiple(end, drawn.q)) for end in (low, high))
    # qlognormal may round to 0, where there is no logarithm
    is_log = drawn.is_log and low > 0
    # Optuna has no steps on a logarithmic scale, but for whole numbers
    step = None if is_log else drawn.q
    if isinstance(drawn.q, int):
        whole = IntDistribution(int(low), int(high), log=is_log, step=1 if is_log else drawn.q)
        return Coordinate(name, whole, int, _undecodable)
    return Coordinate(
        name, FloatDistribution(low, high, log=is_log, step=step), float, _undecodable
    )


def _labels(choice: Choice) -> list[Any]:
    """The values of a choice as Optuna's categories, which are scalars and all different."""
    values = [_label(value) for value in choice.values]
    if len(set(values)) == len(values):
        return values
    return [f"{index}: {json.dumps(value)}" for index, value in enumerate(values)]


def _label(value: Any) -> Any:
    if isinstance(value, Branch):
        fixed = ", ".join(f"{name}={constant}" for name, constant in value.constants.items())
        return (fixed or ", ".join(sorted(value.names)) or "{}")[:_MAX_LABEL]
    return value if value is None or not isinstance(value, (dict, list)) else json.dumps(value)


def _format(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _undecodable(value: Any) -> Any:
    raise TypeError("What is shown cannot be turned back into parameters.")
