"""The reconciler: makes what should be so, so. One worker at a time leads.

It expires leases of silent workers, publishes messages again that the broker no longer has, and
fills the dispatch windows. Everything it does is guarded by the database, so that two leaders at
once (a pause at the wrong moment) do no harm.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from mlq.broker import Broker
from mlq.db import Database, idempotency, leases, limits, recovery, rollouts, workers
from mlq.db.leases import Lease
from mlq.db.transitions import Claim
from mlq.db.window import Delivery
from mlq.errors import MlqError, UnavailableError
from mlq.service import execution
from mlq.service.capacity import Windows
from mlq.service.jobs import dispatch, time_out
from mlq.service.limits import wake as wake_blocked
from mlq.service.rollouts import advance as drive_rollout
from mlq.settings import Settings
from mlq_workers import losses
from mlq_workers.clock import boot_time
from mlq_workers.janitor import Janitor
from mlq_workers.notifier import Notifier
from mlq_workers.scheduler import Scheduler

logger = logging.getLogger("mlq.reconciler")

DUTY = "reconciler"
_EXPIRE_AT_ONCE = 200
_REPUBLISH_AT_ONCE = 500
# A message seems to be in the broker, and yet a slot has been free all the time.
_STUCK_AFTER_S = 60.0
#: A transaction of ours takes milliseconds; one that has said nothing for so long will not.
_STALLED_S = 8.0
_CLOCK_TOLERANCE_S = 2.0
_KEEP_KEYS_S = 7 * 86400.0
_KEEP_COUNTS_S = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks at one moment: the database's, and this machine's boot time."""

    database: datetime
    boot: float


