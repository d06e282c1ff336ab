"""What the platform costs per step, beside the same tasks as bare Celery: `make bench`.

In one run, on one broker, with two prefork slots each and the same events setting:

- latency: one line of five no-op steps, from submit until its end is known, median;
- throughput: 200 such lines, submitted while no worker consumes, drained; steps per second;
- fan-out: 200 no-op steps and their join.

A bare chain's end is known when its last task has counted up a key, mlq's when the database says
so. SQLite always; PostgreSQL and Redis of MLQ_TEST_DATABASE_URL and MLQ_TEST_BROKER_URL, else the
embedded servers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from sqlalchemy import select

from mlq.broker import Broker
from mlq.db import Database, migrate
from mlq.db.tables import jobs as jobs_table
from mlq.service import jobs
from mlq.service.capacity import Windows
from mlq.settings import Settings
from mlq.spec import Plan, compile_job, read_document
from tests.servers import EmbeddedPostgres, Postgres, Valkey

STEPS = 5
LINES = 200
WIDTH = 200
# Looking on must not cost what is measured: often where milliseconds count, else seldom.
_POLL_S = 0.0005
_DRAIN_POLL_S = 0.02


def main() -> int:
    """Run, print a table, write all figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/overhead.json"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", choices=("on", "off"), default="on")
    options = parser.parse_args()
    results: dict[str, Any] = {"events": options.events}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlq-bench-")))
        broker_url = stack.enter_context(_broker(folder))
        subjects: dict[str, Any] = {
            "bare Celery": stack.enter_context(_bare(broker_url, events=options.events))
        }
        databases = {"SQLite": f"sqlite:///{folder / 'mlq.db'}"}
        databases["PostgreSQL"] = stack.enter_context(_postgresql())
        for name, database_url in databases.items():
            subjects[f"mlq, {name}"] = stack.enter_context(
                _mlq(folder / name, broker_url, database_url, events=options.events)
            )
        for name, subject in subjects.items():
            subject.latency(5)  # warm
            results[name] = {"latency_ms": [], "steps_per_s": [], "fanout_s": []}
        for _ in range(options.rounds):
            for name, subject in subjects.items():
                figures = results[name]
                figures["latency_ms"] += [1e3 * s for s in subject.latency(30)]
                figures["steps_per_s"].append(LINES * STEPS / subject.drain())
                figures["fanout_s"].append(subject.fan_out())
    _print(results)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=2))
    print(f"\nAll figures: {options.json}")
    return 0


def _print(results: dict[str, Any]) -> None:
    bare = results["bare Celery"]
    print(f"Two slots, task events {results['events']}; medians, and the ratio to bare Celery.\n")
    print(f"{'':18} {'5 steps in line':>20} {'200 lines drained':>24} {'200-wide + join':>20}")
    for name, figures in results.items():
        if name == "events":
            continue
        cells = []
        for key, unit, width in (
            ("latency_ms", "ms", 20),
            ("steps_per_s", "steps/s", 24),
            ("fanout_s", "s", 20),
        ):
            value, yard = statistics.median(figures[key]), statistics.median(bare[key])
            number = f"{value:.2f}" if key == "fanout_s" else f"{value:.0f}"
            cells.append(f"{number} {unit} ({value / yard:.2f})".rjust(width))
        print(f"{name:18} {' '.join(cells)}")


@contextmanager
def _broker(folder: Path) -> Iterator[str]:
    given = os.environ.get("MLQ_TEST_BROKER_URL", "").split(",")
    url = next((url for url in given if url.startswith("redis")), None)
    if url is None:
        server = Valkey(folder)
        try:
            yield server.url
        finally:
            server.close()
        return
    # a database of its own on a server that others may use
    url = urlsplit(url)._replace(path="/13").geturl()
    Redis.from_url(url).flushdb()
    try:
        yield url
    finally:
        Redis.from_url(url).flushdb()


