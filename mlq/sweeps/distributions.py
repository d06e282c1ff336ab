"""What one parameter of a sweep is drawn from: Azure ML's distributions, as inverse CDFs.

The formulas are those of Azure's `parameter_expressions`: the log types give exp(…) of what the
plain type gives (their bounds are exponents of e), the quantised ones round(… / q) * q. One thing
is stricter: a quantised value never leaves the range. Where Azure's rounding would (1 … 10 with
q 4 gives 0 and 12), the nearest multiple of q inside is taken (4 and 8).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from statistics import NormalDist
from typing import Any

#: exp() of anything beyond is infinite, or not a normal number.
MAX_EXPONENT = 700.0
#: Beyond this, neighbouring whole numbers are no longer told apart by a float.
MAX_WHOLE = 2**53

_STANDARD_NORMAL = NormalDist()
# Quantiles at 0 and 1 are infinite; the next floats inside lie 8.2 standard deviations out.
_MIN_U = 2.0**-53
_MAX_U = 1 - 2.0**-53
MAX_DEVIATIONS = 8.3
# exp(log(100)) may come out as 99.99999999999999, which must not lose the multiple 100.
_SLACK = Decimal("1e-9")


class DistributionError(ValueError):
    """Bounds that make no sense. key: the argument that is at fault."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class Distribution(ABC):
    """What a parameter is drawn from.

    A distribution takes `dimensions` coordinates of the unit cube, and writes what it draws into
    the parameters of a trial; only a choice between mappings takes and writes more than one.
    """

    dimensions: int = 1

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """The distribution as written in a job file, with canonical types."""

    @abstractmethod
    def names(self, name: str) -> frozenset[str]:
        """The names that a trial may get from the parameter called `name`."""

    @abstractmethod
    def grid_size(self) -> int | None:
        """The number of values there are, None where they cannot be counted."""

    @abstractmethod
    def put_grid(self, name: str, index: int, params: dict[str, Any]) -> None:
        """Write value number `index` of the grid_size() values into `params`."""

    @abstractmethod
    def put_unit(self, name: str, u: Sequence[float], params: dict[str, Any]) -> None:
        """Write the value at `u` into `params`. u: `dimensions` coordinates in [0, 1]."""


class Scalar(Distribution):
    """A distribution of numbers: one coordinate, one name."""

    @abstractmethod
    def value(self, u: float) -> float:
        """The quantile at `u` in [0, 1]: the inverse CDF."""

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """Whether `value` may be drawn."""

    def names(self, name: str) -> frozenset[str]:
        return frozenset((name,))

    def grid_size(self) -> int | None:
        return None

    def put_grid(self, name: str, index: int, params: dict[str, Any]) -> None:
        raise ValueError(f"'{name}' is continuous: its values cannot be counted.")

    def put_unit(self, name: str, u: Sequence[float], params: dict[str, Any]) -> None:
        params[name] = self.value(u[0])


@dataclass(frozen=True)
class RandInt(Scalar):
    """Whole numbers 0 … upper - 1, each as likely."""

    upper: int

    def __post_init__(self) -> None:
        if not 1 <= self.upper <= MAX_WHOLE:
            raise DistributionError("upper", "must be between 1 and 2**53: values are 0 … upper-1")

    def as_dict(self) -> dict[str, Any]:
        return {"type": "randint", "upper": self.upper}

    def value(self, u: float) -> int:
        return min(int(u * self.upper), self.upper - 1)

    def contains(self, value: Any) -> bool:
        return is_number(value) and bool(0 <= value < self.upper and int(value) == value)

    def grid_size(self) -> int:
        return self.upper

    def put_grid(self, name: str, index: int, params: dict[str, Any]) -> None:
        params[name] = index


