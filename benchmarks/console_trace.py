"""Whether the console stays quick under the hand: a 400-step diagram and a 5,000-trial sweep.

    python -m benchmarks.console_trace [--steps 400] [--trials 5000]

A real Chromium (CHROMIUM, else /usr/bin/chromium) on a real API with PostgreSQL, driven by
api/web/scripts/trace.mjs, which pans, zooms, selects, hovers, brushes, scrolls and types. Prints
for each page how long the longest task of the page's thread was, in ms, while it loaded and after.
The aim is that none after the load is over 200 ms. Needs `make console`.
The first figure is time on a processor, which other work on the machine does not change.
TRACES=FOLDER keeps the traces.
"""

from __future__ import annotations

import argparse
import random
import subprocess
from typing import Any

from sqlalchemy import Connection, insert, select, update

from benchmarks.console import WEB, running_api
from mlq.db.tables import jobs, latest_metrics
from mlq.ids import new_id
from mlq.service import tokens

WIDTH = 20
PARAMS = 8


def wide_pipeline(steps: int) -> dict[str, Any]:
    """Layers of WIDTH steps, each of which waits for two of the layer before."""
    made: dict[str, Any] = {}
    for number in range(steps):
        layer, place = divmod(number, WIDTH)
        before = {place, (place * 7 + 3) % WIDTH} if layer else set()
        made[f"s{number}"] = {
            "type": "command",
            "command": "true",
            "inputs": {
                f"in{index}": f"${{{{parent.jobs.s{(layer - 1) * WIDTH + one}.outputs.out}}}}"
                for index, one in enumerate(sorted(before))
            },
            "outputs": {"out": {"type": "uri_file"}},
        }
    return {"type": "pipeline", "display_name": "wide", "jobs": made}


def sweep() -> dict[str, Any]:
    """A sweep over PARAMS numbers."""
    space = {
        f"p{index}": {"type": "uniform", "min_value": 0, "max_value": 1} for index in range(PARAMS)
    }
    return {
        "type": "sweep",
        "display_name": "long",
        "trial": {"command": "true"},
        "search_space": space,
        "sampling_algorithm": "random",
        "objective": {"primary_metric": "score", "goal": "maximize"},
        "limits": {"max_total_trials": 100_000},
    }


def add_trials(conn: Connection, sweep_id: str, count: int, *, rng: random.Random) -> None:
    """Store `count` trials that have succeeded, and end the sweep."""
    row = dict(conn.execute(select(jobs).where(jobs.c.id == sweep_id)).mappings().one())
    rows, measured = [], []
    for number in range(count):
        params = {f"p{index}": rng.random() for index in range(PARAMS)}
        value = params["p0"] + params["p1"] ** 2 + rng.gauss(0, 0.1)
        trial = {
            **row,
            "id": new_id(),
            "parent_id": sweep_id,
            "role": "trial",
            "type": "command",
            "is_leaf": True,
            "name": str(number),
            "path": f"trial.{number}",
            "ordinal": number,
            "params": params,
            "value": value,
            "state": "succeeded",
            "started_at": row["created_at"],
            "finished_at": row["created_at"],
            "open_children": 0,
        }
        rows.append(trial)
        measured.append({"job_id": trial["id"], "key": "score", "step": 0, "value": value})
    conn.execute(insert(jobs), rows)
    conn.execute(insert(latest_metrics), [{**one, "at": row["created_at"]} for one in measured])
    ended = {
        "state": "succeeded",
        "value": max(one["value"] for one in rows),
        "started_at": row["created_at"],
        "finished_at": row["created_at"],
    }
    conn.execute(update(jobs).where(jobs.c.id == sweep_id).values(**ended))


def main() -> None:
    """Fill, drive, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--trials", type=int, default=5000)
    options = parser.parse_args()
    with running_api() as api:
        client = api.as_role("admin")
        pipeline = client.post("/v1/jobs", json=wide_pipeline(options.steps)).raise_for_status()
        swept = client.post("/v1/jobs", json=sweep()).raise_for_status().json()["id"]
        with api.database.write() as conn:
            add_trials(conn, swept, options.trials, rng=random.Random(7))
            token = tokens.create(conn, name="trace", role="admin", actor="benchmark").token
        print(f"{options.steps} steps, {options.trials} trials; longest tasks in ms", flush=True)
        command = ["node", "scripts/trace.mjs", api.url, token, pipeline.json()["id"], swept]
        subprocess.run(command, cwd=WEB, check=True)


if __name__ == "__main__":
    main()
