"""Whether two sweeps and a pipeline that start together share two slots.

Each of the three may use both. Counted are the seconds of trials while both sweeps run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.sweeps.report import Check, print_table
from benchmarks.sweeps.system import Run, running_system

MAX_DIFFERENCE = 0.2
#: A slot is handed on after a time slice of 2 s; a step waits for the next slot to come free.
MAX_WAIT_S = 5.0
TRIAL_S = 0.05
STEP_S = 0.5
_STEPS = 4


def run(*, is_quick: bool = False) -> dict[str, Any]:
    """Measure; prints a table and returns all figures."""
    seconds = 15 if is_quick else 60
    with (
        tempfile.TemporaryDirectory(prefix="mlq-bench-") as folder,
        running_system(Path(folder)) as system,
    ):
        system.run(_sweep(20))  # warm
        documents = [_sweep(int(seconds / TRIAL_S)), _sweep(int(seconds / TRIAL_S)), _pipeline()]
        begun = [system.submit(document) for document in documents]
        one, other, pipeline = (system.wait(*submitted) for submitted in begun)
    began = max(sweep.submitted_at for sweep in (one, other))
    ended = min(_last_end(sweep) for sweep in (one, other))
    shares = [_seconds_between(sweep, began, ended) for sweep in (one, other)]
    difference = abs(shares[0] - shares[1]) / max(shares)
    steps = [pipeline.tree[f"s{number}"] for number in range(_STEPS)]
    waits = [(row["started_at"] - row["queued_at"]).total_seconds() for row in steps]
    print(f"\nTwo sweeps of {TRIAL_S:g} s trials and a pipeline of {_STEPS} steps on two slots.")
    print_table(
        ["", "trial-seconds in common", "share"],
        [
            [f"sweep {name}", f"{share:.1f}", f"{share / sum(shares):.3f}"]
            for name, share in zip("AB", shares, strict=True)
        ],
    )
    print(
        f"Both ran for {ended - began:.1f} s; the pipeline's steps waited "
        + ", ".join(f"{wait:.2f}" for wait in waits)
        + " s for a slot."
    )
    return {
        "figures": {"trial_seconds": shares, "common_s": ended - began, "waits_s": waits},
        "checks": [
            Check("difference between two sweeps", difference, "<=", MAX_DIFFERENCE),
            Check("longest wait of a step, s", max(waits), "<=", MAX_WAIT_S),
        ],
    }


def _sweep(count: int) -> dict[str, Any]:
    uniform = {"type": "uniform", "min_value": -1, "max_value": 1}
    return {
        "type": "sweep",
        "trial": "mlq:call",
        "inputs": {"function": "benchmarks.sweeps.objectives:bowl", "seconds": TRIAL_S},
        "search_space": {"x": uniform, "y": uniform},
        "sampling_algorithm": "random",
        "objective": {"primary_metric": "value", "goal": "minimize"},
        "limits": {"max_total_trials": count, "max_concurrent_trials": 2},
    }


def _pipeline() -> dict[str, Any]:
    """Steps one after the other."""
    jobs: dict[str, Any] = {}
    for number in range(_STEPS):
        given: dict[str, Any] = {
            "function": "benchmarks.sweeps.objectives:step",
            "seconds": STEP_S,
        }
        if number:
            given["after"] = f"${{{{parent.jobs.s{number - 1}.outputs.result}}}}"
        jobs[f"s{number}"] = {"component": "mlq:call", "inputs": given}
    return {"type": "pipeline", "jobs": jobs}


def _last_end(run: Run) -> float:
    return float(max(row["finished_at"].timestamp() for row in run.trials()))


def _seconds_between(run: Run, began: float, ended: float) -> float:
    """Seconds of its trials that lie between two times."""
    total = sum(
        max(
            0.0,
            min(ended, row["finished_at"].timestamp()) - max(began, row["started_at"].timestamp()),
        )
        for row in run.trials()
    )
    return float(total)