@dataclass(frozen=True)
class Uniform(Scalar):
    """uniform, loguniform, and with `q` quniform, qloguniform. Bounds are inclusive.

    is_log: the bounds are exponents of e, and the logarithm of the value is uniform.
    q: values are multiples of it, whole numbers where q is one.
    """

    min_value: float
    max_value: float
    q: float | None = None
    is_log: bool = False

    def __post_init__(self) -> None:
        if self.min_value > self.max_value:
            raise DistributionError(
                "min_value", f"{self.min_value} is greater than max_value, {self.max_value}"
            )
        if self.is_log:
            _check_exponent("min_value", self.min_value)
            _check_exponent("max_value", self.max_value)
        elif not math.isfinite(self.max_value - self.min_value):
            raise DistributionError("max_value", "is too far from min_value for a float")
        if self.q is not None:
            _check_q(self.q, self.low, self.high)
            first, last = self.multiples
            if first > last:
                raise DistributionError(
                    "q", f"no multiple of {self.q} lies between {self.low:g} and {self.high:g}"
                )

    @cached_property
    def low(self) -> float:
        """The smallest value before rounding."""
        return math.exp(self.min_value) if self.is_log else self.min_value

    @cached_property
    def high(self) -> float:
        """The largest value before rounding."""
        return math.exp(self.max_value) if self.is_log else self.max_value

    @cached_property
    def multiples(self) -> tuple[int, int]:
        """The first and last k for which k * q lies in the range. Needs a `q`."""
        assert self.q is not None
        q = _decimal(self.q)
        slack = _SLACK if self.is_log else Decimal(0)
        first = math.ceil(_decimal(self.low) / q * (1 - slack))
        last = math.floor(_decimal(self.high) / q * (1 + slack))
        return first, last

    def as_dict(self) -> dict[str, Any]:
        kind = f"{'q' if self.q is not None else ''}{'log' if self.is_log else ''}uniform"
        bounds = {"type": kind, "min_value": self.min_value, "max_value": self.max_value}
        return bounds if self.q is None else {**bounds, "q": self.q}

    def value(self, u: float) -> float:
        drawn = self.min_value + u * (self.max_value - self.min_value)
        if self.is_log:
            drawn = math.exp(drawn)
        if self.q is None:
            return min(max(float(drawn), self.low), self.high)
        first, last = self.multiples
        return multiple(self.q, min(max(round(drawn / self.q), first), last))

    def contains(self, value: Any) -> bool:
        if not is_number(value):
            return False
        if self.q is None:
            return bool(self.low <= value <= self.high)
        first, last = self.multiples
        index = nearest_multiple(value, self.q)
        return first <= index <= last and math.isclose(value, multiple(self.q, index))

    def grid_size(self) -> int | None:
        if self.q is None:
            return None
        first, last = self.multiples
        return last - first + 1

    def put_grid(self, name: str, index: int, params: dict[str, Any]) -> None:
        if self.q is None:
            return super().put_grid(name, index, params)
        params[name] = multiple(self.q, self.multiples[0] + index)
        return None


@dataclass(frozen=True)
class Normal(Scalar):
    """normal, lognormal, and with `q` qnormal, qlognormal: mean `mu`, standard deviation `sigma`.

    is_log: mu and sigma are those of the value's logarithm.
    q: values are multiples of it, whole numbers where q is one.
    """

    mu: float
    sigma: float
    q: float | None = None
    is_log: bool = False

    def __post_init__(self) -> None:
        if self.sigma <= 0:
            raise DistributionError("sigma", "must be greater than 0")
        low, high = (self.mu + sign * MAX_DEVIATIONS * self.sigma for sign in (-1, 1))
        if self.is_log:
            _check_exponent("sigma", low)
            _check_exponent("sigma", high)
            low, high = math.exp(low), math.exp(high)
        elif not math.isfinite(high - low):
            raise DistributionError("sigma", "is too large for a float")
        if self.q is not None:
            _check_q(self.q, low, high)

    def as_dict(self) -> dict[str, Any]:
        kind = f"{'q' if self.q is not None else ''}{'log' if self.is_log else ''}normal"
        moments = {"type": kind, "mu": self.mu, "sigma": self.sigma}
        return moments if self.q is None else {**moments, "q": self.q}

    def value(self, u: float) -> float:
        z = _STANDARD_NORMAL.inv_cdf(min(max(u, _MIN_U), _MAX_U))
        drawn = self.mu + self.sigma * z
        if self.is_log:
            drawn = math.exp(drawn)
        if self.q is None:
            return float(drawn)
        return multiple(self.q, round(drawn / self.q))

    def unit(self, value: float) -> float:
        """The u in [0, 1] at which `value` lies: the CDF, before any rounding."""
        if self.is_log:
            # qlognormal rounds to 0 what is far below q
            value = math.log(value) if value > 0 else -math.inf
        return _STANDARD_NORMAL.cdf((value - self.mu) / self.sigma)

    def contains(self, value: Any) -> bool:
        if not is_number(value) or (self.is_log and value < 0):
            return False
        if self.q is None:
            return not self.is_log or bool(value > 0)
        return math.isclose(value, multiple(self.q, nearest_multiple(value, self.q)))


def is_number(value: Any) -> bool:
    """Whether `value` is a JSON number that a float can hold; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def nearest_multiple(value: float, q: float) -> int:
    """The k for which k * q is nearest to `value`."""
    return round(min(max(value / q, -MAX_WHOLE), MAX_WHOLE))


def multiple(q: float, index: int) -> float:
    """index * q: an int where q is one, else the float nearest to the decimal product.

    3 * 0.1 is 0.3, and not the 0.30000000000000004 of binary floats.
    """
    return index * q if isinstance(q, int) else float(_decimal(q) * index)


def _decimal(value: float) -> Decimal:
    return Decimal(str(value))


def _check_exponent(key: str, exponent: float) -> None:
    if abs(exponent) > MAX_EXPONENT:
        raise DistributionError(
            key,
            f"exp({exponent:g}) is beyond what a float can hold: the arguments of log types are "
            "exponents of e, so -5 means exp(-5) = 0.0067",
        )


def _check_q(q: float, low: float, high: float) -> None:
    if q <= 0:
        raise DistributionError("q", "must be greater than 0")
    if max(abs(low), abs(high)) / q > MAX_WHOLE:
        raise DistributionError("q", f"{q:g} is too small for this range")
