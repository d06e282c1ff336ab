"""What a warm start saves: the same script 50 times, executed and started warm, in turns.

    python -m benchmarks.warm [--trials N] [--json FILE]

Both go through the worker's own runner, with guard, log and limits. `start_ratio`
leaves out the script's work, which is timed by running its body in a process that has imported
everything; the promise is of `wall_ratio`, the work included. Ends with exit code 1 when a warm
trial costs more than a tenth of an executed one, or when any output differs in a byte.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlq_workers.runner import CommandSpec, WarmStarts, command_environment, run_command
from mlq_workers.runner.warm import DEFAULT_MODULES

SCRIPT = Path(__file__).with_name("script.py")
PROMISE = 0.1


def run(folder: Path, number: int, warm: WarmStarts | None) -> tuple[float, bytes, bytes]:
    """(wall time in seconds, what it printed, what it wrote) of one trial."""
    out = folder / "out.csv"
    out.unlink(missing_ok=True)
    said: list[bytes] = []
    began = time.perf_counter()
    outcome = run_command(
        CommandSpec(
            command=f"python {SCRIPT} --c {0.01 * (number + 1):.2f} --out out.csv", cwd=folder
        ),
        on_log=lambda stream, chunk: said.append(chunk),
        on_start=lambda pid: None,
        should_stop=lambda: None,
        warm=warm,
    )
    wall_s = time.perf_counter() - began
    if outcome.reason is not None:
        sys.exit(f"the script failed: {outcome.last_lines}")
    return wall_s, b"".join(said), out.read_bytes()


def measure_work(folder: Path) -> float:
    """Seconds of the script's own work: its body in this process, after its imports."""
    code = compile(SCRIPT.read_text(), str(SCRIPT), "exec")
    argv, times = sys.argv, []
    sys.argv = ["script.py", "--c", "1", "--out", str(folder / "work.csv")]
    silent: Callable[..., None] = lambda *args: None  # noqa: E731
    for _ in range(6):
        began = time.perf_counter()
        exec(code, {"__name__": "__main__", "print": silent})
        times.append(time.perf_counter() - began)
    sys.argv = argv
    return statistics.median(times[1:])


def measure(trials: int) -> dict[str, Any]:
    """Wall times of both ways, interleaved; medians in seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(SCRIPT, folder)
        work_s = measure_work(folder)
        warm = WarmStarts(DEFAULT_MODULES, base=command_environment({}, tmp=folder))
        began = time.perf_counter()
        if not warm.wait_until_ready(120):
            sys.exit("nothing can be started warm here")
        prepared_s = time.perf_counter() - began
        executed: list[float] = []
        warmed: list[float] = []
        same = True
        try:
            for number in range(trials):
                one, *cold_output = run(folder, number, None)
                other, *warm_output = run(folder, number, warm)
                executed.append(one)
                warmed.append(other)
                same = same and cold_output == warm_output
        finally:
            warm.close()
    cold, hot = statistics.median(executed), statistics.median(warmed)
    return {
        "trials": trials,
        "python": platform.python_version(),
        "work_s": work_s,
        "prepare_s": prepared_s,
        "executed_s": cold,
        "warm_s": hot,
        "wall_ratio": hot / cold,
        "start_ratio": max(0.0, hot - work_s) / (cold - work_s),
        "outputs_are_the_same": same,
        "all_executed_s": executed,
        "all_warm_s": warmed,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warm")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/warm.json"))
    options = parser.parse_args()
    found = measure(options.trials)
    for name, value in found.items():
        if not name.startswith("all_"):
            print(
                f"{name:>21}  {value:.4f}" if isinstance(value, float) else f"{name:>21}  {value}"
            )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=2))
    kept = found["outputs_are_the_same"] and found["wall_ratio"] <= PROMISE
    print(f"promise: a warm trial costs at most {PROMISE:g} of an executed one: {kept}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