class _Bare:
    """The same tasks as bare Celery chains and groups."""

    def __init__(self, app: Any, node: str, counter: Redis, step: Any, last: Any) -> None:
        self._app, self._node = app, node
        self._counter, self._step, self._last = counter, step, last

    def _chain(self, key: str) -> Any:
        from celery import chain

        return chain(*(self._step.si(n) for n in range(STEPS - 1)), self._last.si(key))

    def latency(self, count: int) -> list[float]:
        """Seconds of one line after the other."""
        return [
            self._timed(lambda: self._chain("one").apply_async(), "one", 1) for _ in range(count)
        ]

    def drain(self) -> float:
        """Seconds until 200 lines that were submitted before have ended."""
        with _paused(self._app, self._app.conf.task_default_queue, self._node) as start:
            for _ in range(LINES):
                self._chain("many").apply_async()
            return self._timed(start, "many", LINES, pause_s=_DRAIN_POLL_S)

    def fan_out(self) -> float:
        """Seconds of a group with a task after its last member (by counting: no result backend)."""
        from celery import group

        return self._timed(
            lambda: group(self._last.si("wide") for _ in range(WIDTH)).apply_async(), "wide", WIDTH
        )

    def _timed(
        self, act: Callable[[], Any], key: str, count: int, *, pause_s: float = _POLL_S
    ) -> float:
        self._counter.delete(key)
        began = time.perf_counter()
        act()
        _wait(lambda: int(self._counter.get(key) or 0) >= count, pause_s=pause_s)
        return time.perf_counter() - began


