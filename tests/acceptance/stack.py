"""The parts of mlq as real processes, for one test or one module of tests.

A `Stack` is a home folder, a database and a broker, and the workers and servers started on them.
Jobs are submitted through the API where one was started, else by the same service call in here.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import psutil
from sqlalchemy import Connection, func, select
from sqlalchemy.engine import RowMapping

from mlq.artifacts import Store
from mlq.broker import Broker
from mlq.db import Database, workers
from mlq.db.queries import jobs as queries
from mlq.db.queries import queues
from mlq.db.tables import artifacts, events, jobs, log_chunks
from mlq.errors import UnavailableError
from mlq.lifecycle import TERMINAL
from mlq.onemachine import ports
from mlq.onemachine.processes import die_with_parent
from mlq.service import data, tokens
from mlq.service import jobs as service
from mlq.service.capacity import Windows
from mlq.settings import Settings
from mlq.spec import compile_job, read_document
from mlq.testing import invariants
from tests import servers

T = TypeVar("T")

JOBS = Path(__file__).with_name("jobs")
ACTOR = "tester"
#: Short enough that a test sees a lease run out, long enough for two busy cores.
TIMINGS: Mapping[str, float] = {
    "lease_s": 6,
    "heartbeat_s": 1.5,
    "cancel_poll_s": 0.2,
    "reconcile_s": 0.3,
    "leader_lease_s": 1.5,
    "republish_grace_s": 1,
    "drain_grace_s": 20,
}
#: Long: what comes about ends the wait, and a busy machine may take its time.
WAIT_S = 120.0
_START_S = 180.0
_STOP_S = 120.0


def wait_for(fact: Callable[[], T], timeout_s: float = WAIT_S, *, what: str = "") -> T:
    """Poll `fact` until it is true and return what it returned.

    Raises TimeoutError naming `what` did not come about.
    """
    deadline = time.monotonic() + timeout_s
    pause = 0.005
    while not (found := fact()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what or fact}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return found


class Part:
    """A process of the stack. Its output goes to the file `log`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def family(self) -> list[psutil.Process]:
        """The process and everything that runs below it now."""
        try:
            parent = psutil.Process(self.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def pool(self) -> list[psutil.Process]:
        """A worker's pool processes: its children but for the keeper."""
        found = []
        for child in psutil.Process(self.pid).children():
            with suppress(psutil.NoSuchProcess):  # also raised of a zombie
                if "mlq_workers.keeper" not in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def commands(self) -> list[psutil.Process]:
        """What a worker's pool processes have started: guards, shells, users' processes."""
        return [below for child in self.pool() for below in child.children(recursive=True)]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End the process itself as a crash does; what it started is left to itself."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(timeout=_STOP_S)

    def stop(self) -> int:
        """End it in good order and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Stack:
    """home, database and broker of one mlq, and what a test needs to know about its jobs."""

    def __init__(
        self, home: Path, *, database_url: str, broker: servers.Broker, **settings: float | str
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.broker_server = broker
        self._given = settings
        self.settings = Settings(
            home=home,
            database_url=database_url,
            broker_url=broker.url,
            artifact_url=str(home / "artifacts"),
            **{"queue_prefix": "t-", **TIMINGS, **settings},
        )
        self.database = Database.open(database_url, pool_size=4)
        self.broker = Broker.open(self.settings)
        self.store = Store.open(self.settings.artifact_root)
        self.windows = Windows(per_slot=self.settings.window_per_slot)
        self.parts: list[Part] = []
        #: settings by which parts reach the servers another way than this process does
        self.routes: dict[str, str] = {}
        self.api: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._show_logs()
        self.close()

    def close(self) -> None:
        """Kill what still runs, and close all connections."""
        for process in [process for part in self.parts for process in part.family()]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for part in self.parts:
            part.kill()
        if self.api is not None:
            self.api.close()
        self.broker.close()
        self.database.close()

    # -- parts -----------------------------------------------------------------------------------

    def worker(
        self,
        computes: str = "cpu",
        slots: int = 2,
        *,
        plain: bool = False,
        under: Sequence[str] = (),
        **settings: float | str,
    ) -> Part:
        """Start a worker and wait until it is registered.

        plain: by Celery's own command instead of mlq's. under: a command that runs it. settings:
        for this worker alone.
        """
        if plain:
            queue_names = ",".join(self.settings.queue(name) for name in computes.split(","))
            command = ["celery", "-A", "mlq_workers", "worker", "-Q", queue_names]
            command += ["-c", str(slots), "-l", "INFO"]
        else:
            command = ["mlq_workers", "-Q", computes, "-c", str(slots), "--loglevel", "INFO"]
        part = self._start(f"worker-{len(self.parts)}", command, under=under, **settings)
        self._wait_until_up(
            part, lambda: any(row.pid == part.pid for row in self.read(workers.live))
        )
        return part

    def start_api(self, *, under: Sequence[str] = (), **settings: float | str) -> Part:
        """Start the API and submit through it from now on; call it again after a stop.

        under: a command that runs it. settings: for this process alone.
        """
        port = self.api.base_url.port if self.api else ports.find_free_port()
        if self.api is None:
            token = self.write(tokens.create, name=ACTOR, role="admin", actor="test").token
            self.api = httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            )
        part = self._start(
            f"api-{len(self.parts)}",
            ["mlq_api"],
            under=under,
            host="127.0.0.1",
            port=str(port),
            **settings,
        )
        self._wait_until_up(part, self._api_is_ready)
        return part

    def api_get(self, path: str, **query: Any) -> Any:
        """The answer of the API as plain data."""
        assert self.api is not None, "the API was not started"
        answer = self.api.get(path, params=query)
        assert answer.is_success, f"{answer.status_code} {answer.text}"
        return answer.json()

    def forget_api(self) -> None:
        """Submit without the API again."""
        if self.api is not None:
            self.api.close()
            self.api = None

    def _api_is_ready(self) -> bool:
        assert self.api is not None, "start_api() makes it"
        try:
            return self.api.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def _start(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        under: Sequence[str] = (),
        **settings: float | str,
    ) -> Part:
        log = self.settings.home / f"{name}.log"
        own = {
            key: getattr(self.settings, key)
            for key in ("home", "database_url", "broker_url", "artifact_url", "queue_prefix")
        }
        values = {**own, **self.routes, **TIMINGS, **self._given, **settings}
        env = {key: value for key, value in os.environ.items() if not key.startswith("MLQ_")}
        env |= {f"MLQ_{key.upper()}": str(value) for key, value in values.items()}
        env["TMPDIR"] = str(self.settings.home)
        # -P: what lies in the folder of the tests is no part of a worker
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*under, sys.executable, "-P", "-m", *arguments],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        part = Part(name, process, log)
        self.parts.append(part)
        return part

    def _wait_until_up(self, part: Part, fact: Callable[[], bool]) -> None:
        def up() -> bool:
            if part.process.poll() is not None:
                raise AssertionError(f"{part.name} ended at its start:\n{part.log.read_text()}")
            return fact()

        wait_for(up, _START_S, what=f"{part.name} is up")

    def _show_logs(self) -> None:
        for part in self.parts:
            print(f"---- {part.name}\n{part.log.read_text(errors='replace')[-6000:]}")

    # -- jobs ------------------------------------------------------------------------------------

    def read(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `work(conn, …)` in a transaction that only reads."""
        with self.database.read() as conn:
            return work(conn, *args, **kwargs)

    def write(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `work(conn, …)` in one write transaction."""
        return self.database.transact(work, *args, **kwargs)

    def submit(
        self, document: Mapping[str, Any] | str, *, key: str | None = None, force: bool = False
    ) -> str:
        """Submit a job and return its id.

        document: a mapping, or the text of a YAML file. key: Idempotency-Key.
        """
        if isinstance(document, str):
            text, media_type = document, "application/yaml"
        else:
            text, media_type = json.dumps(document), "application/json"
        if self.api is not None:
            headers = {"Content-Type": media_type} | ({"Idempotency-Key": key} if key else {})
            answer = self.api.post(
                "/v1/jobs",
                content=text,
                headers=headers,
                params={"force_rerun": "true"} if force else None,
            )
            assert answer.is_success, f"{answer.status_code} {answer.text}"
            return str(answer.json()["id"])
        submitted = self.write(
            service.submit,
            compile_job(read_document(text, media_type=media_type), computes=None),
            actor=ACTOR,
            document=text,
            media_type=media_type,
            windows=self.windows,
            idempotency_key=service.Idempotency(key, hashlib.sha256(text.encode()).hexdigest())
            if key
            else None,
            force_rerun=force,
        )
        self._publish(submitted.deliveries)
        return submitted.job_id

    def cancel(self, job_id: str) -> None:
        self._publish(self.write(service.cancel, job_id, actor=ACTOR, windows=self.windows))

    def resume(self, job_id: str) -> None:
        self._publish(self.write(service.resume, job_id, actor=ACTOR, windows=self.windows))

    def _publish(self, deliveries: Sequence[Any]) -> None:
        with suppress(UnavailableError):  # as the API does: the reconciler publishes later
            self.broker.publish(deliveries)

    def upload(self, name: str, content: bytes, *, file_name: str = "data.csv") -> str:
        """Register `content` as data; returns its reference, `mlq:NAME:VERSION`."""
        blob = self.store.put_stream([content])
        version, _ = self.write(
            data.create_version,
            name=name,
            digest=blob.digest,
            type="uri_file",
            file_name=file_name,
            size_bytes=blob.size_bytes,
            actor=ACTOR,
        )
        return version.id

    # -- facts -----------------------------------------------------------------------------------

    def job(self, job_id: str) -> RowMapping:
        return self.read(queries.read, job_id)

    def tree(self, root_id: str) -> dict[str, RowMapping]:
        """All jobs of a tree by path; the root's is ''."""

        def rows(conn: Connection) -> dict[str, RowMapping]:
            found = conn.execute(select(jobs).where(jobs.c.root_id == root_id)).mappings()
            return {row["path"]: row for row in found}

        return self.read(rows)

    def events(self, root_id: str) -> list[RowMapping]:
        """The history of a tree, in order.

        Straight from the table: a stream holds back what is younger than the oldest transaction
        that still runs anywhere on the server.
        """

        def rows(conn: Connection) -> list[RowMapping]:
            query = select(events).where(events.c.root_id == root_id).order_by(events.c.id)
            return list(conn.execute(query).mappings())

        return self.read(rows)

    def wait(
        self, job_id: str, state: str = "succeeded", *, timeout_s: float = WAIT_S
    ) -> RowMapping:
        """Wait for the end of a job, and assert that it ended as `state`."""
        row = self.wait_until(job_id, lambda job: job["state"] in TERMINAL, timeout_s=timeout_s)
        assert row["state"] == state, (
            f"{row['state']} ({row['reason']}), not {state}: {row['error']}\n"
            + "\n".join(
                f"{path or '/'}: {self.brief(job)}"
                for path, job in self.tree(row["root_id"]).items()
            )
        )
        return row

    def wait_until(
        self, job_id: str, fact: Callable[[RowMapping], bool], *, timeout_s: float = WAIT_S
    ) -> RowMapping:
        """Wait until `fact` holds for the row of a job."""
        last: list[RowMapping] = []

        def holds() -> RowMapping | None:
            last[:] = [self.job(job_id)]
            return last[0] if fact(last[0]) else None

        try:
            found = wait_for(holds, timeout_s)
        except TimeoutError:
            tree = self.tree(last[0]["root_id"])
            raise TimeoutError(
                f"not within {timeout_s:g} s:\n"
                + "\n".join(f"{path or '/'}: {self.brief(job)}" for path, job in tree.items())
            ) from None
        assert found is not None, "wait_for returns what is true"
        return found

    def wait_running(self, job_id: str, path: str = "") -> RowMapping:
        """Wait until the leaf at `path` runs, and return its row."""
        leaf = self.tree(job_id)[path]["id"]
        return self.wait_until(leaf, lambda job: job["state"] == "running")

    @staticmethod
    def brief(job: RowMapping) -> str:
        """A job on one line, for messages."""
        shown = ("state", "reason", "attempt", "failure_count", "lost_count", "worker", "error")
        return " ".join(f"{key}={job[key]}" for key in shown if job[key] is not None)

    def log_of(self, job_id: str) -> str:
        """What a leaf printed, all attempts."""

        def chunks(conn: Connection) -> str:
            query = select(log_chunks.c.content).where(log_chunks.c.job_id == job_id)
            return "".join(conn.scalars(query.order_by(log_chunks.c.id)))

        return self.read(chunks)

    def waiting_words(self, job_id: str) -> str | None:
        """Why a job waits."""

        def words(conn: Connection) -> str | None:
            return queues.waiting_words(conn, [queries.read(conn, job_id)]).get(job_id)

        return self.read(words)

    def artifact_count(self) -> int:
        return self.read(
            lambda conn: int(conn.scalar(select(func.count()).select_from(artifacts)) or 0)
        )

    def assert_sound(self) -> None:
        """Assert that nothing in the database contradicts the promises."""
        assert invariants.audit(self.database) == []


def gone(processes: Sequence[psutil.Process]) -> bool:
    """Whether none of `processes` lives any more."""
    return not survivors(processes)


def survivors(processes: Sequence[psutil.Process]) -> list[str]:
    """What of `processes` still lives, in words."""
    alive = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(f"{process.pid} {' '.join(process.cmdline())[:80]}")
    return alive


def assert_ran_once(stack: Stack, root_id: str) -> None:
    """Assert that every step of a tree succeeded by one attempt, after all that it waits for."""
    tree = stack.tree(root_id)
    history = stack.events(root_id)
    place = {(event["kind"], event["job_id"]): number for number, event in enumerate(history)}
    for path, row in tree.items():
        of_this = [event["kind"] for event in history if event["job_id"] == row["id"]]
        assert row["state"] == "succeeded", f"{path}: {stack.brief(row)}"
        assert of_this.count("job.succeed") == 1, f"{path}: {of_this}"
        if row["is_leaf"]:
            assert row["attempt"] == 1, f"{path}: {stack.brief(row)}"
            assert of_this.count("job.claim") == 1, f"{path}: {of_this}"
            assert place["job.claim", row["id"]] < place["job.succeed", row["id"]]
    begins = {row["id"]: "job.claim" if row["is_leaf"] else "job.start" for row in tree.values()}
    upstreams = stack.read(queries.upstreams, list(begins))
    for job_id, before in upstreams.items():
        for upstream in before:
            assert place["job.succeed", upstream] < place[begins[job_id], job_id]
