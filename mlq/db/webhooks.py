"""All statements over webhooks and their deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.engine import RowMapping

from mlq.db.events import Cursor
from mlq.db.tables import jobs, webhook_deliveries, webhooks
from mlq.db.upsert import conflict_insert


def find(conn: Connection, name: str) -> RowMapping | None:
    """A webhook, or None."""
    return conn.execute(select(webhooks).where(webhooks.c.name == name)).mappings().one_or_none()


def list_all(conn: Connection) -> Sequence[RowMapping]:
    """All webhooks by name."""
    return conn.execute(select(webhooks).order_by(webhooks.c.name)).mappings().all()


def put(conn: Connection, values: Mapping[str, Any]) -> bool:
    """Store a webhook; of one that is there, what it is told and where. True for a new one."""
    changed = {key: values[key] for key in ("form", "target", "kinds")}
    done = conn.execute(
        update(webhooks).where(webhooks.c.name == values["name"]).values(changed)
    ).rowcount
    if not done:
        conn.execute(insert(webhooks).values(dict(values)))
    return not done


def remove(conn: Connection, name: str) -> None:
    """Remove a webhook with its deliveries."""
    conn.execute(delete(webhook_deliveries).where(webhook_deliveries.c.webhook == name))
    conn.execute(delete(webhooks).where(webhooks.c.name == name))


def move_on(conn: Connection, name: str, *, before: Cursor, after: Cursor) -> bool:
    """Note that a webhook has its deliveries up to `after`; False when somebody else was first."""
    return bool(
        conn.execute(
            update(webhooks)
            .where(
                webhooks.c.name == name,
                webhooks.c.seen_txid == before.txid,
                webhooks.c.seen_id == before.id,
            )
            .values(seen_txid=after.txid, seen_id=after.id)
        ).rowcount
    )


def add_deliveries(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store deliveries; what is there already stays."""
    if rows:
        statement = conflict_insert(conn, webhook_deliveries).on_conflict_do_nothing()
        conn.execute(statement, [dict(row) for row in rows])


def due(conn: Connection, *, now: datetime, limit: int) -> Sequence[RowMapping]:
    """Deliveries that are due, with their webhook's columns."""
    return (
        conn.execute(
            select(
                webhook_deliveries,
                webhooks.c.form,
                webhooks.c.target,
                webhooks.c.secret,
            )
            .join(webhooks, webhooks.c.name == webhook_deliveries.c.webhook)
            .where(webhook_deliveries.c.state == "pending", webhook_deliveries.c.next_at <= now)
            .order_by(webhook_deliveries.c.next_at)
            .limit(limit)
        )
        .mappings()
        .all()
    )


def take(conn: Connection, delivery_id: str, *, tries: int, until: datetime) -> bool:
    """Take a delivery for one try; until: when another may, should this one say nothing."""
    return bool(
        conn.execute(
            update(webhook_deliveries)
            .where(
                webhook_deliveries.c.id == delivery_id,
                webhook_deliveries.c.state == "pending",
                webhook_deliveries.c.tries == tries,
            )
            .values(tries=tries + 1, next_at=until)
        ).rowcount
    )


def settle(conn: Connection, delivery_id: str, *, tries: int, values: Mapping[str, Any]) -> None:
    """Note what came of a try, unless another has begun meanwhile."""
    conn.execute(
        update(webhook_deliveries)
        .where(
            webhook_deliveries.c.id == delivery_id,
            webhook_deliveries.c.tries == tries,
            webhook_deliveries.c.state == "pending",
        )
        .values(dict(values))
    )


def page_deliveries(
    conn: Connection, name: str, *, limit: int, before: str | None = None
) -> Sequence[RowMapping]:
    """Deliveries, newest first; before: the last id of a page."""
    query = (
        select(webhook_deliveries)
        .where(webhook_deliveries.c.webhook == name)
        .order_by(webhook_deliveries.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(webhook_deliveries.c.id < before)
    return conn.execute(query).mappings().all()


def forget(conn: Connection, *, before: datetime) -> None:
    """Drop deliveries that were settled long ago."""
    conn.execute(
        delete(webhook_deliveries).where(
            webhook_deliveries.c.state != "pending", webhook_deliveries.c.created_at < before
        )
    )


def describe_jobs(conn: Connection, ids: Sequence[str]) -> dict[str, RowMapping]:
    """What is told of jobs; `display_name` is the whole job's, of which `path` says the step."""
    root = jobs.alias("root")
    rows = conn.execute(
        select(
            jobs.c.id,
            jobs.c.root_id,
            jobs.c.type,
            jobs.c.path,
            root.c.display_name,
            jobs.c.experiment,
            jobs.c.submitted_by,
            jobs.c.error,
        )
        .join(root, root.c.id == jobs.c.root_id)
        .where(jobs.c.id.in_(ids))
    )
    return {row["id"]: row for row in rows.mappings()}
