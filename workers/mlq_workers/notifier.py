"""Sends deliveries of webhooks: signed, guarded against inner addresses, tried again.

Runs beside the reconciler's passes, in a thread of its own: receivers may take their time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import RowMapping

from mlq.addresses import pinned
from mlq.db import Database
from mlq.db import webhooks as rows
from mlq.db.recovery import database_time
from mlq.errors import MlqError
from mlq.service import webhooks
from mlq.settings import Settings

logger = logging.getLogger("mlq.notifier")

TIMEOUT_S = 10.0
_AT_ONCE = 50
_CLEAN_EVERY = timedelta(hours=1)


class Notifier:
    """Makes deliveries of events, and sends those that are due."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._sending = ThreadPoolExecutor(1, thread_name_prefix="notify")
        self._sent: Future[None] | None = None
        self._clean_after: datetime | None = None

    def run(self, *, now: datetime) -> None:
        """Note what is to be told, and begin to tell it."""
        with self._database.read() as conn:
            known = rows.list_all(conn)
        for webhook in known:
            self._database.transact(
                webhooks.make_deliveries, webhook, base_url=self._settings.api_url, now=now
            )
        if known and (self._sent is None or self._sent.done()):
            self._sent = self._sending.submit(self._send_due)
        if known and (self._clean_after is None or now >= self._clean_after):
            self._clean_after = now + _CLEAN_EVERY
            self._database.transact(webhooks.forget, now=now)

    def close(self) -> None:
        """Begin nothing any more; a try that is under way counts as failed."""
        self._sending.shutdown(wait=False, cancel_futures=True)

    def _send_due(self) -> None:
        try:
            send_due(self._database, self._settings)
        except MlqError as error:
            logger.warning("webhooks were not sent: %s", error)
        except Exception:
            logger.exception("webhooks were not sent")


def send_due(database: Database, settings: Settings) -> int:
    """Try every delivery that is due once; how many were tried."""
    with database.read() as conn:
        due = rows.due(conn, now=database_time(conn), limit=_AT_ONCE)
    for delivery in due:
        if not database.transact(_take, delivery):
            continue  # another leader was first
        status, error = _try(delivery, settings)
        database.transact(_settle, delivery, status=status, error=error)
        logger.info(
            "webhook %s: %s",
            delivery["webhook"],
            error or f"told of {delivery['payload']['kind']}",
            extra={"action": "webhook_tried", "delivery": delivery["id"], "status": status},
        )
    return len(due)


def _take(conn: Any, delivery: RowMapping) -> bool:
    until = database_time(conn) + timedelta(seconds=webhooks.TRY_S)
    return rows.take(conn, delivery["id"], tries=delivery["tries"], until=until)


def _settle(conn: Any, delivery: RowMapping, *, status: int | None, error: str | None) -> None:
    tries = delivery["tries"] + 1
    values = webhooks.outcome_of_try(
        tries=tries, status=status, error=error, now=database_time(conn)
    )
    rows.settle(conn, delivery["id"], tries=tries, values=values)


def _try(delivery: RowMapping, settings: Settings) -> tuple[int | None, str | None]:
    """Send once; the HTTP status, and what went wrong."""
    # what sends is imported by who sends: every worker has this module, few have webhooks
    import smtplib

    import httpx

    try:
        if delivery["form"] == "email":
            send_mail(delivery["target"], delivery["payload"], settings)
            return None, None
        return _post(delivery, settings)
    except (MlqError, httpx.HTTPError, httpx.InvalidURL, OSError, smtplib.SMTPException) as error:
        return None, str(error) or type(error).__name__


# HTTP -----------------------------------------------------------------------------------------


def _post(delivery: RowMapping, settings: Settings) -> tuple[int | None, str | None]:
    import httpx

    payload: Any = delivery["payload"]
    if delivery["form"] == "slack":
        payload = {"text": say(delivery["payload"])}
    body = json.dumps(payload, ensure_ascii=False).encode()
    timestamp = str(int(time.time()))
    headers = {
        "content-type": "application/json",
        "user-agent": "mlq",
        **sign(delivery["secret"], delivery["id"], timestamp, body),
    }
    url, extensions = pinned(
        delivery["target"], allowed=settings.webhook_hosts, setting="MLQ_WEBHOOK_HOSTS"
    )
    headers["host"] = httpx.URL(delivery["target"]).netloc.decode()
    # no redirects, no proxy of the environment: they could lead past the check of the address
    with (
        httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
        client.stream("POST", url, content=body, headers=headers, extensions=extensions) as answer,
    ):
        error = None if answer.is_success else f"It answered {answer.status_code}."
        return answer.status_code, error


def sign(secret: str, delivery_id: str, timestamp: str, body: bytes) -> dict[str, str]:
    """Headers of the Standard Webhooks specification (version 1): HMAC-SHA-256 over
    `ID.TIMESTAMP.BODY`, keyed with the secret's text, in base64."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


# people ---------------------------------------------------------------------------------------


def say(payload: Mapping[str, Any]) -> str:
    """An event as a line for people."""
    kind = payload["kind"]
    job = payload.get("job")
    if job:
        name = ".".join(filter(None, (job["display_name"], job["path"] if job["path"] else "")))
        words = {
            "job.succeed": "succeeded",
            "job.fail": f"failed ({job['reason']})" if job["reason"] else "failed",
            "job.cancel": "was canceled",
            "job.wait": "waits for a decision",
            "job.submit": f"was submitted by {job['submitted_by']}",
        }.get(kind, kind)
        text = f"{name} {words}"
        message = (job["error"] or {}).get("message")
        if message and kind == "job.fail":
            text += f": {message}"
        return f"{text}\n{job['url']}" if job.get("url") else text
    by = f" by {payload['actor']}" if payload.get("actor") else ""
    return f"{kind} {payload.get('subject', '')}{by}".replace("  ", " ")


def send_mail(to: str, payload: Mapping[str, Any], settings: Settings) -> None:
    """Send an event as e-mail through MLQ_SMTP_URL. Raises MlqError where none is set."""
    address = settings.smtp_url.get_secret_value()
    if not address:
        raise MlqError(
            "No mail server is set.", code="settings", hint="Set MLQ_SMTP_URL and MLQ_SMTP_SENDER."
        )
    url = urlsplit(address)
    message = EmailMessage()
    text = say(payload)
    message["Subject"] = f"[mlq] {text.splitlines()[0]}"[:200]
    message["From"] = settings.smtp_sender or "mlq@localhost"
    message["To"] = to
    message.set_content(f"{text}\n\n{json.dumps(payload, indent=2, ensure_ascii=False)}\n")
    import smtplib

    kind = smtplib.SMTP_SSL if url.scheme == "smtps" else smtplib.SMTP
    default = 465 if url.scheme == "smtps" else 25
    with kind(url.hostname or "localhost", url.port or default, timeout=TIMEOUT_S) as server:
        if url.scheme == "smtp+starttls":
            server.starttls()
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(message)
