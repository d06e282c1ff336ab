"""Webhooks on an open transaction: who is told of which events, and what they are told.

The history is the source: deliveries are made from events in the order they were committed, in the
transaction that moves the webhook on, so that each event makes one delivery. It is sent at least
once; receivers tell repetitions by its id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from mlq.db import events
from mlq.db import webhooks as rows
from mlq.db.events import Cursor, Event, record
from mlq.errors import NotFoundError, nearest
from mlq.ids import new_id
from mlq.service.names import check_name, invalid

FORMS = ("json", "slack", "email")
#: Seconds after a try that failed; after the last one the delivery has failed.
PAUSES_S = (10, 40, 160, 640, 2560, 10240)
#: What `job` stands for: not how a job got from state to state, but what came of it.
_NEWS_OF_JOBS = frozenset(
    {"job.submit", "job.succeed", "job.fail", "job.cancel", "job.wait", "job.resume"}
)
#: For how long a try is nobody else's.
TRY_S = 60
_AT_ONCE = 200
_KEPT = timedelta(days=30)
_KIND = re.compile(r"[a-z]+(\.[a-z_]+)?")
_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+")


def put(
    conn: Connection,
    *,
    name: str,
    form: str,
    target: str,
    kinds: Sequence[str],
    secret: str,
    actor: str,
    now: datetime,
) -> tuple[RowMapping, bool]:
    """Make a webhook that is told of events from now on, or change it.

    kinds: `job.fail`, or `model` for everything about models. Raises MlqError (code `invalid`).
    """
    check_name(name, what="webhook")
    if form not in FORMS:
        raise invalid(f"'{form:.40}' is no form of a webhook.", hint=f"Use {', '.join(FORMS)}.")
    check_target(form, target)
    if not kinds or not all(_KIND.fullmatch(kind) for kind in kinds):
        raise invalid(
            "A webhook needs kinds of events, such as job.fail or model.",
            hint="They are listed in docs/reference/events.md.",
        )
    place = events.newest(conn)
    created = rows.put(
        conn,
        {
            "name": name,
            "form": form,
            "target": target,
            "kinds": sorted(set(kinds)),
            "secret": secret,
            "seen_txid": place.txid,
            "seen_id": place.id,
            "created_by": actor,
            "created_at": now,
        },
    )
    record(
        conn, f"webhook.{'create' if created else 'update'}", subject=f"webhook:{name}", actor=actor
    )
    return find(conn, name), created


def check_target(form: str, target: str) -> None:
    """Raise MlqError (code `invalid`) for what cannot be a target; whom it leads to is checked
    when it is sent."""
    if form == "email":
        if not _ADDRESS.fullmatch(target):
            raise invalid(f"'{target:.80}' is no e-mail address.")
        return
    try:
        url = urlsplit(target)
        port = url.port
    except ValueError as error:
        raise invalid(f"'{target:.80}' is no address: {error}.") from None
    if url.scheme not in ("http", "https") or not url.hostname or port == 0:
        raise invalid(f"'{target:.80}' is no http or https address.")
    if url.username is not None or url.password is not None:
        raise invalid("A webhook's address carries no password.", hint="Its body is signed.")


def find(conn: Connection, name: str) -> RowMapping:
    """A webhook. Raises NotFoundError with the nearest name."""
    found = rows.find(conn, name)
    if found is None:
        close = nearest(name, [row["name"] for row in rows.list_all(conn)])
        raise NotFoundError(
            f"There is no webhook '{name}'.",
            hint=f"Did you mean '{close}'?" if close else "`mlq webhook list` shows what there is.",
        )
    return found


def delete(conn: Connection, name: str, *, actor: str) -> None:
    """Remove a webhook with its log."""
    find(conn, name)
    rows.remove(conn, name)
    record(conn, "webhook.delete", subject=f"webhook:{name}", actor=actor)


def add_test(conn: Connection, name: str, *, actor: str, now: datetime) -> str:
    """Send an event of the kind `test`; returns the id of its delivery."""
    find(conn, name)
    delivery_id = new_id()
    payload = {"kind": "test", "at": _iso(now), "actor": actor}
    rows.add_deliveries(
        conn, [_delivery(name, f"test:{delivery_id[:32]}", payload, now, delivery_id)]
    )
    return delivery_id


def make_deliveries(conn: Connection, webhook: RowMapping, *, base_url: str, now: datetime) -> int:
    """Turn the next events into deliveries; how many events were looked at."""
    before = Cursor(webhook["seen_txid"], webhook["seen_id"])
    found = events.read_after(conn, before, limit=_AT_ONCE)
    if not found or not rows.move_on(conn, webhook["name"], before=before, after=found[-1].cursor):
        return 0
    wanted = [event for event in found if _is_wanted(event, webhook["kinds"])]
    known = rows.describe_jobs(conn, [event.job_id for event in wanted if event.job_id])
    rows.add_deliveries(
        conn,
        [
            _delivery(webhook["name"], str(event.cursor), _payload(event, known, base_url), now)
            for event in wanted
        ],
    )
    return len(found)


def outcome_of_try(
    *, tries: int, status: int | None, error: str | None, now: datetime
) -> Mapping[str, Any]:
    """The columns of a delivery after its try number `tries`."""
    if error is None:
        return {
            "state": "delivered",
            "status": status,
            "error": None,
            "next_at": None,
            "delivered_at": now,
        }
    if tries > len(PAUSES_S):
        return {"state": "failed", "status": status, "error": error[:1000], "next_at": None}
    pause = timedelta(seconds=PAUSES_S[tries - 1])
    return {"status": status, "error": error[:1000], "next_at": now + pause}


def forget(conn: Connection, *, now: datetime) -> None:
    """Keep the log for a month."""
    rows.forget(conn, before=now - _KEPT)


def _is_wanted(event: Event, kinds: Sequence[str]) -> bool:
    # of the steps of a job only what asks for a person: a pipeline of hundreds is one message
    if event.job_id is not None and event.job_id != event.root_id and event.kind != "job.wait":
        return False
    subject = event.kind.partition(".")[0]
    is_news = subject != "job" or event.kind in _NEWS_OF_JOBS
    return event.kind in kinds or (subject in kinds and is_news)


def _payload(event: Event, known: Mapping[str, RowMapping], base_url: str) -> dict[str, Any]:
    payload: dict[str, Any] = {"kind": event.kind, "at": _iso(event.at), "actor": event.actor}
    job = known.get(event.job_id or "")
    if job is not None:
        payload["job"] = {
            "id": job["id"],
            "root_id": job["root_id"],
            "type": job["type"],
            "path": job["path"],
            "display_name": job["display_name"],
            "experiment_name": job["experiment"],
            "submitted_by": job["submitted_by"],
            "state": event.state,
            "reason": event.reason,
            "error": job["error"],
        }
        if base_url:
            payload["job"]["url"] = f"{base_url}/jobs/{job['root_id']}"
    if event.subject is not None:
        payload["subject"] = event.subject
    if event.detail:
        payload["detail"] = dict(event.detail)
    return payload


def _delivery(
    webhook: str, event: str, payload: Mapping[str, Any], now: datetime, delivery_id: str = ""
) -> dict[str, Any]:
    return {
        "id": delivery_id or new_id(),
        "webhook": webhook,
        "event": event,
        "payload": dict(payload),
        "state": "pending",
        "tries": 0,
        "next_at": now,
        "created_at": now,
        "is_test": event.startswith("test:"),
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
