"""Executes leaves in a pool process: claim, run, commit, publish what it set free."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from mlq.artifacts import Store
from mlq.broker import Broker
from mlq.db import Database
from mlq.db.transitions import AskGpus, StaleAttempt
from mlq.db.window import Delivery, take_back
from mlq.errors import MlqError, UnavailableError
from mlq.lifecycle import Reason, Role, State
from mlq.service import execution
from mlq.service.capacity import Windows
from mlq.service.execution import Attempt, Finished, Report, SpecCache
from mlq.settings import Settings
from mlq_workers.addresses import Addresses
from mlq_workers.board import Order, Seat
from mlq_workers.clock import boot_time
from mlq_workers.ending import Ending
from mlq_workers.gpus import no_gpus
from mlq_workers.handlers import CommandHandler, ComponentHandler, Handler
from mlq_workers.reporter import Reporter
from mlq_workers.spread import CollectHandler, ExpandHandler
from mlq_workers.sweeps import BestHandler, RunnerHandler

logger = logging.getLogger("mlq.executor")

_COMMIT_RETRY_S = 0.25


class _Stopped(Exception):
    """An attempt was told to stop before its inputs were there."""

    def __init__(self, order: Order) -> None:
        super().__init__(order.name)
        self.order = order


@dataclass(slots=True)
class Executor:
    """What a pool process has open. One leaf at a time.

    component_handler, command_handler: who runs a component ("mlq:…") and who runs a command.
    ask_gpus: what a step that asks for GPU memory would hold of this slot's.
    """

    settings: Settings
    database: Database
    broker: Broker
    store: Store
    seat: Seat
    worker: str
    component_handler: ComponentHandler
    command_handler: CommandHandler
    ask_gpus: AskGpus = no_gpus
    clock: Callable[[], float] = boot_time
    specs: SpecCache = field(default_factory=SpecCache)
    _unfilled: int = 0  # messages worked off since the window was last filled
    _refill_after: int = field(init=False)
    _windows: Windows = field(init=False)
    _addresses: Addresses = field(init=False)
    _handlers: Mapping[str, Handler] = field(init=False)

    def __post_init__(self) -> None:
        self._addresses = Addresses(self.settings, self.database, self.store)
        self._windows = Windows(per_slot=self.settings.window_per_slot)
        self._handlers = {
            Role.RUNNER.value: RunnerHandler(
                settings=self.settings,
                database=self.database,
                publish=self._publish,
                worker=self.worker,
                component_handler=self.component_handler,
                command_handler=self.command_handler,
                windows=self._windows,
                clock=self.clock,
            ),
            Role.BEST.value: BestHandler(self.database),
            Role.EXPAND.value: ExpandHandler(self.database),
            Role.COLLECT.value: CollectHandler(self.database),
        }
        # Often enough for the window never to run dry, seldom enough to cost little.
        self._refill_after = max(1, self.settings.window_per_slot // 2)

    def execute(self, job_id: str) -> bool:
        """Run a leaf; True when it committed success, so that its chain may go on."""
        if self.seat.refuses_work:
            # It was taken before the worker knew, or waited here for a slot: others are to have it.
            self.database.transact(take_back, job_id)
            return False
        claimed_at = self.clock()
        attempt = self._begin(job_id)
        if attempt is None:
            return False
        if attempt.is_over:
            return self._end_early(attempt)
        claim = attempt.claim
        time_limit = attempt.spec.get("timeout_s")
        scratch = self.settings.home / "scratch" / f"{claim.id}-{claim.attempt}"
        with self.seat.hold(
            claim.id,
            claim.attempt,
            deadline=claimed_at + self.settings.lease_s * 0.9,
            time_limit=claimed_at + time_limit if time_limit else float("inf"),
        ):
            try:
                return self._run(attempt, scratch)
            finally:
                if scratch.exists():
                    shutil.rmtree(scratch, ignore_errors=True)

    def _begin(self, job_id: str) -> Attempt | None:
        given: dict[str, Any] = {
            "worker": self.worker,
            "lease_s": self.settings.lease_s,
            "spec_cache": self.specs,
        }
        attempt = self.database.transact_single(execution.begin, job_id, **given)
        if attempt is None:
            # nothing to take, or not in one statement
            attempt = self.database.transact(
                execution.begin_limited, job_id, **given, ask_gpus=self.ask_gpus
            )
        return attempt

    def _end_early(self, attempt: Attempt) -> bool:
        try:
            finished = self.database.transact(execution.end_early, attempt, windows=self._windows)
        except StaleAttempt:
            finished = self.database.transact(
                execution.end_canceled, attempt, said=Report(), windows=self._windows
            )
        return finished is not None and self._go_on(attempt, finished)

    def _go_on(self, attempt: Attempt, finished: Finished) -> bool:
        """Publish what the outcome set free; True when it was success."""
        self._publish(finished.deliveries)
        return any(
            job.id == attempt.claim.id and job.state == State.SUCCEEDED
            for job in finished.settled.ended
        )

    def _run(self, attempt: Attempt, scratch: Path) -> bool:
        reporter = Reporter(self.database, attempt.claim, max_log_bytes=self.settings.max_log_bytes)
        handler = self._handler_of(attempt)
        try:
            attempt = self._addresses.fetch(
                attempt, say=lambda line: reporter.log("mlq", line), watch=self._watch
            )
            ending = handler.handle(
                attempt, scratch=scratch, store=self.store, seat=self.seat, reporter=reporter
            )
        except _Stopped as stopped:
            ending = Ending(is_release=stopped.order == Order.DRAIN)
        except Exception as error:
            ending = Ending.of_exception(error)
        return self._end(attempt, ending, reporter.rest(ending.artifacts))

    def _watch(self) -> None:
        """Raise _Stopped when the attempt is told to stop."""
        order = self.seat.order()
        if order in (Order.CANCEL, Order.DRAIN):
            raise _Stopped(order)

    def _handler_of(self, attempt: Attempt) -> Handler:
        own = self._handlers.get(attempt.claim.role or "")
        if own is not None:  # an iteration of a loop, or an item, is a step like any other
            return own
        return self.component_handler if attempt.claim.component else self.command_handler

    def _end(self, attempt: Attempt, ending: Ending, said: Report) -> bool:
        """Commit the outcome; while the database is away, try until the keeper ends us."""
        if ending.is_over:
            return False
        unknown = False
        while True:
            try:
                finished = self._commit(attempt, ending, said)
                break
            except UnavailableError as error:
                unknown = unknown or error.code == "commit_unknown"
                logger.warning("outcome of %s waits: %s", attempt.claim.id, error)
                time.sleep(_COMMIT_RETRY_S)
            except MlqError as error:
                # the effect cannot be had (an alias that is not allowed, a model that is gone)
                ending = Ending.of_exception(error)
        if finished is None:
            return unknown and self._has_succeeded(attempt)
        if not finished.settled.chain_goes_on:
            self._unfilled = (self._unfilled + 1) % self._refill_after
        return self._go_on(attempt, finished)

    def _commit(self, attempt: Attempt, ending: Ending, said: Report) -> Finished | None:
        if ending.outputs is not None:
            try:
                return self.database.transact(
                    execution.succeed,
                    attempt,
                    ending.outputs,
                    said=said,
                    windows=self._windows,
                    refill=self._unfilled + 1 >= self._refill_after,
                    effect=self._bind_effect(attempt, ending),
                )
            except StaleAttempt:
                ending = Ending()  # canceled meanwhile, or taken from us
        if ending.reason is None:
            end: Callable[..., Finished | None] = execution.end_canceled
            if ending.yields:
                end = execution.yield_slot
            elif ending.is_release:
                end = execution.release
            return self.database.transact(end, attempt, said=said, windows=self._windows)
        return self.database.transact(
            execution.fail,
            attempt,
            reason=ending.reason,
            error=ending.error or {},
            said=said,
            windows=self._windows,
            retry=ending.reason != Reason.REJECTED,
        )

    def _bind_effect(
        self, attempt: Attempt, ending: Ending
    ) -> Callable[[Connection], Mapping[str, Any]] | None:
        effect = ending.effect
        if effect is None:
            return None
        return lambda conn: effect(conn, attempt)

    def _has_succeeded(self, attempt: Attempt) -> bool:
        with self.database.read() as conn:
            return execution.succeeded(conn, attempt.claim.id, attempt.claim.attempt)

    def _publish(self, deliveries: Sequence[Delivery]) -> None:
        try:
            self.broker.publish(deliveries)
        except UnavailableError as error:
            logger.warning("the reconciler will publish later: %s", error)
