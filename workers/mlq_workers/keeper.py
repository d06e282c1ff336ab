"""The keeper: renews the leases of one worker, and stops work that has lost its own.

A process of its own, so that nothing the worker does can delay a heartbeat. Two threads: `_beat`
talks to the database and may block there; `_watch` never does, and acts on deadlines, dead
processes and orders. The reconciler runs beside them on a connection of its own.

The deadline of a lease is boot time read *before* the claim or renewal was sent, plus the lease,
less a margin. At the deadline a supervised command is stopped with SIGSTOP and goes on only if a
later beat proves that its attempt is still current; work inside a pool process is killed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from celery.platforms import set_process_title
from sqlalchemy import Connection

from mlq.broker import Broker
from mlq.db import Database, workers
from mlq.db.transitions import RETURNED, Fate
from mlq.db.window import Delivery
from mlq.errors import MlqError
from mlq.lifecycle import Reason, Role, State
from mlq.service import execution
from mlq.service.capacity import Windows
from mlq.settings import Settings, load_settings
from mlq_workers import losses
from mlq_workers.board import Board, Mark, Occupation, Order, process_started
from mlq_workers.clock import boot_time
from mlq_workers.reconciler import Reconciler

logger = logging.getLogger("mlq.keeper")

_WATCH_S = 0.25
#: How long the keeper waits for what would only be kind: a broker that is dead may take long.
_COURTESY_S = 1.0


@dataclass(frozen=True, slots=True)
class Identity:
    """The worker that a keeper belongs to; pid is that of Celery's parent process."""

    id: str
    name: str
    host: str
    pid: int
    version: str
    computes: list[str]
    slots: int
    cores: int
    memory_bytes: int
    gpus: list[dict[str, Any]]


