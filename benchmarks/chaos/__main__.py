"""`python -m benchmarks.chaos`: the fault matrix as a table; exits with 1 when a promise broke."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from random import Random

from benchmarks.chaos.faults import MATRIX, Fault, NotHere
from benchmarks.chaos.field import Field, Tally, probe, settle, submit_load
from benchmarks.chaos.servers import PAIRS, ROOT, open_field
from benchmarks.sweeps.report import print_table
from tests.servers import ServerUnavailable

_HEAD = (
    "servers", "fault", "runs", "faults", "accepted", "outcomes", "duplicates", "lost",
    "not succeeded", "charged", "worst recovery s",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix; 0 when every promise held."""
    options = _parse(arguments)
    os.environ["PYTHONPATH"] = str(ROOT)  # for the functions in benchmarks.sweeps.objectives
    seed = options.seed if options.seed is not None else Random().randrange(10**6)
    until = time.monotonic() + 60 * options.minutes if options.minutes else None
    rows: list[tuple[str, str, int, Tally]] = []
    skipped: list[tuple[str, str, str]] = []
    rounds = 0
    while rounds == 0 or (until is not None and time.monotonic() < until):
        for pair in options.pairs:
            print(f"==> {pair}, seed {seed + rounds}", flush=True)
            try:
                _run_pair(pair, Random(f"{seed + rounds}/{pair}"), options, rows, skipped)
            except ServerUnavailable as reason:
                skipped.append((pair, "all", str(reason)))
        rounds += 1
    _print(rows, skipped)
    broken = [row for row in rows if not row[3].is_well]
    print(f"\nSeed {seed}; the same order of faults again: --seed {seed}. ", end="")
    print(f"{len(rows) - len(broken)} of {len(rows)} rows kept every promise.")
    return 1 if broken or not rows else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument(
        "--seed", type=int, help="order and moments of the faults; random if left out"
    )
    parser.add_argument("--slice", action="store_true", help="the short run")
    parser.add_argument("--minutes", type=float, help="again and again, for so long: a soak")
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=None)
    parser.add_argument("--only", nargs="+", help="rows whose name holds one of these")
    options = parser.parse_args(arguments)
    if options.pairs is None:
        options.pairs = PAIRS[:1] if options.slice else PAIRS
    return options


def _run_pair(
    pair: str,
    rng: Random,
    options: argparse.Namespace,
    rows: list[tuple[str, str, int, Tally]],
    skipped: list[tuple[str, str, str]],
) -> None:
    faults = [fault for fault in MATRIX if fault.is_in_slice or not options.slice]
    if options.only:
        faults = [fault for fault in faults if any(word in fault.name for word in options.only)]
    rng.shuffle(faults)
    with open_field(pair, rng) as field:
        for fault in faults:
            tally = Tally()
            try:
                _try(field, fault, tally, times=1 if options.slice else fault.times)
            except NotHere as reason:
                skipped.append((pair, fault.name, str(reason)))
            except Exception as error:
                tally.violations.append(f"{type(error).__name__}: {error}")
                field.repair()
            if tally.faults or tally.violations:
                rows.append((pair, fault.name, 1, tally))
                mark = "ok  " if tally.is_well else "FAIL"
                print(f"  {mark} {fault.name}: {tally.worst_recovery_s:.1f} s", flush=True)
            for violation in tally.violations:
                print(f"       {violation}", flush=True)


def _try(field: Field, fault: Fault, tally: Tally, *, times: int) -> None:
    for _ in range(times):
        submit_load(field, tally)
        time.sleep(field.rng.uniform(0.2, 1.2))
        fault.inject(field)
        tally.faults += 1
        probe(field, tally, since=time.monotonic())
    settle(field, tally)
    if not fault.burns and tally.charged:
        tally.violations.append(f"{tally.charged} attempts were charged for it")


def _print(
    rows: Sequence[tuple[str, str, int, Tally]], skipped: Sequence[tuple[str, str, str]]
) -> None:
    merged: dict[tuple[str, str], list[Tally]] = {}
    for pair, name, _, tally in rows:
        merged.setdefault((pair, name), []).append(tally)
    print_table(
        list(_HEAD),
        [
            [
                pair,
                name,
                str(len(tallies)),
                *(
                    str(sum(values))
                    for values in (
                        [one.faults for one in tallies],
                        [len(one.accepted) for one in tallies],
                        [one.outcomes for one in tallies],
                        [one.duplicates for one in tallies],
                        [one.lost for one in tallies],
                        [one.unsuccessful for one in tallies],
                        [one.charged for one in tallies],
                    )
                ),
                f"{max(one.worst_recovery_s for one in tallies):.1f}",
            ]
            for (pair, name), tallies in merged.items()
        ],
    )
    for pair, name, reason in skipped:
        print(f"skipped: {pair}, {name}: {reason}")


if __name__ == "__main__":
    sys.exit(main())
