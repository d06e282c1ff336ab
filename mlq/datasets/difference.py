"""How a table differs from an earlier one: schema, rows, and the distribution of each column."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlq.datasets import drift
from mlq.datasets.columns import ColumnProfile
from mlq.datasets.profile import Profile


def compare(before: Profile, after: Profile) -> dict[str, Any]:
    """The difference as JSON.

    rows: before, after, and where both are small enough added and removed, by their content and
    whatever their order. schema: columns added, removed, and of another type. columns: for each
    that both have, what its missing share, mean and distinct values were and are, and drift:
    psi (population stability index over tenths of `before`, or over its values), for numbers ks
    (two-sample Kolmogorov-Smirnov statistic), and a word: none, moderate or large.
    """
    common = [name for name in before.columns if name in after.columns]
    added, removed = _compare_rows(before, after)
    return {
        "rows": {
            "before": before.rows,
            "after": after.rows,
            "added": added,
            "removed": removed,
        },
        "schema": {
            "added": [name for name in after.columns if name not in before.columns],
            "removed": [name for name in before.columns if name not in after.columns],
            "changed": [
                {"name": n, "before": before.columns[n].kind, "after": after.columns[n].kind}
                for n in common
                if before.columns[n].kind != after.columns[n].kind
            ],
        },
        "columns": [_compare(before.columns[name], after.columns[name]) for name in common],
    }


def _compare_rows(before: Profile, after: Profile) -> tuple[int | None, int | None]:
    if before.row_hashes is None or after.row_hashes is None:
        return None, None
    if set(before.columns) != set(after.columns):
        return None, None
    old, old_counts = np.unique(np.concatenate(before.row_hashes), return_counts=True)
    new, new_counts = np.unique(np.concatenate(after.row_hashes), return_counts=True)
    _, at_old, at_new = np.intersect1d(old, new, assume_unique=True, return_indices=True)
    kept = int(np.minimum(old_counts[at_old], new_counts[at_new]).sum())
    return after.rows - kept, before.rows - kept


def _compare(before: ColumnProfile, after: ColumnProfile) -> dict[str, Any]:
    record: dict[str, Any] = {"name": before.name, "type": after.kind or "empty"}
    one, two = before.view(), after.view()
    for key in ("missing_share", "distinct", "mean", "min", "max"):
        if key in one and key in two:
            record[key] = {"before": one[key], "after": two[key]}
    psi = ks = None
    if before.kind == after.kind == "number" and before.finite and after.finite:
        psi = drift.stability_of_numbers(before.sample, after.sample)
        ks = drift.kolmogorov(before.sample, after.sample)
    elif before.kind == after.kind and before.values and after.values:
        psi = drift.stability_of_counts(before.values, after.values)
    if psi is not None:
        record["psi"] = round(psi, 6)
    if ks is not None:
        record["ks"] = round(ks, 6)
    record["drift"] = None if psi is None else drift.word_of(psi)
    return record