class Keeper:
    """Keeps the leases of the worker `identity`, whose seats are on `board`."""

    def __init__(
        self,
        identity: Identity,
        *,
        board: Board,
        settings: Settings,
        database: Database,
        broker: Broker,
    ) -> None:
        self.identity = identity
        self._board = board
        self._settings = settings
        self._database = database
        self._broker = broker
        self._windows = Windows(per_slot=settings.window_per_slot)
        # A beat that takes longer than this is useless; stop in time to be sure.
        self._margin_s = settings.lease_s * 0.1
        self._parent_started = process_started(identity.pid)
        self._done = threading.Event()
        self._stopped: set[tuple[int, int]] = set()  # (seat, occupation) under SIGSTOP
        self._ended: dict[tuple[int, int], _Ending] = {}
        self._lock = threading.Lock()

    def run(self) -> None:
        """Keep until the worker has gone; then hand back what it held."""
        # A keeper before this one may have stopped commands: what is past its deadline still is.
        self._watch()
        beating = threading.Thread(target=self._beat, name="beat", daemon=True)
        beating.start()
        while not self._done.wait(_WATCH_S):
            if process_started(self.identity.pid) != self._parent_started:
                self._abandon()
                break
            self._watch()
        self._done.set()
        beating.join(timeout=self._settings.heartbeat_s)
        self._retire()

    def stop(self) -> None:
        """Ask `run` to end; the worker stops in good order."""
        self._done.set()

    # -- watching: never blocks on the database ------------------------------------------------

    def _watch(self) -> None:
        now = boot_time()
        drains_at = self._board.drains_at
        for held in self._board.occupations():
            key = (held.seat, held.number)
            if process_started(held.pid) != held.pid_started:
                self._end(held, "lost")
            elif now >= held.time_limit and not held.group:
                self._end(held, "timeout")
            elif now >= held.deadline:
                self._fence(held)
            elif drains_at is not None and now >= drains_at:
                self._drain(held)
            elif key in self._stopped:
                # a later beat has proved that the attempt is still current
                self._stopped.discard(key)
                _signal_group(held.group, signal.SIGCONT)

    def _fence(self, held: Occupation) -> None:
        key = (held.seat, held.number)
        if not held.group:
            self._end(held, "fenced")
        elif key not in self._stopped:
            logger.warning("lease of %s ran out; its command is stopped", held.job_id)
            self._stopped.add(key)
            _signal_group(held.group, signal.SIGSTOP)

    def _drain(self, held: Occupation) -> None:
        if held.group:
            self._board.give_order(held, Order.DRAIN)
        else:
            self._end(held, "drain")

    def _end(self, held: Occupation, why: str) -> None:
        """Kill what holds the seat, and leave the outcome to the beating thread."""
        self._stopped.discard((held.seat, held.number))
        if not self._board.holds(held):
            return  # it has just ended by itself, and its process may hold another attempt now
        if why != "lost":
            with contextlib.suppress(ProcessLookupError):
                os.kill(held.pid, signal.SIGKILL)
        mark = self._board.read_mark(held) if why == "lost" else None
        with self._lock:
            self._ended[held.seat, held.number] = _Ending(held, why, mark, boot_time())
        self._board.vacate(held)

    # -- beating: may block on the database ----------------------------------------------------

    def _beat(self) -> None:
        next_beat = 0.0
        while not self._done.is_set():
            try:
                self._settle_ended()
                if time.monotonic() >= next_beat:
                    next_beat = time.monotonic() + self._settings.heartbeat_s
                    self._renew()
                else:
                    self._look_for_cancels()
            except Exception as error:
                # Whatever it was: without this thread every lease of the worker runs out.
                if isinstance(error, MlqError):
                    logger.warning("heartbeat failed: %s", error)
                else:
                    logger.exception("heartbeat failed")
                next_beat = min(next_beat, time.monotonic() + self._settings.heartbeat_s / 5)
            self._done.wait(self._pause_s(next_beat))

    def _pause_s(self, next_beat: float) -> float:
        if self._ended:
            return 0.05
        return max(0.05, min(self._settings.cancel_poll_s, next_beat - time.monotonic()))

    def _renew(self) -> None:
        held = self._board.occupations()
        asked_at = boot_time()
        state = "draining" if self._board.drains_at is not None else "online"
        pairs = [(job.job_id, job.attempt) for job in held]
        current, takes_work = self._database.transact(
            _beat_and_renew,
            self.identity,
            busy=len(held),
            state=state,
            pairs=pairs,
            lease_s=self._settings.lease_s,
        )
        self._board.refuse_work(not takes_work)
        for job in held:
            canceled = current.get((job.job_id, job.attempt))
            if canceled is None:
                # Either it has just ended by itself, or it was taken from us.
                if self._still_holds(job):
                    logger.warning("%s attempt %d has lost its fence", job.job_id, job.attempt)
                    self._end(job, "stale")
                continue
            self._board.renew(job, asked_at + self._settings.lease_s - self._margin_s)
            if canceled:
                self._cancel(job)

    def _still_holds(self, job: Occupation) -> bool:
        # Completion commits before the seat is vacated: give it that moment.
        time.sleep(0.2)
        return self._board.holds(job)

    def _look_for_cancels(self) -> None:
        held = {(job.job_id, job.attempt): job for job in self._board.occupations()}
        if not held:
            return
        at_trials = {
            mark.trial: job
            for job in held.values()
            if (mark := self._board.read_mark(job)) is not None and mark.trial
        }
        with self._database.read() as conn:
            canceled = workers.canceled(conn, list(held))
            dropped = workers.canceled_trials(conn, list(at_trials))
        for pair in canceled:
            self._cancel(held[pair])
        for trial in dropped:
            self._drop(at_trials[trial], trial)

    def _cancel(self, held: Occupation) -> None:
        if held.group:
            self._board.give_order(held, Order.CANCEL)
        else:
            self._end(held, "cancel")

    def _drop(self, held: Occupation, trial: str) -> None:
        """The trial that a runner is at was canceled; a command is ended by the runner itself."""
        mark = self._board.read_mark(held)
        if not held.group and mark is not None and mark.trial == trial:
            self._end(held, "drop")

    def _settle_ended(self) -> None:
        """Commit the outcome of attempts whose process is dead; keep those that fail for later."""
        with self._lock:
            endings = list(self._ended.items())
        deliveries: list[Delivery] = []
        try:
            for key, ending in endings:
                self._wait_for_death(ending.held)
                if ending.mark is None:  # only now does it not change any more
                    ending = replace(ending, mark=self._board.read_mark(ending.held))
                    with self._lock:
                        self._ended[key] = ending
                deliveries += self._database.transact(
                    _commit_ending,
                    ending,
                    windows=self._windows,
                    max_lost=self._settings.max_lost,
                )
                with self._lock:
                    self._ended.pop(key, None)
        finally:
            self._publish(deliveries)

    def _publish(self, deliveries: list[Delivery]) -> None:
        """A courtesy: the reconciler publishes later what does not get through in a second."""

        def publish() -> None:
            with contextlib.suppress(MlqError):
                self._broker.publish(deliveries)

        if deliveries:
            publishing = threading.Thread(target=publish, name="publish", daemon=True)
            publishing.start()
            publishing.join(timeout=_COURTESY_S)

    def _wait_for_death(self, held: Occupation) -> None:
        while process_started(held.pid) == held.pid_started:
            time.sleep(0.01)

    # -- the end -------------------------------------------------------------------------------

    def _abandon(self) -> None:
        """The worker's parent was killed: nothing of it may run on."""
        logger.error("worker %s was killed", self.identity.name)
        for held in self._board.occupations():
            self._end(held, "abandoned")

    def _retire(self) -> None:
        with contextlib.suppress(MlqError):
            for held in self._board.occupations():
                self._end(held, "drain")
            self._settle_ended()
            self._database.transact(workers.retire, self.identity.id, name=self.identity.name)