class _Mlq:
    """The lines through mlq."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = Database.open(settings.database)
        self._broker = Broker.open(settings)
        self._windows = Windows(per_slot=settings.window_per_slot)
        self._line_text = _line()
        self._line = compile_job(read_document(self._line_text), computes=None)
        self._wide_text = _fan()
        self._wide = compile_job(read_document(self._wide_text), computes=None)

    def wait(self, name: str) -> None:
        """Wait for the worker `name`."""
        self._node = _wait_for_worker(self._broker.app, name)

    def latency(self, count: int) -> list[float]:
        """Seconds of one line after the other."""
        return [self._once(self._line, self._line_text) for _ in range(count)]

    def drain(self) -> float:
        """Seconds until 200 lines that were submitted before have ended."""
        with _paused(self._broker.app, self._settings.queue("cpu"), self._node) as start:
            for _ in range(LINES):
                self._submit(self._line, self._line_text)
            began = time.perf_counter()
            start()
            _wait(lambda: not self._is_busy(), pause_s=_DRAIN_POLL_S)
            return time.perf_counter() - began

    def fan_out(self) -> float:
        """Seconds of 200 steps and their join."""
        return self._once(self._wide, self._wide_text)

    def _once(self, plan: Plan, text: str) -> float:
        began = time.perf_counter()
        job_id = self._submit(plan, text)
        _wait(lambda: self._state(job_id) == "succeeded")
        return time.perf_counter() - began

    def _submit(self, plan: Plan, text: str) -> str:
        submitted = self._database.transact(
            jobs.submit,
            plan,
            actor="bench",
            document=text,
            media_type="application/yaml",
            windows=self._windows,
        )
        self._broker.publish(submitted.deliveries)
        return submitted.job_id

    def _state(self, job_id: str) -> str | None:
        with self._database.read() as conn:
            return conn.scalar(select(jobs_table.c.state).where(jobs_table.c.id == job_id))

    def _is_busy(self) -> bool:
        with self._database.read() as conn:
            running = select(jobs_table.c.id).where(
                jobs_table.c.parent_id.is_(None), jobs_table.c.state == "running"
            )
            return conn.scalar(running.limit(1)) is not None


@contextmanager
def _bare(broker_url: str, *, events: str) -> Iterator[_Bare]:
    os.environ.update(
        BENCH_BROKER_URL=broker_url,
        BENCH_COUNTER_URL=broker_url,
        BENCH_TASK_EVENTS=events,
        BENCH_QUEUE="bare",
    )
    from benchmarks.overhead import bare

    command = ["celery", "-A", "benchmarks.overhead.bare", "worker", "-Q", "bare", "-c", "2",
               "-n", "bare@%h", "-l", "ERROR", "--without-gossip", "--without-mingle"]  # fmt: skip
    with _worker([sys.executable, "-m", *command], dict(os.environ)):
        node = _wait_for_worker(bare.app, "bare")
        yield _Bare(bare.app, node, Redis.from_url(broker_url), bare.step, bare.last)


@contextmanager
def _mlq(folder: Path, broker_url: str, database_url: str, *, events: str) -> Iterator[_Mlq]:
    prefix = folder.name.lower() + "-"
    settings = Settings(
        home=folder,
        broker_url=broker_url,
        database_url=database_url,
        queue_prefix=prefix,
        task_events=events,  # type: ignore[arg-type]
    )
    migrate.upgrade(settings.database)
    environment = {
        **os.environ,
        "MLQ_HOME": str(folder),
        "MLQ_BROKER_URL": broker_url,
        "MLQ_DATABASE_URL": database_url,
        "MLQ_QUEUE_PREFIX": prefix,
        "MLQ_TASK_EVENTS": events,
    }
    command = [sys.executable, "-m", "mlq_workers", "-Q", "cpu", "-c", "2", "-n", folder.name]
    with _worker(command, environment):
        subject = _Mlq(settings)
        subject.wait(folder.name)
        yield subject


@contextmanager
def _worker(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _postgresql() -> Iterator[str]:
    given = os.environ.get("MLQ_TEST_DATABASE_URL")
    server = Postgres(given, durable=True) if given else EmbeddedPostgres(durable=True)
    try:
        url = server.create()
        yield url
        server.drop(url)
    finally:
        server.close()


@contextmanager
def _paused(app: Any, queue: str, node: str) -> Iterator[Callable[[], None]]:
    """Stop consuming `queue` on the worker `node`; the value starts it again."""
    app.control.cancel_consumer(queue, destination=[node], reply=True, timeout=5, limit=1)
    yield lambda: app.control.add_consumer(queue, destination=[node], reply=False)


def _wait_for_worker(app: Any, name: str) -> str:
    """Wait until the worker answers; returns its node name."""
    found: list[str] = []

    def is_there() -> bool:
        replies = app.control.ping(timeout=0.5) or []
        found.extend(node for reply in replies for node in reply if node.startswith(f"{name}@"))
        return bool(found)

    _wait(is_there, timeout_s=60)
    return found[0]


def _line() -> str:
    lines = ["type: pipeline", "display_name: line", "jobs:"]
    for number in range(STEPS):
        source = f'"${{{{parent.jobs.s{number - 1}.outputs.value}}}}"' if number else "1"
        lines += [f"  s{number}:", "    component: mlq:pass", f"    inputs: {{value: {source}}}"]
    return "\n".join(lines)


def _fan() -> str:
    lines = ["type: pipeline", "display_name: fan", "jobs:"]
    for number in range(WIDTH):
        lines += [f"  w{number}:", "    component: mlq:pass", f"    inputs: {{value: {number}}}"]
    lines += ["  join:", "    component: mlq:pass", "    inputs:"]
    lines += [f'      i{n}: "${{{{parent.jobs.w{n}.outputs.value}}}}"' for n in range(WIDTH)]
    return "\n".join(lines)


def _wait(fact: Callable[[], Any], *, timeout_s: float = 120, pause_s: float = _POLL_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not fact():
        if time.monotonic() > deadline:
            raise TimeoutError("a benchmark did not end")
        time.sleep(pause_s)


if __name__ == "__main__":
    sys.exit(main())
