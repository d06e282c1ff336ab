"""How fast `POST /v1/jobs` is: a linear 5-step pipeline, no workers, load generator included.

    python -m benchmarks.submit [--seconds 10] [--json FILE]

SQLite always; PostgreSQL of MLQ_TEST_DATABASE_URL, else the embedded server with fsync.
Prints the median on one connection, then what 16 connections get accepted in the given time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httptools
import psutil
import uvloop

from mlq.db.engine import Database
from mlq.db.migrate import upgrade
from mlq.onemachine import ports
from mlq.service import tokens
from tests.servers import EmbeddedPostgres, Postgres, Valkey, wait_until

STEPS = 5
CONNECTIONS = 16
DOCUMENT = json.dumps(
    {
        "type": "pipeline",
        "display_name": "linear",
        "jobs": {
            f"s{number}": {
                "type": "command",
                "command": "true",
                "inputs": {"after": f"${{{{parent.jobs.s{number - 1}.outputs.out}}}}"}
                if number
                else {},
                "outputs": {"out": {"type": "uri_file"}},
            }
            for number in range(STEPS)
        },
    }
).encode()


class Connection(asyncio.Protocol):
    """A keep-alive connection that costs the load generator as little as one can."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._answered: asyncio.Future[int] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        assert self._answered is not None
        self._answered.set_result(self._parser.get_status_code())

    async def post(self) -> tuple[int, float]:
        """Send the request; the status, and the seconds until the answer was whole."""
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        self._transport.write(self._request)
        status = await self._answered
        return status, time.perf_counter() - started


async def _connect(port: int, token: str) -> Connection:
    request = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(DOCUMENT)}\r\n\r\n"
    ).encode() + DOCUMENT
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(request), ports.LOOPBACK, port)
    return connection


async def measure(port: int, token: str, *, seconds: float, api: psutil.Process) -> dict[str, Any]:
    """One connection for a third of `seconds`, then 16 for all of it. Times in milliseconds.

    cpu_ms: processor time of the API for one job, which a busy machine hardly changes.
    """
    alone = await _run(port, token, connections=1, seconds=seconds / 3)
    before = sum(api.cpu_times()[:2])
    together = await _run(port, token, connections=CONNECTIONS, seconds=seconds)
    spent = sum(api.cpu_times()[:2]) - before
    return {
        "median_ms": _percentile(alone, 50),
        "p99_ms": _percentile(alone, 99),
        "accepted_per_s_16": round(len(together) / seconds, 1),
        "median_ms_16": _percentile(together, 50),
        "p99_ms_16": _percentile(together, 99),
        "cpu_ms": round(spent / (len(together) + CONNECTIONS) * 1000, 2),
    }


async def _run(port: int, token: str, *, connections: int, seconds: float) -> list[float]:
    """Latencies, in seconds, of what was answered 201 within the time."""
    opened = [await _connect(port, token) for _ in range(connections)]
    for connection in opened:
        await connection.post()  # warm
    deadline = time.perf_counter() + seconds
    taken: list[float] = []

    async def submit(connection: Connection) -> None:
        while time.perf_counter() < deadline:
            status, took = await connection.post()
            if status != 201:
                raise SystemExit(f"answered {status}")
            taken.append(took)

    await asyncio.gather(*(submit(connection) for connection in opened))
    return taken


def _percentile(values: list[float], percent: int) -> float:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return round(cuts[percent - 1] * 1000, 2)


@contextmanager
def running_api(database_url: str, broker_url: str) -> Iterator[tuple[int, str, psutil.Process]]:
    """The API as a process of its own; yields its port, an admin token and the process."""
    upgrade(database_url)
    database = Database.open(database_url)
    token = secrets.token_urlsafe(32)
    with database.write() as conn:
        tokens.adopt(conn, token, name="benchmark", role="admin", actor="benchmark")
    database.close()
    port = ports.find_free_port()
    with tempfile.TemporaryDirectory(prefix="mlq-bench-") as home:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MLQ_")},
            "MLQ_HOME": home,
            "MLQ_DATABASE_URL": database_url,
            "MLQ_BROKER_URL": broker_url,
            "MLQ_PORT": str(port),
        }
        process = subprocess.Popen([sys.executable, "-m", "mlq_api"], env=environment)
        try:
            wait_until(lambda: _is_ready(port), what="the API answers")
            yield port, token, psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{ports.LOOPBACK}:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def main() -> None:
    """Measure on each database; print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="mlq-bench-") as folder:
        valkey = Valkey(Path(folder) / "valkey")
        given = os.environ.get("MLQ_TEST_DATABASE_URL")
        server = Postgres(given, durable=True) if given else EmbeddedPostgres(durable=True)
        try:
            for name, url in (
                ("sqlite", f"sqlite:///{folder}/mlq.db"),
                ("postgresql", server.create()),
            ):
                with running_api(url, valkey.url) as (port, token, api):
                    results[name] = uvloop.run(
                        measure(port, token, seconds=arguments.seconds, api=api)
                    )
        finally:
            server.close()
            valkey.close()
    columns = ["median_ms", "p99_ms", "accepted_per_s_16", "median_ms_16", "p99_ms_16", "cpu_ms"]
    print(f"{'':12}" + "".join(f"{column:>20}" for column in columns))
    for name, figures in results.items():
        print(f"{name:12}" + "".join(f"{figures[column]:>20}" for column in columns))
    text = json.dumps(results, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