@dataclass(frozen=True, slots=True)
class _Ending:
    held: Occupation
    why: str
    mark: Mark | None
    at: float  # boot time


def _beat_and_renew(
    conn: Connection,
    identity: Identity,
    *,
    busy: int,
    state: str,
    pairs: list[tuple[str, int]],
    lease_s: float,
) -> tuple[dict[tuple[str, int], bool], bool]:
    current = workers.renew(conn, pairs, lease_s=lease_s)
    takes_work = workers.beat(conn, identity.id, busy=busy, state=state)
    if takes_work is None:
        workers.register(conn, asdict(identity))
    return current, takes_work is not False


def _commit_ending(
    conn: Connection, ending: _Ending, *, windows: Windows, max_lost: int
) -> list[Any]:
    why = ending.why
    held = execution.adopt(conn, ending.held.job_id, ending.held.attempt)
    if held is None:
        return []  # it had ended by itself
    nothing = execution.Report()
    is_runner = held.claim.role == Role.RUNNER
    if why == "timeout" and is_runner:
        fate = _timed_out(ending)
        finished = execution.release(conn, held, said=nothing, windows=windows, fate=fate)
    elif why == "timeout":
        finished = execution.fail(
            conn,
            held,
            reason=Reason.TIMEOUT,
            error={"code": "timeout", "message": "The step took longer than its timeout."},
            said=nothing,
            windows=windows,
        )
    elif why == "cancel":
        finished = execution.end_canceled(conn, held, said=nothing, windows=windows)
    elif why in ("drain", "drop"):
        finished = execution.release(conn, held, said=nothing, windows=windows)
    else:
        # fenced by itself: the database was away, which is not the step's fault
        excused = why in ("fenced", "stale")
        error = losses.describe(why)
        fate = None
        if is_runner and excused:
            fate = RETURNED
        elif is_runner and ending.mark is not None:
            fate = Fate(
                in_progress=ending.mark.trial,
                error=losses.describe_trial(why),
                losses=1,
                max_lost=max_lost,
            )
        finished = execution.lose(
            conn,
            held.claim,
            error=error,
            max_lost=max_lost,
            excused=excused or fate is not None,  # its trial is charged in its place
            windows=windows,
            fate=fate,
        )
    return finished.deliveries if finished else []


def _timed_out(ending: _Ending) -> Fate:
    """What becomes of a runner's trials when it was killed for a time limit."""
    mark = ending.mark
    if mark is None or not mark.trial or mark.time_limit > ending.at:
        return RETURNED  # the trial that was late had just ended, and the next begun
    return Fate(
        in_progress=mark.trial,
        state=State.FAILED,
        reason=Reason.TIMEOUT,
        error={"code": "timeout", "message": "The trial took longer than its timeout."},
    )


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def run(identity: Identity, *, board: Path, settings: Settings) -> None:
    """Be the keeper of `identity`, in a process of its own, until the worker is gone or SIGTERM."""
    set_process_title("mlq_workers.keeper", info=identity.name)
    # a forked keeper begins with the worker's handlers
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", force=True)
    broker = Broker.open(settings)
    third = settings.lease_s / 3
    keeper = Keeper(
        identity,
        board=Board(board, seats=identity.slots),
        settings=settings,
        # Everything a beat does must be over within a third of the lease.
        database=Database.open(
            settings.database,
            pool_size=1,
            urgent=True,
            timeout_s=third * 0.8,
            statement_timeout_s=third * 0.8,
        ),
        broker=broker,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: keeper.stop())
    reconciler = Reconciler(
        holder=identity.id,
        settings=settings,
        # one connection for its passes, one for what waits on stores and hooks, one for pruning
        database=Database.open(settings.database, pool_size=3),
        broker=broker,
    )
    reconciling = threading.Thread(target=reconciler.run, name="reconcile", daemon=True)
    reconciling.start()
    keeper.run()
    reconciler.stop()
    reconciling.join(timeout=_COURTESY_S)


def main(argv: list[str]) -> None:
    """Run as `python -m mlq_workers.keeper IDENTITY BOARD`, which the worker's bootstep starts."""
    run(Identity(**json.loads(argv[0])), board=Path(argv[1]), settings=load_settings())


if __name__ == "__main__":
    main(sys.argv[1:])
