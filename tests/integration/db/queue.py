"""The queue as tests use it: one transaction per call, jobs named by their paths."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import func, select, update

from mlq.db.engine import Database
from mlq.db.tables import jobs
from mlq.db.transitions import AskGpus, StaleAttempt
from mlq.db.types import now_plus
from mlq.db.window import Delivery
from mlq.lifecycle import Reason
from mlq.service import execution
from mlq.service import jobs as service
from mlq.service.capacity import Windows
from mlq.service.execution import Attempt, Finished, Report, SpecCache
from mlq.testing import invariants
from tests.integration.db.plans import Step, plan

T = TypeVar("T")

ERROR = {"code": "boom", "message": "It went wrong."}


class Queue:
    """A database with jobs in it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.windows = Windows(per_slot=8)
        self.specs = SpecCache()

    def submit(self, root: Step, **more: Any) -> Tree:
        """Submit a tree; `more` goes to the plan, force_rerun and project to the submission."""
        of_submission = ("force_rerun", "project")
        options = {name: more.pop(name) for name in of_submission if name in more}
        submitted = self.database.transact(
            service.submit,
            plan(root, **more),
            actor="ann",
            document="type: pipeline",
            media_type="application/yaml",
            windows=self.windows,
            **options,
        )
        return Tree(self, submitted.job_id, submitted.deliveries)

    def claim(
        self,
        job_id: str,
        *,
        lease_s: float = 30,
        worker: str = "w1",
        ask_gpus: AskGpus = lambda memory_bytes: [],
    ) -> Attempt | None:
        """As a worker does it: an attempt that is over before it ran is ended at once."""
        given: dict[str, Any] = {"worker": worker, "lease_s": lease_s, "spec_cache": self.specs}
        attempt = self.database.transact_single(execution.begin, job_id, **given)
        if attempt is None:
            attempt = self.database.transact(
                execution.begin_limited, job_id, **given, ask_gpus=ask_gpus
            )
        if attempt is not None and attempt.is_over:
            self.database.transact(execution.end_early, attempt, windows=self.windows)
        return attempt

    def succeed(self, attempt: Attempt, **outputs: Any) -> Finished | None:
        """As a worker does it: what could not succeed was canceled or is not its own any more."""
        try:
            return self.database.transact(
                execution.succeed,
                attempt,
                {name: {"type": "string", "value": value} for name, value in outputs.items()},
                said=Report(),
                windows=self.windows,
                refill=True,
            )
        except StaleAttempt:
            return self.end_canceled(attempt)

    def fail(
        self, attempt: Attempt, *, reason: Reason = Reason.ERROR, retry: bool = True
    ) -> Finished | None:
        return self.database.transact(
            execution.fail,
            attempt,
            reason=reason,
            error=ERROR,
            said=Report(),
            windows=self.windows,
            retry=retry,
        )

    def lose(self, attempt: Attempt, *, max_lost: int = 3, **more: Any) -> Finished | None:
        return self.database.transact(
            execution.lose,
            attempt.claim,
            error={"code": "lost", "message": "It died."},
            max_lost=max_lost,
            windows=self.windows,
            **{"excused": False, **more},
        )

    def release(self, attempt: Attempt) -> Finished | None:
        return self.database.transact(
            execution.release, attempt, said=Report(), windows=self.windows
        )

    def end_canceled(self, attempt: Attempt) -> Finished | None:
        return self.database.transact(
            execution.end_canceled, attempt, said=Report(), windows=self.windows
        )

    def cancel(self, job_id: str) -> list[Delivery]:
        return self.database.transact(service.cancel, job_id, actor="ann", windows=self.windows)

    def resume(self, job_id: str) -> list[Delivery]:
        return self.database.transact(service.resume, job_id, actor="ann", windows=self.windows)

    def row(self, job_id: str) -> Any:
        with self.database.read() as conn:
            return conn.execute(select(jobs).where(jobs.c.id == job_id)).one()

    def set_not_before(self, job_id: str, seconds: float) -> None:
        """Move the moment from which a waiting leaf may run; stands for time that passes."""
        with self.database.write() as conn:
            conn.execute(
                update(jobs).where(jobs.c.id == job_id).values(not_before=now_plus(seconds))
            )

    def outstanding(self, compute: str = "cpu") -> int:
        with self.database.read() as conn:
            return (
                conn.scalar(
                    select(func.count()).where(
                        jobs.c.state == "queued",
                        jobs.c.compute == compute,
                        jobs.c.dispatched_at.is_not(None),
                    )
                )
                or 0
            )

    def violations(self) -> list[str]:
        return invariants.audit(self.database)


class Tree:
    """A submitted tree, its jobs named by path; the root's is empty."""

    def __init__(self, queue: Queue, root_id: str, deliveries: list[Delivery]) -> None:
        self.queue = queue
        self.id = root_id
        self.deliveries = deliveries
        with queue.database.read() as conn:
            self.ids: dict[str, str] = {
                row.path: row.id
                for row in conn.execute(
                    select(jobs.c.path, jobs.c.id).where(jobs.c.root_id == root_id)
                )
            }

    def claim(self, path: str = "", **more: Any) -> Attempt:
        """Claim a leaf that must be there to claim."""
        attempt = self.queue.claim(self.ids[path], **more)
        assert attempt is not None, f"{path} cannot be claimed"
        return attempt

    def run(self, *paths: str) -> None:
        """Claim leaves and succeed, one after the other."""
        for path in paths:
            assert self.queue.succeed(self.claim(path)) is not None

    def fail(self, path: str = "", **more: Any) -> None:
        assert self.queue.fail(self.claim(path), **more) is not None

    def row(self, path: str = "") -> Any:
        return self.queue.row(self.ids[path])

    def states(self) -> dict[str, str]:
        """States by path; with the reason after a slash where there is one."""
        with self.queue.database.read() as conn:
            return {
                row.path: f"{row.state}/{row.reason}" if row.reason else row.state
                for row in conn.execute(
                    select(jobs.c.path, jobs.c.state, jobs.c.reason)
                    .where(jobs.c.root_id == self.id)
                    .order_by(jobs.c.id)
                )
            }


def race(*works: Callable[[], T]) -> list[T | BaseException]:
    """Run `works` at once, released by a barrier; results or exceptions in their order."""
    barrier = threading.Barrier(len(works))

    def start(work: Callable[[], T]) -> T:
        barrier.wait(timeout=20)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(start, work) for work in works]
    return [future.exception() or future.result() for future in futures]


def paths_of(deliveries: Sequence[Delivery], tree: Tree) -> list[list[str]]:
    """Deliveries as lists of paths."""
    names = {job_id: path for path, job_id in tree.ids.items()}
    return [[names[link.id] for link in delivery.links] for delivery in deliveries]
