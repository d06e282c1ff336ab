"""The search space of a sweep: parameters and what each is drawn from, conditional ones included.

Standard library only. Parameters are kept in the order of their names, so that a space read back
from a store that orders keys in its own way draws the same trials, and the grid has the order of
scikit-learn's ParameterGrid (the last name varies fastest): ties between equal scores are broken as
GridSearchCV breaks them.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from mlq.errors import nearest
from mlq.sweeps.distributions import (
    Distribution,
    DistributionError,
    Normal,
    RandInt,
    Scalar,
    Uniform,
    is_number,
)

#: The parameters of one trial: parameter name -> JSON value, flat.
Params = dict[str, Any]
Key = tuple[str | int, ...]

#: Choices may stand in choices this deep.
MAX_DEPTH = 10
MAX_PROBLEMS = 100
_MAX_WORD = 100

#: distribution -> the arguments it needs
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "choice": ("values",),
    "uniform": ("min_value", "max_value"),
    "quniform": ("min_value", "max_value", "q"),
    "loguniform": ("min_value", "max_value"),
    "qloguniform": ("min_value", "max_value", "q"),
    "normal": ("mu", "sigma"),
    "qnormal": ("mu", "sigma", "q"),
    "lognormal": ("mu", "sigma"),
    "qlognormal": ("mu", "sigma", "q"),
    "randint": ("upper",),
}
_ALL_ARGUMENTS = frozenset(name for names in ARGUMENTS.values() for name in names)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_INTEGER = re.compile(r"[-+]?\d{1,19}")


@dataclass(frozen=True, slots=True)
class SpaceProblem:
    """One thing wrong with a search space. key: where it stands, below `search_space`."""

    key: Key
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        where = ".".join(map(str, self.key))
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} Did you mean '{self.suggestion}'?" if self.suggestion else text


class SpaceError(Exception):
    """A search space that makes no sense; `problems` has everything that is wrong with it."""

    def __init__(self, problems: Sequence[SpaceProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = list(problems)


@dataclass(frozen=True)
class Branch:
    """A mapping among the values of a choice: parameters that a trial has when it is chosen.

    constants: parameters with one value; space: those that are drawn.
    """

    constants: Mapping[str, Any]
    space: Space

    def as_dict(self) -> dict[str, Any]:
        """The branch as written in a job file."""
        return {**self.constants, **self.space.as_dict()}

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the parameters that a trial may get here."""
        return self.space.names() | self.constants.keys()


@dataclass(frozen=True)
class Choice(Distribution):
    """One of `values`, each as likely. A Branch gives its own parameters instead of the choice's.

    Coordinates: the first chooses; those of all branches follow in order, of which only the chosen
    branch's count.
    """

    values: tuple[Any, ...]

    @cached_property
    def dimensions(self) -> int:  # type: ignore[override]
        """Coordinates taken: one for the choice, and those of every branch."""
        return 1 + sum(v.space.dimensions() for v in self.values if isinstance(v, Branch))

    def as_dict(self) -> dict[str, Any]:
        values = [v.as_dict() if isinstance(v, Branch) else v for v in self.values]
        return {"type": "choice", "values": values}

    def names(self, name: str) -> frozenset[str]:
        found = {name} if any(not isinstance(v, Branch) for v in self.values) else set[str]()
        return frozenset(found.union(*(v.names for v in self.values if isinstance(v, Branch))))

    def grid_size(self) -> int | None:
        ends = self._grid_ends
        return None if ends is None else ends[-1]

    def put_grid(self, name: str, index: int, params: Params) -> None:
        ends = self._grid_ends
        if ends is None:
            raise ValueError(f"'{name}' has a continuous parameter: its values cannot be counted.")
        chosen = bisect_right(ends, index)
        value = self.values[chosen]
        if isinstance(value, Branch):
            params.update(value.constants)
            value.space.put_grid(index - (ends[chosen - 1] if chosen else 0), params)
        else:
            params[name] = value

    def put_unit(self, name: str, u: Sequence[float], params: Params) -> None:
        chosen = min(int(u[0] * len(self.values)), len(self.values) - 1)
        value = self.values[chosen]
        if isinstance(value, Branch):
            params.update(value.constants)
            start = self._starts[chosen]
            value.space.put_unit(u[start : start + value.space.dimensions()], params)
        else:
            params[name] = value

    def chosen(self, name: str, params: Mapping[str, Any]) -> int | None:
        """Which value the trial with `params` has: the first that fits, None where none does."""
        for index, value in enumerate(self.values):
            if isinstance(value, Branch):
                constants = value.constants.items()
                if all(key in params and is_same(params[key], v) for key, v in constants) and (
                    value.space.contains(params)
                ):
                    return index
            elif name in params and is_same(params[name], value):
                return index
        return None

    @cached_property
    def _grid_ends(self) -> list[int] | None:
        sizes = [v.space.grid_size() if isinstance(v, Branch) else 1 for v in self.values]
        counted = [size for size in sizes if size is not None]
        return list(accumulate(counted)) if len(counted) == len(sizes) else None

    @cached_property
    def _starts(self) -> list[int]:
        widths = (v.space.dimensions() if isinstance(v, Branch) else 0 for v in self.values)
        return list(accumulate(widths, initial=1))


