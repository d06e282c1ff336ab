"""mlq as these benchmarks run it: a real worker, SQLite and an embedded Valkey."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from redis import Redis
from sqlalchemy import select
from sqlalchemy.engine import RowMapping

from mlq.artifacts import Store
from mlq.broker import Broker
from mlq.db import Database, migrate, sweeps, workers
from mlq.db.queries.jobs import newest_metrics
from mlq.db.tables import jobs as jobs_table
from mlq.lifecycle import TERMINAL, Role
from mlq.onemachine import ports
from mlq.onemachine.processes import die_with_parent
from mlq.service import data, jobs, tokens
from mlq.service.capacity import Windows
from mlq.settings import Settings
from mlq.spec import compile_job, read_document
from tests.servers import Valkey, wait_until

ROOT = Path(__file__).parents[2]
SLOTS = 2
# Looking on must not cost what is measured.
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Run:
    """A finished job. submitted_at, ended_at: seconds since 1970 by this machine's clock."""

    job_id: str
    submitted_at: float
    tree: Mapping[str, RowMapping]

    @property
    def row(self) -> RowMapping:
        """The job itself."""
        return self.tree[""]

    def trials(self, path: str = "") -> list[RowMapping]:
        """The trials of the sweep at `path`, in order of their numbers."""
        sweep_id = self.tree[path]["id"]
        found = [
            row
            for row in self.tree.values()
            if row["role"] == Role.TRIAL and row["parent_id"] == sweep_id
        ]
        return sorted(found, key=lambda row: row["ordinal"])


class System:
    """Submits jobs to the worker of `running_system` and reads what became of them."""

    def __init__(
        self,
        settings: Settings,
        *,
        worker_pid: int,
        api_pid: int | None = None,
        api_url: str | None = None,
    ) -> None:
        self.settings = settings
        self.database = Database.open(settings.database)
        self.worker_pid = worker_pid
        self.api_pid = api_pid
        self.api_url = api_url
        self._broker = Broker.open(settings)
        self._redis = Redis.from_url(settings.broker_url)
        self._store = Store.open(settings.artifact_root)
        self._windows = Windows(per_slot=settings.window_per_slot)

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()
        self._broker.close()
        self.database.close()

    def open_api(self) -> httpx.Client:
        """A client of the API with a token of its own."""
        assert self.api_url is not None, "running_system(with_api=True) starts it"
        made = self.database.transact(tokens.create, name="bench", role="viewer", actor="bench")
        return httpx.Client(
            base_url=self.api_url, headers={"Authorization": f"Bearer {made.token}"}, timeout=30
        )

    def upload(self, name: str, content: bytes, *, file_name: str) -> dict[str, str]:
        """Register `content` as data; returns the input that names it."""
        blob = self._store.put_stream([content])
        version, _ = self.database.transact(
            data.create_version,
            name=name,
            digest=blob.digest,
            type="uri_file",
            file_name=file_name,
            size_bytes=blob.size_bytes,
            actor="bench",
        )
        return {"type": "uri_file", "path": version.id}

    def submit(self, document: Mapping[str, Any]) -> tuple[str, float]:
        """Submit a job; returns its id and the time just before."""
        text = json.dumps(document)
        began = time.time()
        submitted = self.database.transact(
            jobs.submit,
            compile_job(read_document(text, media_type="application/json"), computes=None),
            actor="bench",
            document=text,
            media_type="application/json",
            windows=self._windows,
        )
        self._broker.publish(submitted.deliveries)
        return submitted.job_id, began

    def run(self, document: Mapping[str, Any], *, timeout_s: float = 900) -> Run:
        """Submit a job and wait until it has succeeded. Raises RuntimeError when it fails."""
        job_id, began = self.submit(document)
        return self.wait(job_id, began, timeout_s=timeout_s)

    def wait(self, job_id: str, submitted_at: float, *, timeout_s: float = 900) -> Run:
        """Wait until a job has succeeded. Raises RuntimeError when it fails."""
        deadline = time.monotonic() + timeout_s
        while (state := self.state(job_id)) not in TERMINAL:
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {job_id} did not end within {timeout_s:g} s")
            time.sleep(_POLL_S)
        tree = self.tree(job_id)
        if state != "succeeded":
            raise RuntimeError(f"job {job_id} is {state}: {tree['']['error']}")
        return Run(job_id, submitted_at, tree)

    def state(self, job_id: str) -> str:
        """The state that a job is in."""
        with self.database.read() as conn:
            found = conn.scalar(select(jobs_table.c.state).where(jobs_table.c.id == job_id))
        assert found is not None, "it was submitted"
        return str(found)

    def tree(self, job_id: str) -> dict[str, RowMapping]:
        """All jobs below `job_id` by path, its own is ''."""
        with self.database.read() as conn:
            rows = conn.execute(select(jobs_table).where(jobs_table.c.root_id == job_id)).mappings()
            return {row["path"]: row for row in rows}

    def metrics(self, job_ids: list[str]) -> dict[str, dict[str, float]]:
        """job id -> its metrics' last values."""
        found: dict[str, dict[str, float]] = {}
        with self.database.read() as conn:
            for at in range(0, len(job_ids), 500):
                found |= newest_metrics(conn, job_ids[at : at + 500])
        return found

    def steps(self, job_ids: list[str], *, key: str) -> Mapping[str, Mapping[int, float]]:
        """job id -> values of a metric by step."""
        with self.database.read() as conn:
            return sweeps.read_steps(conn, job_ids, key=key)

    def queue_length(self) -> int:
        """Messages of the compute `cpu` that wait in the broker, of all priorities."""
        names = self._redis.keys(f"{self.settings.queue('cpu')}*")
        return sum(self._redis.llen(name) for name in names)


@contextmanager
def running_system(folder: Path, *, slots: int = SLOTS, with_api: bool = False) -> Iterator[System]:
    """A worker with `slots` slots, and the API where it is wanted, on a database of their own."""
    broker = Valkey(folder / "valkey")
    port = ports.find_free_port()
    settings = Settings(
        home=folder,
        broker_url=broker.url,
        database_url=f"sqlite:///{folder / 'mlq.db'}",
        artifact_url=str(folder / "artifacts"),
        queue_prefix="bench-",
    )
    migrate.upgrade(settings.database)
    given = ("home", "broker_url", "database_url", "artifact_url", "queue_prefix")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MLQ_")},
        **{f"MLQ_{name.upper()}": str(getattr(settings, name)) for name in given},
        "MLQ_PORT": str(port),
        "PYTHONPATH": str(ROOT),  # for the functions in objectives.py
    }
    processes: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> int:
        with (folder / f"{command[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=environment,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(),
            )
        processes.append(process)
        return process.pid

    system = None
    try:
        worker_pid = start("mlq_workers", "-Q", "cpu", "-c", str(slots))
        api_pid = start("mlq_api") if with_api else None
        url = f"http://{ports.LOOPBACK}:{port}" if with_api else None
        system = System(settings, worker_pid=worker_pid, api_pid=api_pid, api_url=url)
        wait_until(lambda: _is_up(system), timeout_s=60, what="worker and API are up")
        yield system
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)
        if system is not None:
            system.close()
        broker.close()


def _is_up(system: System) -> bool:
    with system.database.read() as conn:
        if not any(row.pid == system.worker_pid for row in workers.live(conn)):
            return False
    try:
        return system.api_url is None or httpx.get(f"{system.api_url}/readyz").is_success
    except httpx.TransportError:
        return False