class Reconciler:
    """Runs passes for as long as `holder` can hold the duty."""

    def __init__(
        self,
        *,
        holder: str,
        settings: Settings,
        database: Database,
        broker: Broker,
        boot_clock: Callable[[], float] = boot_time,
    ) -> None:
        self._holder = holder
        self._settings = settings
        self._database = database
        self._broker = broker
        self._boot_clock = boot_clock
        self._windows = Windows(per_slot=settings.window_per_slot)
        self._scheduler = Scheduler(settings, database, windows=self._windows)
        self._notifier = Notifier(settings, database)
        self._janitor = Janitor(settings, database, clock=boot_clock)
        self._stopping = threading.Event()
        self._clocks: Clocks | None = None
        self._was_away = False  # the database has been, since the last pass
        self._spare_until = float("-inf")  # boot time until which no lease is expired
        self._excuse_until = float("-inf")
        self._next_cleaning = 0.0

    def run(self) -> None:
        """Reconcile until `stop`."""
        while not self._stopping.wait(self._settings.reconcile_s):
            self.try_to_reconcile()
        self._scheduler.close()
        self._notifier.close()
        try:
            self._database.transact(leases.release, DUTY, holder=self._holder)
        except MlqError:
            logger.info("the duty ends by itself")

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopping.set()

    def try_to_reconcile(self) -> None:
        """Make one pass; after one that failed, leases are spared for a while."""
        try:
            self.reconcile()
        except Exception as error:
            if isinstance(error, MlqError):
                logger.warning("reconciling failed: %s", error)
            else:
                logger.exception("reconciling failed")
            self._clocks = None  # measure anew
            self._was_away = True

    def reconcile(self) -> bool:
        """Make one pass; False while another worker leads."""
        lease, moment = self._database.transact(
            _lead, holder=self._holder, lease_s=self._settings.leader_lease_s
        )
        if lease is None:
            self._clocks = None
            return False
        self._compare_clocks(Clocks(moment, self._boot_clock()), is_new=lease.is_new)
        self._end_stalled()
        spared = self._boot_clock() < self._spare_until
        deliveries = [] if spared else self._expire()
        deliveries += self._time_out()
        deliveries += self._scheduler.run(now=moment)
        self._roll_out()
        self._notifier.run(now=moment)
        self._clean()
        self._janitor.run()
        try:
            self._publish(deliveries)
            self._republish()
            self._refill()
        except UnavailableError as error:
            if error.code != "broker_unavailable":
                raise
            # no reason to spare leases: workers renew them without the broker
            logger.warning("nothing can be published: %s", error)
        return True

    def _compare_clocks(self, clocks: Clocks, *, is_new: bool) -> None:
        """Spare running leaves after anything that may have kept them from renewing."""
        before, self._clocks = self._clocks, clocks
        was_away, self._was_away = self._was_away, False
        if was_away:
            # Whoever leads from now on: nobody could renew, and workers need time to come back.
            spare_s = self._settings.lease_s
        elif is_new or before is None:
            # Nobody watched for a while. A healthy worker renews within a heartbeat.
            spare_s = self._settings.heartbeat_s
        else:
            by_database = (clocks.database - before.database).total_seconds()
            by_boot = clocks.boot - before.boot
            paused = by_boot > self._settings.reconcile_s * 3 + _CLOCK_TOLERANCE_S
            jumped = abs(by_database - by_boot) > _CLOCK_TOLERANCE_S
            if not paused and not jumped:
                return
            logger.warning("clocks moved %.1f s and %.1f s apart", by_database, by_boot)
            spare_s = self._settings.lease_s
        self._spare_until = clocks.boot + spare_s
        self._excuse_until = self._spare_until + self._settings.reconcile_s * 2

    def _end_stalled(self) -> None:
        with self._database.read() as conn:
            ended = recovery.end_stalled(conn, after_s=_STALLED_S)
        if ended:
            logger.warning("ended %d transactions whose process had stopped within them", ended)

    def _expire(self) -> list[Delivery]:
        with self._database.read() as conn:
            expired = recovery.expired(conn, limit=_EXPIRE_AT_ONCE)
        excused = self._boot_clock() < self._excuse_until
        deliveries: list[Delivery] = []
        for claim in expired:
            deliveries += self._database.transact(
                _lose,
                claim,
                excused=excused,
                max_lost=self._settings.max_lost,
                windows=self._windows,
            )
        return deliveries

    def _roll_out(self) -> None:
        """Drive rollouts on. One that cannot be does not keep the others from it."""
        with self._database.read() as conn:
            running = rollouts.find_running(conn)
        for endpoint in running:
            try:
                self._database.transact(drive_rollout, endpoint)
            except UnavailableError:
                raise
            except MlqError as error:
                logger.warning("the rollout of %s cannot go on: %s", endpoint, error)

    def _time_out(self) -> list[Delivery]:
        """Stop pipelines that take longer than they may; leaves are their workers' affair."""
        with self._database.read() as conn:
            overdue = recovery.timed_out(conn)
        deliveries: list[Delivery] = []
        for job_id in overdue:
            deliveries += self._database.transact(time_out, job_id, windows=self._windows)
        return deliveries

    def _republish(self) -> None:
        grace_s = self._settings.republish_grace_s
        with self._database.read() as conn:
            overdue = recovery.outstanding(conn, grace_s=grace_s)
            idle = workers.idle_since(conn) if overdue else {}
            moment = recovery.database_time(conn) if overdue else datetime.now(UTC)
        for messages in overdue:
            compute = messages.compute
            long_ago = moment - timedelta(seconds=_STUCK_AFTER_S)
            if messages.oldest < long_ago and idle.get(compute, moment) < long_ago:
                self._deliver_again(compute, limit=_REPUBLISH_AT_ONCE, older_than_s=_STUCK_AFTER_S)
                continue
            missing = min(messages.total - self._broker.depth(compute), messages.overdue)
            if missing > 0:
                self._deliver_again(
                    compute, limit=min(missing, _REPUBLISH_AT_ONCE), older_than_s=grace_s
                )

    def _deliver_again(self, compute: str, *, limit: int, older_than_s: float) -> None:
        deliveries = self._database.transact(
            recovery.republish, compute, limit=limit, older_than_s=older_than_s
        )
        if deliveries:
            logger.info("publishing %d messages of %s again", len(deliveries), compute)
        self._publish(deliveries)

    def _refill(self) -> None:
        with self._database.read() as conn:
            computes = recovery.waiting_computes(conn)
            is_blocked = bool(limits.blocking(conn))
        if is_blocked:
            self._publish(self._database.transact(wake_blocked, self._windows))
        for compute in computes:
            self._publish(self._database.transact(dispatch, [compute], self._windows))

    def _clean(self) -> None:
        if self._boot_clock() >= self._next_cleaning:
            self._next_cleaning = self._boot_clock() + 3600
            self._database.transact(idempotency.forget, older_than_s=_KEEP_KEYS_S)
            self._database.transact(rollouts.forget_counts, older_than_s=_KEEP_COUNTS_S)

    def _publish(self, deliveries: list[Delivery]) -> None:
        # What cannot be published now is overdue again after the grace.
        self._broker.publish(deliveries)


def _lead(conn: Connection, *, holder: str, lease_s: float) -> tuple[Lease | None, datetime]:
    return leases.hold(conn, DUTY, holder=holder, lease_s=lease_s), recovery.database_time(conn)


def _lose(
    conn: Connection, claim: Claim, *, excused: bool, max_lost: int, windows: Windows
) -> list[Delivery]:
    finished = execution.lose(
        conn,
        claim,
        error=losses.describe("expired"),
        max_lost=max_lost,
        excused=excused,
        only_expired=True,
        windows=windows,
    )
    return finished.deliveries if finished else []
