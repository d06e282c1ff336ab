"""Sweeps beside other tools, and what they promise: `make bench-sweeps`.

    python -m benchmarks.sweeps [throughput|equal|many|early|fair …] [--rounds 5] [--peers]

All of them without a name. One thread per process for BLAS and OpenMP, two processes, SQLite and
an embedded Valkey. Exit code 1 when a promise is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

NAMES = ("throughput", "equal", "many", "early", "fair")
SIZES = ("7ms", "100ms", "2s")


def main() -> int:
    """Run what is named, print tables, write all figures as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", choices=NAMES, default=[], help="all of them by default"
    )
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/sweeps.json"))
    parser.add_argument("--rounds", type=int, default=5, help="of throughput")
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=[], help="of throughput")
    parser.add_argument("--peers", action="store_true", help="throughput of Optuna, Ray, Dask too")
    parser.add_argument("--quick", action="store_true", help="fewer trials, for trying it out")
    options = parser.parse_args()
    _limit_threads()
    from benchmarks.sweeps.report import print_checks

    results: dict[str, Any] = {}
    checks = []
    for name in options.names or NAMES:
        found = _run(name, options)
        checks += found["checks"]
        results[name] = {**found, "checks": [check.as_dict() for check in found["checks"]]}
        print()
        print_checks(found["checks"])
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nAll figures: {options.json}")
    return 0 if all(check.holds for check in checks) else 1


def _limit_threads() -> None:
    """One thread for all children, and for this process, which has loaded no numpy yet."""
    from mlq_workers.resources import thread_limits

    os.environ.update(thread_limits(1))


def _run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.sweeps import early, equal, fair, many, throughput

    if name == "throughput":
        return throughput.run(
            rounds=options.rounds,
            is_quick=options.quick,
            with_peers=options.peers,
            only=options.sizes,
        )
    runs = {"equal": equal.run, "many": many.run, "early": early.run, "fair": fair.run}
    return runs[name](is_quick=options.quick)


if __name__ == "__main__":
    sys.exit(main())
