"""Measures of how far a distribution has moved from an earlier one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_BINS = 10
#: A share that no bin is below, so that an empty one does not make the index infinite.
_FLOOR = 1e-4
#: The usual reading of the population stability index.
MODERATE, LARGE = 0.1, 0.25
#: Cochran's rule: bins in which fewer are expected are counted together.
_EXPECTED = 5

Array = np.ndarray[Any, Any]


def stability(before: Array, after: Array) -> float:
    """The population stability index (PSI) of two distributions over the same bins.

    before, after: shares or counts, shape (bins,). With shares b and a it is the sum of
    (a - b) * ln(a / b), 0 for equal ones; a share below 1e-4 counts as that. Without any change it
    is about (bins - 1) * (1 / n + 1 / m) for n and m values, so that few values look like drift.

    Sources: N. Siddiqi, Credit Risk Scorecards, Wiley 2006 (formula and the limits 0.1 and 0.25);
    B. Yurdakul, Statistical Properties of Population Stability Index, Western Michigan University
    2018 (its distribution).
    """
    old = np.maximum(before / before.sum(), _FLOOR)
    new = np.maximum(after / after.sum(), _FLOOR)
    return float(((new - old) * np.log(new / old)).sum())


def stability_of_numbers(before: Array, after: Array) -> float:
    """The PSI over tenths of `before`. Arrays of finite numbers, none of them empty."""
    inner = np.unique(np.quantile(before, np.arange(1, _BINS) / _BINS))
    old, new = (
        np.bincount(np.searchsorted(inner, values, side="left"), minlength=len(inner) + 1)
        for values in (before, after)
    )
    return stability(old, new)


def stability_of_counts(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """The PSI over values. Counts of each, none of them empty."""
    names = sorted(before.keys() | after.keys())
    old, new = (np.array([counts.get(name, 0) for name in names]) for counts in (before, after))
    return stability(old, new)


def kolmogorov(before: Array, after: Array) -> float:
    """The two-sample Kolmogorov-Smirnov statistic: the largest gap of the distributions, 0 to 1."""
    old, new = np.sort(before), np.sort(after)
    places = np.concatenate([old, new])
    below_old = np.searchsorted(old, places, side="right") / len(old)
    below_new = np.searchsorted(new, places, side="right") / len(new)
    return float(np.abs(below_old - below_new).max())


def chance_of_gap(statistic: float, *, before: int, after: int) -> float:
    """The p-value of a Kolmogorov-Smirnov statistic of so many values, as their number grows."""
    from scipy.special import kolmogorov as survival

    return float(survival(statistic * math.sqrt(before * after / (before + after))))


def chi_square(before: Array, after: Array) -> tuple[float, float]:
    """The chi-square test of homogeneity: statistic and p-value.

    before, after: counts, shape (bins,). Bins with fewer than 5 expected are counted together;
    (0, 1) where fewer than two are left.
    """
    from scipy.stats import chi2_contingency

    both = np.stack([before, after]).astype(float)
    expected = both.sum(axis=0) * both.sum(axis=1).min() / both.sum()
    rare = expected < _EXPECTED
    table = np.column_stack([both[:, ~rare], both[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 0.0, 1.0
    found = chi2_contingency(table, correction=False)
    return float(found.statistic), float(found.pvalue)


def word_of(psi: float) -> str:
    """How a stability index is usually read: none, moderate or large."""
    return "large" if psi > LARGE else "moderate" if psi > MODERATE else "none"
