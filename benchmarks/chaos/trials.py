"""`python -m benchmarks.chaos.trials`: 10,000 trials while something is killed every 2 seconds.

Ends by itself, with 0 when every trial has its one outcome and the checker has nothing to say.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import psutil
from sqlalchemy import func, select

from benchmarks.chaos.faults import FOR_TRIALS, NotHere
from benchmarks.chaos.field import Field, sweep
from benchmarks.chaos.servers import PAIRS, ROOT, open_field
from benchmarks.sweeps.report import print_table
from mlq.db.tables import events, jobs
from mlq.lifecycle import TERMINAL
from mlq.testing import invariants


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep; 0 when every promise held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.trials", description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two kills")
    parser.add_argument("--pair", choices=PAIRS, default="postgresql+redis")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--minutes", type=float, default=60, help="for the sweep to end, at most")
    options = parser.parse_args(arguments)
    os.environ["PYTHONPATH"] = str(ROOT)  # for the functions in benchmarks.sweeps.objectives
    seed = options.seed if options.seed is not None else Random().randrange(10**6)
    rng = Random(seed)
    print(f"==> {options.trials} trials on {options.pair}, seed {seed}", flush=True)
    # no trial is a command: nothing needs a warm process, which takes long to start
    with open_field(options.pair, rng, warm_modules="none") as field:
        began = time.monotonic()
        job = field.stack.submit(sweep(seed, trials=options.trials), key=f"trials-{seed}")
        kills = _disturb(field, job, rng, every_s=options.every, until=began + 60 * options.minutes)
        return _report(
            field, job, kills, seed=seed, took_s=time.monotonic() - began, options=options
        )


def _disturb(field: Field, job: str, rng: Random, *, every_s: float, until: float) -> Counter[str]:
    """Kill one thing after the other until the sweep has ended; how often which."""
    kills: Counter[str] = Counter()
    next_report = time.monotonic() + 30
    while field.stack.job(job)["state"] not in TERMINAL and time.monotonic() < until:
        time.sleep(every_s)
        fault = rng.choices(list(FOR_TRIALS), weights=list(FOR_TRIALS.values()))[0]
        try:
            fault.inject(field)
        except NotHere:
            continue
        except (psutil.Error, IndexError, TimeoutError):  # there was nothing to kill just then
            field.repair()
            continue
        kills[fault.name] += 1
        if time.monotonic() > next_report:
            next_report += 30
            print(f"    {_ended(field, job)} ended, {kills.total()} kills", flush=True)
    return kills


def _ended(field: Field, job: str) -> int:
    states = [state.value for state in TERMINAL]
    query = select(func.count()).where(
        jobs.c.parent_id == job, jobs.c.role == "trial", jobs.c.state.in_(states)
    )
    return int(field.stack.read(lambda conn: conn.scalar(query)) or 0)


def _report(
    field: Field,
    job: str,
    kills: Counter[str],
    *,
    seed: int,
    took_s: float,
    options: argparse.Namespace,
) -> int:
    def read(conn: Any) -> tuple[list[Any], list[Any]]:
        trials = conn.execute(select(jobs).where(jobs.c.parent_id == job, jobs.c.role == "trial"))
        ends = conn.execute(
            select(events.c.job_id, events.c.generation).where(
                events.c.root_id == job,
                events.c.kind.in_(("job.succeed", "job.fail", "job.cancel", "job.skip")),
            )
        )
        return trials.all(), ends.all()

    trials, ends = field.stack.read(read)
    outcomes = Counter(row.state for row in trials if row.state in TERMINAL)
    duplicates = sum(count - 1 for count in Counter(tuple(row) for row in ends).values())
    violations = invariants.audit(field.stack.database)
    total = sum(outcomes.values())
    print_table(
        ["servers", "trials", "kills", "outcomes", "succeeded", "duplicates", "lost", "charged",
         "checker", "seconds"],
        [[
            options.pair, str(options.trials), str(kills.total()), str(total),
            str(outcomes["succeeded"]), str(duplicates), str(options.trials - total),
            str(sum(row.lost_count for row in trials)),
            f"{len(violations)} violations" if violations else "silent", f"{took_s:.0f}",
        ]],
    )  # fmt: skip
    for name, count in kills.most_common():
        print(f"  {count:5d} x {name}")
    for violation in violations[:20]:
        print(f"  {violation}")
    print(f"The sweep: {field.stack.job(job)['state']}. Again: --seed {seed}.")
    return 1 if violations or duplicates or total != options.trials else 0


if __name__ == "__main__":
    sys.exit(main())
