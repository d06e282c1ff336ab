"""What `mlq up` costs while nobody uses it: memory of every process, and seconds to its address.

    python -m benchmarks.idle [--json FILE] [ARGUMENTS OF mlq up …]

Memory is PSS, the share of each page that a process would free by ending, so that what forked
processes share counts once. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mlq.onemachine.ports import find_free_port
from mlq.onemachine.processes import descendants, die_with_parent

LIMIT_MB = 500.0
#: Memory counts as settled when it moved less than this for the time below.
_STEADY_MB = 1.0
_STEADY_S = 3.0
_SETTLE_TIMEOUT_S = 60.0


def read_pss_mb(pid: int) -> float:
    """Proportional set size of a process in MB (2**20 bytes); 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def read_command(pid: int) -> str:
    """What a process runs, shortened to what tells it apart."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "ended"
    line = " ".join(word for word in words if word)
    line = line.removeprefix(sys.executable).replace(" -P -m ", "").strip()
    return line if len(line) <= 58 else line[:57] + "…"


def measure(root: int) -> list[tuple[float, int, str]]:
    """(PSS in MB, pid, command) of `root` and everything below it, largest first."""
    pids = [root, *descendants(root)]
    return sorted(((read_pss_mb(pid), pid, read_command(pid)) for pid in pids), reverse=True)


def settle(root: int) -> list[tuple[float, int, str]]:
    """Measure until the sum stands still: workers import after the address is printed."""
    started = steady_since = time.monotonic()
    rows = measure(root)
    level = sum(row[0] for row in rows)
    while time.monotonic() - started < _SETTLE_TIMEOUT_S:
        time.sleep(0.5)
        rows = measure(root)
        total = sum(row[0] for row in rows)
        if abs(total - level) > _STEADY_MB:
            level, steady_since = total, time.monotonic()
        elif time.monotonic() - steady_since >= _STEADY_S:
            break
    return rows


def start(home: Path, arguments: list[str]) -> tuple[subprocess.Popen[str], float]:
    """Start `mlq up` on `home`; the process and the seconds until it printed its address."""
    command = [sys.executable, "-P", "-m", "mlq.cli", "up", "-o", "json"]
    command += ["--port", str(find_free_port()), *arguments]
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        env={**os.environ, "MLQ_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"mlq up ended with code {process.wait()}")
    return process, time.monotonic() - began


def stop(process: subprocess.Popen[str]) -> float:
    """Stop it in order; the seconds that took."""
    began = time.monotonic()
    process.terminate()
    process.wait(timeout=60)
    return time.monotonic() - began


def main() -> int:
    """Measure a cold and a warm start and the idle memory; exit code 1 above the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    given, arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="mlq-idle-") as folder:
        process, cold_s = start(Path(folder), arguments)
        stop(process)
        process, warm_s = start(Path(folder), arguments)
        try:
            rows = settle(process.pid)
        finally:
            stop_s = stop(process)
    total = sum(row[0] for row in rows)
    print(f"{'PSS MB':>8}  process")
    for pss, _, command in rows:
        print(f"{pss:8.1f}  {command}")
    print(f"{total:8.1f}  in all, {len(rows)} processes (promise: below {LIMIT_MB:g})")
    print(f"ready after {cold_s:.1f} s cold, {warm_s:.1f} s warm; stopped in {stop_s:.1f} s")
    if given.json:
        numbers = {
            "pss_mb": round(total, 1),
            "processes": [{"pss_mb": round(pss, 1), "command": name} for pss, _, name in rows],
            "cold_start_s": round(cold_s, 2),
            "warm_start_s": round(warm_s, 2),
            "stop_s": round(stop_s, 2),
        }
        given.json.write_text(json.dumps(numbers, indent=2) + "\n")
    return 0 if total < LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