@dataclass(frozen=True)
class Space:
    """Parameters and their distributions. Made by parse_space()."""

    parameters: Mapping[str, Distribution]

    def as_dict(self) -> dict[str, Any]:
        """Canonical JSON: parse_space(space.as_dict()) == space."""
        return {name: drawn.as_dict() for name, drawn in self.parameters.items()}

    def names(self) -> frozenset[str]:
        """Every parameter name that a trial may get, those of branches included."""
        return frozenset[str]().union(*(d.names(name) for name, d in self.parameters.items()))

    def grid_size(self) -> int | None:
        """The number of grid points; None where a parameter is continuous."""
        return self._grid_size

    def grid_point(self, index: int) -> Params:
        """The parameters of grid point `index`; nothing but this point is computed.

        Raises ValueError where a parameter is continuous, IndexError beyond the grid.
        """
        size = self.grid_size()
        if size is None:
            raise ValueError("This space has continuous parameters: it has no grid.")
        if not 0 <= index < size:
            raise IndexError(f"Grid point {index} of {size}.")
        params: Params = {}
        self.put_grid(index, params)
        return params

    def dimensions(self) -> int:
        """The coordinates of the unit cube that make a trial, those of all branches included."""
        return self._dimensions

    def from_unit(self, u: Sequence[float]) -> Params:
        """The parameters at the point `u` of the unit cube: each distribution's quantile.

        u: dimensions() numbers in [0, 1]. Raises ValueError for another length.
        """
        if len(u) != self.dimensions():
            raise ValueError(f"{len(u)} coordinates for {self.dimensions()} dimensions.")
        params: Params = {}
        self.put_unit(u, params)
        return params

    def contains(self, params: Mapping[str, Any]) -> bool:
        """Whether a trial of this space may have these values; other names are not looked at."""
        for name, drawn in self.parameters.items():
            if isinstance(drawn, Choice):
                if drawn.chosen(name, params) is None:
                    return False
            elif not (
                isinstance(drawn, Scalar) and name in params and drawn.contains(params[name])
            ):
                return False
        return True

    def put_grid(self, index: int, params: Params) -> None:
        """Write grid point `index` into `params`."""
        # mixed radix, the last parameter is the lowest digit
        digits: list[tuple[str, Distribution, int]] = []
        for name, drawn in reversed(list(self.parameters.items())):
            size = drawn.grid_size()
            assert size is not None
            index, digit = divmod(index, size)
            digits.append((name, drawn, digit))
        for name, drawn, digit in reversed(digits):
            drawn.put_grid(name, digit, params)

    def put_unit(self, u: Sequence[float], params: Params) -> None:
        """Write the parameters at `u` into `params`."""
        start = 0
        for name, drawn in self.parameters.items():
            drawn.put_unit(name, u[start : start + drawn.dimensions], params)
            start += drawn.dimensions

    @cached_property
    def _grid_size(self) -> int | None:
        sizes = [drawn.grid_size() for drawn in self.parameters.values()]
        counted = [size for size in sizes if size is not None]
        return math.prod(counted) if len(counted) == len(sizes) else None

    @cached_property
    def _dimensions(self) -> int:
        return sum(drawn.dimensions for drawn in self.parameters.values())


def parse_space(raw: Mapping[str, Any]) -> Space:
    """Read the `search_space` of a job file.

    Numbers may be text, as YAML reads 1e-3. A quantised type with a whole `q` gives integers.
    Raises SpaceError with every problem.
    """
    reader = _Reader()
    space = reader.read_space(raw, ()) if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping):
        reader.note((), "The search space must be a mapping of parameters to distributions.")
    elif not raw:
        reader.note((), "The search space is empty: name at least one parameter.")
    if reader.problems:
        raise SpaceError(reader.problems)
    assert space is not None
    return space


