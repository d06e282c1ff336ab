"""What a benchmark found, held against what the project promises."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_COMPARE: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Check:
    """A figure and its bound. sign: `<=` or `>=`."""

    name: str
    value: float
    sign: str
    bound: float

    @property
    def holds(self) -> bool:
        """Whether the figure keeps to its bound; one that is not a number does not."""
        return bool(_COMPARE[self.sign](self.value, self.bound))

    def as_dict(self) -> dict[str, object]:
        """For the JSON file."""
        return {
            "name": self.name,
            "value": float(self.value),
            "bound": f"{self.sign} {self.bound:g}",
            "holds": self.holds,
        }


def print_checks(checks: Sequence[Check]) -> None:
    """One line a check."""
    for check in checks:
        mark = "ok  " if check.holds else "MISS"
        print(f"{mark} {check.name}: {check.value:.4g} (wanted {check.sign} {check.bound:g})")


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as what they hold; the first to the left, the others to the right."""
    cells = [list(heads), *[list(row) for row in rows]]
    widths = [max(len(line[at]) for line in cells) for at in range(len(heads))]
    for line in cells:
        first, *others = [
            text.rjust(width) if at else text.ljust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join([first, *others]).rstrip())
