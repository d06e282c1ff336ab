"""What the console's list of jobs costs the server, with many jobs in the database.

    python -m benchmarks.console [--jobs 200000] [--rounds 200] [--browser]

PostgreSQL of MLQ_TEST_DATABASE_URL (a database of its own, dropped after), else the embedded one.
Root jobs with five metrics each. Prints the median and the 95th percentile, in ms, of: the first
page, later pages, and searches (a rare name, a name that no job has, failed jobs). --browser also
asks a real Chromium (CHROMIUM, else /usr/bin/chromium) how soon the list is seen; it needs `make
console`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from sqlalchemy import text

from mlq.db.engine import Database
from mlq.db.migrate import upgrade
from mlq.db.tables import jobs
from mlq.service import tokens
from mlq.settings import Settings
from tests.integration.api.conftest import Api
from tests.servers import EmbeddedPostgres, Postgres, Valkey

WEB = Path(__file__).parents[1] / "api/web"
METRICS = 5
#: Copies of one submitted job, one a second; a uuid begins with the ms of its time (RFC 9562).
_COPY = """
INSERT INTO jobs ({columns})
SELECT {values} FROM jobs, generate_series(1, :count) AS n WHERE id = :job
"""
_ID = (
    "(lpad(to_hex(1700000000000 + n * 1000), 12, '0') || '7' || substr(md5(n::text), 1, 19))::uuid"
)
_VALUES = {
    "id": _ID,
    "root_id": _ID,
    "display_name": "CASE WHEN n % 5000 = 7 THEN 'rare ' || n ELSE 'nightly ' || (n % 50) END",
    "state": "CASE WHEN n % 100 = 3 THEN 'failed' ELSE 'succeeded' END",
    "open_children": "0",
    "created_at": "to_timestamp(1700000000 + n)",
}
_METRICS = """
INSERT INTO {table} (job_id, {attempt} key, step, value, at)
SELECT id, {one} 'metric_' || k, 0, random(), now() FROM jobs, generate_series(1, :count) AS k
"""


def fill(database: Database, job: str, count: int) -> None:
    """Copy `job` so that there are `count` more, with metrics."""
    columns = [column.name for column in jobs.columns]
    values = ", ".join(_VALUES.get(name, f"jobs.{name}") for name in columns)
    with database.write() as conn:
        copy = _COPY.format(columns=", ".join(columns), values=values)
        conn.execute(text(copy), {"count": count, "job": job})
        for table, attempt, one in (("metrics", "attempt,", "1,"), ("latest_metrics", "", "")):
            statement = _METRICS.format(table=table, attempt=attempt, one=one)
            conn.execute(text(statement), {"count": METRICS})
    with database.write() as conn:
        conn.execute(text("ANALYZE"))


def measure(name: str, ask: Callable[[int], httpx.Response], rounds: int) -> None:
    """Print what `ask` takes; a round is one request."""
    taken = []
    for number in range(rounds):
        begun = time.perf_counter()
        ask(number).raise_for_status()
        taken.append((time.perf_counter() - begun) * 1000)
    print(
        f"{name:<14} median {statistics.median(taken):7.1f} ms"
        f"   95 % {statistics.quantiles(taken, n=20)[-1]:7.1f} ms"
    )


@contextmanager
def running_api() -> Iterator[Api]:
    """An API on an empty database of PostgreSQL, and without workers; all of it gone after."""
    with tempfile.TemporaryDirectory() as home:
        given = os.environ.get("MLQ_TEST_DATABASE_URL")
        server = Postgres(given) if given else EmbeddedPostgres()
        broker = Valkey(Path(home) / "valkey")
        url = server.create()
        settings = Settings(home=Path(home) / "mlq", database_url=url, broker_url=broker.url)
        upgrade(url)
        database = Database.open(settings.database, pool_size=6)
        api = Api(settings, database)
        try:
            yield api
        finally:
            api.close()
            database.close()
            server.drop(url)
            server.close()
            broker.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--browser", action="store_true")
    options = parser.parse_args()
    with running_api() as api:
        client = api.as_role("admin")
        made = client.post("/v1/jobs", json={"type": "command", "command": "true"}).json()
        fill(api.database, made["id"], options.jobs)
        print(f"{options.jobs} jobs, {options.jobs * METRICS} metric rows, 50 a page")
        measure("first page", lambda _: client.get("/v1/jobs"), options.rounds)
        place = {"cursor": None}

        def turn(_: int) -> httpx.Response:
            answer = client.get("/v1/jobs", params=place if place["cursor"] else {})
            place["cursor"] = answer.json()["next_cursor"]
            return answer

        measure("next page", turn, options.rounds)
        for what, query in (
            ("rare name", {"name": "rare 7"}),
            ("no such name", {"name": "nothing"}),
            ("failed", {"state": "failed"}),
            ("metric > 0.9", {"where": "metric_1>0.9"}),
            ("no such value", {"where": "metric_1>2"}),
        ):
            measure(what, lambda _, q=query: client.get("/v1/jobs", params=q), 40)
        measure("words", lambda _: client.get("/v1/job-words"), 40)
        if options.browser:
            with api.database.write() as conn:
                token = tokens.create(conn, name="paint", role="admin", actor="benchmark").token
            subprocess.run(["node", "scripts/paint.mjs", api.url, token], cwd=WEB, check=True)


if __name__ == "__main__":
    main()