def is_same(one: Any, other: Any) -> bool:
    """Equality of JSON values: 1 is 1.0, but not true."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


class _Reader:
    """Reads a space, and notes what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[SpaceProblem] = []

    def note(
        self, key: Key, message: str, *, word: str = "", known: Sequence[str] = ()
    ) -> str | None:
        """Add a problem, and return what is suggested: of `known` the nearest to `word`."""
        guess = nearest(word, known) if 0 < len(word) <= _MAX_WORD else None
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(SpaceProblem(key, message, guess))
        return guess

    def read_space(self, raw: Mapping[str, Any], key: Key) -> Space:
        parameters = {}
        for name in self._names(raw, key):
            drawn = self._distribution(raw[name], (*key, name))
            if drawn is not None:
                parameters[name] = drawn
        self._check_names(parameters, key)
        return Space(parameters)

    def _names(self, raw: Mapping[str, Any], key: Key) -> Iterator[str]:
        for name in sorted(raw, key=str):
            if isinstance(name, str) and name.strip():
                yield name
            else:
                self.note((*key, str(name)), "The name of a parameter must be text.")

    def _check_names(self, drawn: Mapping[str, Distribution], key: Key) -> None:
        taken: dict[str, str] = {}
        for name, distribution in drawn.items():
            for given in sorted(distribution.names(name)):
                if given in taken:
                    self.note(
                        (*key, name),
                        f"A trial would get '{given}' both here and from '{taken[given]}'.",
                    )
                taken[given] = name

    def _distribution(self, raw: Any, key: Key) -> Distribution | None:
        if not isinstance(raw, Mapping):
            self.note(key, "A parameter needs a distribution, such as {type: choice, values: […]}.")
            return None
        kind = raw.get("type")
        if kind is None:
            self.note(key, "The key 'type' is required here: the name of a distribution.")
            return None
        if not isinstance(kind, str) or kind not in ARGUMENTS:
            known = ", ".join(ARGUMENTS)
            self.note(
                (*key, "type"),
                f"There is no distribution '{str(kind)[:_MAX_WORD]}'; there are {known}.",
                word=kind.lower() if isinstance(kind, str) else "",
                known=list(ARGUMENTS),
            )
            return None
        wanted = ARGUMENTS[kind]
        missing = [name for name in wanted if name not in raw]
        misspelt = set()
        for name in raw:
            if name != "type" and name not in wanted:
                misspelt.add(
                    self.note(
                        (*key, str(name)),
                        f"'{str(name)[:_MAX_WORD]}' is not an argument of {kind}, "
                        f"which takes {', '.join(wanted)}.",
                        word=str(name),
                        known=missing,
                    )
                )
        for name in missing:
            if name not in misspelt:
                self.note(key, f"{kind} needs '{name}'.")
        if kind == "choice":
            return None if missing else self._choice(raw["values"], (*key, "values"))
        numbers = {name: self._number(raw[name], (*key, name)) for name in wanted if name in raw}
        if missing or None in numbers.values():
            return None
        return self._numeric(kind, {k: v for k, v in numbers.items() if v is not None}, key)

    def _numeric(self, kind: str, numbers: dict[str, float], key: Key) -> Distribution | None:
        try:
            if kind == "randint":
                upper = numbers["upper"]
                if upper != int(upper):
                    raise DistributionError("upper", "must be a whole number")
                return RandInt(int(upper))
            is_log = "log" in kind
            if kind.endswith("uniform"):
                return Uniform(**numbers, is_log=is_log)
            return Normal(**numbers, is_log=is_log)
        except DistributionError as error:
            self.note((*key, error.key), f"{error.key} {error}.")
            return None

    def _choice(self, raw: Any, key: Key) -> Choice | None:
        if not isinstance(raw, (list, tuple)) or not raw:
            self.note(key, "values must be a list with at least one value.")
            return None
        if len(key) > 3 * MAX_DEPTH:  # name, values, index
            self.note(key, f"Choices stand in choices more than {MAX_DEPTH} deep.")
            return None
        return Choice(tuple(self._value(value, (*key, i)) for i, value in enumerate(raw)))

    def _value(self, raw: Any, key: Key) -> Any:
        if not isinstance(raw, Mapping):
            return self._literal(raw, key)
        drawn = {name: raw[name] for name in self._names(raw, key) if _is_drawn(raw[name])}
        constants = {
            name: self._literal(raw[name], (*key, name))
            for name in sorted(raw, key=str)
            if isinstance(name, str) and name not in drawn
        }
        space = self.read_space(drawn, key)
        for name in sorted(constants.keys() & space.names()):
            self.note((*key, name), f"A trial would get '{name}' both here and from a choice.")
        return Branch(constants, space)

    def _literal(self, raw: Any, key: Key) -> Any:
        if isinstance(raw, Mapping):
            return {
                str(name): self._literal(value, (*key, str(name))) for name, value in raw.items()
            }
        if isinstance(raw, (list, tuple)):
            return [self._literal(value, (*key, i)) for i, value in enumerate(raw)]
        if not (raw is None or isinstance(raw, (bool, str)) or is_number(raw)):
            self.note(key, f"'{str(raw)[:_MAX_WORD]}' is not a JSON value.")
        return raw

    def _number(self, raw: Any, key: Key) -> float | None:
        if isinstance(raw, str) and _INTEGER.fullmatch(raw.strip()):
            raw = int(raw)
        elif isinstance(raw, str) and _NUMBER.fullmatch(raw.strip()):
            raw = float(raw)
        if is_number(raw):
            return raw  # type: ignore[no-any-return]
        self.note(key, f"{key[-1]} must be a number; got '{str(raw)[:_MAX_WORD]}'.")
        return None


def _is_drawn(raw: Any) -> bool:
    """Whether an entry of a branch is meant as a distribution, and not as a mapping by itself."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("type"), str):
        return False
    kind = raw["type"]
    return kind in ARGUMENTS or (
        # misspelt: the reader says so
        len(kind) <= _MAX_WORD
        and not _ALL_ARGUMENTS.isdisjoint(name for name in raw if isinstance(name, str))
    )
