"""What the reconciler looks for: expired leases, missing messages, leaves left waiting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text, update

from mlq.db.tables import jobs
from mlq.db.transitions.attempts import CLAIM_COLUMNS, Claim
from mlq.db.types import now, now_plus
from mlq.db.window import DISPATCHED, Delivery, with_tails
from mlq.lifecycle import State


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Messages that should be in the broker. overdue: those past the grace."""

    compute: str
    total: int
    overdue: int
    oldest: datetime


def database_time(conn: Connection) -> datetime:
    """The database's clock."""
    moment: datetime = conn.execute(select(now())).scalar_one()
    return moment


def end_stalled(conn: Connection, *, after_s: float) -> int:
    """End transactions of ours that hold their locks and say nothing; how many there were.

    A host that was suspended in the middle of one would keep others from a tree until it wakes.
    PostgreSQL's own idle timeout does not see those that stopped within a batch of statements.
    """
    if conn.dialect.name != "postgresql":
        return 0
    ended = conn.execute(_END_STALLED, {"after_s": float(after_s)}).scalars().all()
    return sum(ended)


_END_STALLED = text(
    "SELECT CASE WHEN pg_terminate_backend(pid) THEN 1 ELSE 0 END FROM pg_stat_activity"
    " WHERE application_name = 'mlq' AND datname = current_database()"
    " AND usename = current_user AND pid <> pg_backend_pid()"
    " AND state = 'idle in transaction' AND wait_event = 'ClientRead'"
    " AND state_change < clock_timestamp() - make_interval(secs => :after_s)"
)


def expired(conn: Connection, *, limit: int) -> list[Claim]:
    """Attempts whose lease has run out, the longest gone first."""
    rows = conn.execute(
        select(*CLAIM_COLUMNS)
        .where(
            jobs.c.state == State.RUNNING.value,
            jobs.c.lease_expires_at.is_not(None),
            jobs.c.lease_expires_at <= now(),
        )
        .order_by(jobs.c.lease_expires_at)
        .limit(limit)
    )
    return [Claim(*row) for row in rows]


def outstanding(conn: Connection, *, grace_s: float) -> list[Outstanding]:
    """Outstanding messages by compute, where some are past the grace."""
    overdue = jobs.c.dispatched_at <= now_plus(-float(grace_s))
    rows = conn.execute(
        select(
            jobs.c.compute,
            func.count().label("total"),
            func.count().filter(overdue).label("overdue"),
            func.min(jobs.c.dispatched_at).label("oldest"),
        )
        .where(jobs.c.state == State.QUEUED.value, jobs.c.dispatched_at.is_not(None))
        .group_by(jobs.c.compute)
    )
    return [Outstanding(*row) for row in rows if row.overdue]


def republish(conn: Connection, compute: str, *, limit: int, older_than_s: float) -> list[Delivery]:
    """Deliver outstanding leaves of `compute` once more, least recently dispatched first."""
    chosen = (
        select(jobs.c.id)
        .where(
            jobs.c.state == State.QUEUED.value,
            jobs.c.compute == compute,
            jobs.c.dispatched_at <= now_plus(-float(older_than_s)),
        )
        .order_by(jobs.c.dispatched_at, jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    rows = conn.execute(
        update(jobs)
        .where(jobs.c.id.in_(select(chosen.c.id)), jobs.c.state == State.QUEUED.value)
        .values(dispatched_at=now())
        .returning(*DISPATCHED)
    ).all()
    return with_tails(conn, rows)


def waiting_computes(conn: Connection) -> list[str]:
    """Computes on which leaves wait for a message."""
    return list(
        conn.scalars(
            select(jobs.c.compute)
            .where(
                jobs.c.state == State.QUEUED.value,
                jobs.c.dispatched_at.is_(None),
                jobs.c.blocked_by.is_(None),
                jobs.c.compute.is_not(None),  # trials wait for a runner, not for a message
            )
            .distinct()
        )
    )


def timed_out(conn: Connection) -> list[str]:
    """Inner jobs that have run, or waited for a decision, longer than their timeout."""
    return list(
        conn.scalars(
            select(jobs.c.id).where(
                jobs.c.state.in_((State.RUNNING.value, State.WAITING.value)),
                jobs.c.timeout_s.is_not(None),
                jobs.c.started_at <= now_plus(-jobs.c.timeout_s),
                jobs.c.reason.is_(None),
            )
        )
    )
