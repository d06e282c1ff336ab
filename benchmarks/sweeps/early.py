"""How many fits a Bayesian sweep with median stopping needs to come near a full grid's best.

A fit is one fold of one trial. The sweep stops at 99 % of the grid's best score, and every fold
that it began counts, those of trials that were stopped early included.
"""

from __future__ import annotations

import io
import math
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.datasets import load_diabetes, load_digits

from benchmarks.sweeps.problems import spread
from benchmarks.sweeps.report import Check, print_table
from benchmarks.sweeps.system import Run, System, running_system

SHARE_OF_BEST = 0.99
MAX_SHARE_OF_FITS = 1 / 3
SEEDS = (1, 2, 3, 4, 5)
_FOLDS = 5
_SIDE = 12


@dataclass(frozen=True, slots=True)
class Case:
    """A dataset of scikit-learn, and 10**low … 10**high of two parameters of a machine."""

    name: str
    bunch: Any
    estimator: str
    ranges: Mapping[str, tuple[float, float]]
    metric: str


def make_cases() -> list[Case]:
    """Two datasets with grids in which good points are rare."""
    return [
        Case("digits", load_digits(), "SVC", {"C": (-4, 2), "gamma": (-4, 4)}, "accuracy"),
        Case("diabetes", load_diabetes(), "SVR", {"C": (-3, 4), "gamma": (-4, 4)}, "r2"),
    ]


def run(*, is_quick: bool = False) -> dict[str, Any]:
    """Measure; prints a table and returns all figures."""
    seeds = SEEDS[:2] if is_quick else SEEDS
    rows, figures, checks = [], {}, []
    with (
        tempfile.TemporaryDirectory(prefix="mlq-bench-") as folder,
        running_system(Path(folder)) as system,
    ):
        for case in make_cases():
            data = _upload(case, system)
            grid = system.run(_grid(case, data))
            best = float(grid.row["value"])
            full = _count_fits(grid, case, system)
            # each alone on a slot, so that its seed decides what it tries
            begun = [
                system.submit(_bayesian(case, data, best, seed=seed, trials=_SIDE**2))
                for seed in seeds
            ]
            found = [system.wait(*one) for one in begun]
            fits = [_count_fits(one, case, system) for one in found]
            reached = [one.row["reason"] == "target" for one in found]
            share = statistics.mean(fits) / full
            figures[case.name] = {
                "grid_best": best,
                "grid_fits": full,
                "fits": fits,
                "reached": reached,
            }
            checks += [
                Check(f"{case.name}: share of the grid's fits", share, "<=", MAX_SHARE_OF_FITS),
                Check(f"{case.name}: sweeps that got there", sum(reached), ">=", len(seeds)),
            ]
            rows.append(
                [
                    case.name,
                    f"{best:.4f}",
                    str(full),
                    " ".join(str(count) for count in fits),
                    f"{share:.3f}",
                ]
            )
    print("\nFits until 99 % of the full grid's best: bayesian with median stopping, by seed.")
    print_table(["", "grid's best", "grid's fits", "fits", "share"], rows)
    return {"figures": figures, "checks": checks}


def _upload(case: Case, system: System) -> dict[str, str]:
    frame = pd.DataFrame(
        case.bunch.data, columns=[f"f{n}" for n in range(case.bunch.data.shape[1])]
    )
    buffer = io.BytesIO()
    frame.assign(target=case.bunch.target).to_parquet(buffer)
    return system.upload(f"bench-{case.name}", buffer.getvalue(), file_name="data.parquet")


def _document(case: Case, data: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "sweep",
        "trial": "mlq:train",
        "inputs": {
            "data": dict(data),
            "target": "target",
            "estimator": f"sklearn.svm.{case.estimator}",
            "cv": _FOLDS,
        },
        "objective": {"primary_metric": case.metric, "goal": "maximize"},
    }


def _grid(case: Case, data: Mapping[str, str]) -> dict[str, Any]:
    return {
        **_document(case, data),
        "search_space": {
            name: {"type": "choice", "values": spread(low, high, _SIDE)}
            for name, (low, high) in case.ranges.items()
        },
        "sampling_algorithm": "grid",
        "limits": {"max_concurrent_trials": 2},
    }


def _bayesian(
    case: Case, data: Mapping[str, str], best: float, *, seed: int, trials: int
) -> dict[str, Any]:
    document = _document(case, data)
    document["objective"]["target"] = SHARE_OF_BEST * best
    return {
        **document,
        "search_space": {
            name: {
                "type": "loguniform",
                "min_value": low * math.log(10),
                "max_value": high * math.log(10),
            }
            for name, (low, high) in case.ranges.items()
        },
        "sampling_algorithm": {"type": "bayesian", "seed": seed},
        "early_termination": {
            "type": "median_stopping",
            "evaluation_interval": 1,
            "delay_evaluation": 1,
        },
        "limits": {"max_total_trials": trials, "max_concurrent_trials": 1},
    }


def _count_fits(run: Run, case: Case, system: System) -> int:
    """Folds that were fitted: all of a trial that came to its end, else as many as it reported."""
    trials = run.trials()
    steps = system.steps([row["id"] for row in trials], key=case.metric)
    return sum(
        _FOLDS if row["state"] == "succeeded" else len(steps.get(row["id"], ())) for row in trials
    )
