"""Outbound webhooks: from an event to a receiver that listens, on a database of each kind."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from mlq.db import webhooks as rows
from mlq.db.engine import Database
from mlq.db.events import record
from mlq.db.recovery import database_time
from mlq.db.tables import webhook_deliveries
from mlq.db.types import now_plus
from mlq.errors import MlqError
from mlq.service import webhooks as service
from mlq.settings import Settings
from mlq_workers import notifier
from tests.integration.db.plans import Leaf, Pipe
from tests.integration.db.queue import Queue

SECRET = "not a secret"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url, pool_size=3)
    yield opened
    opened.close()


class Receiver:
    """A server that answers what it is told to, and remembers."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(outer.status)
                if outer.status == 302:
                    self.send_header("location", f"http://127.0.0.1:{outer.port}/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://localhost:{self.port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


class World:
    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings

    def put(self, target: str, *kinds: str, form: str = "json") -> None:
        with self.database.write() as conn:
            service.put(
                conn, name="w", form=form, target=target, kinds=kinds, secret=SECRET,
                actor="ann", now=database_time(conn),
            )  # fmt: skip

    def pass_(self) -> int:
        """What the leader does: make deliveries, and send those that are due."""
        with self.database.read() as conn:
            known = rows.list_all(conn)
            now = database_time(conn)
        for webhook in known:
            self.database.transact(
                service.make_deliveries, webhook, base_url="http://mlq.test", now=now
            )
        return notifier.send_due(self.database, self.settings)

    def log(self) -> list[Any]:
        with self.database.read() as conn:
            return list(conn.execute(select(webhook_deliveries).order_by(webhook_deliveries.c.id)))

    def let_pause_pass(self) -> timedelta:
        (row, *_) = self.log()
        with self.database.write() as conn:
            now: datetime = database_time(conn)
            conn.execute(update(webhook_deliveries).values(next_at=now_plus(-1.0)))
        return row.next_at - now


@pytest.fixture
def world(database: Database) -> World:
    return World(database, Settings(webhook_hosts=["localhost"]))


def test_an_event_is_told_once_and_signed(world: World, receiver: Receiver) -> None:
    queue = Queue(world.database)
    queue.submit(Leaf()).fail()  # before it was asked for
    world.put(receiver.url, "job.fail", "model")
    tree = queue.submit(Pipe({"a": Leaf(), "b": Leaf()}), name="churn")
    tree.fail("a")
    tree.run("b")
    with world.database.write() as conn:
        record(conn, "model.promote", subject="models:/churn", actor="ann", detail={"version": 2})
        record(conn, "token.create", subject="token:ci", actor="ann")
    assert world.pass_() == 2
    assert world.pass_() == 0

    (headers, body), (_, second) = receiver.got
    told = json.loads(body)
    assert (told["kind"], told["job"]["id"], told["job"]["state"]) == (
        "job.fail",
        tree.id,
        "failed",
    )
    assert told["job"]["url"] == f"http://mlq.test/jobs/{tree.id}"
    assert json.loads(second)["subject"] == "models:/churn"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert headers["host"] == f"localhost:{receiver.port}"
    assert [(row.state, row.status, row.tries) for row in world.log()] == [
        ("delivered", 200, 1)
    ] * 2


def test_what_fails_is_tried_again_with_longer_pauses_and_then_given_up(
    world: World, receiver: Receiver
) -> None:
    world.put(receiver.url, "model")
    receiver.status = 503
    with world.database.write() as conn:
        record(conn, "model.promote", subject="models:/churn", actor="ann")
    pauses = []
    for _ in service.PAUSES_S:
        assert world.pass_() == 1
        assert world.pass_() == 0, "not before its time"
        pauses.append(round(world.let_pause_pass().total_seconds(), -1))
    assert pauses == [*service.PAUSES_S]
    assert world.pass_() == 1
    (row,) = world.log()
    assert (row.state, row.tries, row.status) == ("failed", len(service.PAUSES_S) + 1, 503)
    ids = {headers["webhook-id"] for headers, _ in receiver.got}
    assert len(ids) == 1, "receivers can tell repetitions"
    world.let_pause_pass() if row.next_at else None
    assert world.pass_() == 0


def test_a_try_that_is_under_way_is_nobody_elses(world: World, receiver: Receiver) -> None:
    world.put(receiver.url, "model")
    with world.database.write() as conn:
        service.add_test(conn, "w", actor="ann", now=database_time(conn))
        (due,) = rows.due(conn, now=database_time(conn), limit=9)
        until = database_time(conn) + timedelta(seconds=60)
        assert rows.take(conn, due["id"], tries=0, until=until)
        assert not rows.take(conn, due["id"], tries=0, until=until)
    assert world.pass_() == 0


def test_a_redirect_is_not_followed(world: World, receiver: Receiver) -> None:
    world.put(receiver.url, "model")
    receiver.status = 302
    with world.database.write() as conn:
        service.add_test(conn, "w", actor="ann", now=database_time(conn))
    world.pass_()
    assert len(receiver.got) == 1
    assert world.log()[0].error == "It answered 302."


def test_chat_gets_a_line(world: World, receiver: Receiver) -> None:
    world.put(receiver.url, "job", form="slack")
    Queue(world.database).submit(Leaf(), name="churn").fail()
    world.pass_()
    texts = [json.loads(body)["text"].splitlines()[0] for _, body in receiver.got]
    assert "churn was submitted by ann" in texts
    assert "churn failed (error): It went wrong." in texts


def test_what_is_told_of_a_step_names_its_job(world: World) -> None:
    tree = Queue(world.database).submit(Pipe({"train": Leaf()}), name="churn")
    with world.database.read() as conn:
        told = rows.describe_jobs(conn, list(tree.ids.values()))
    assert {(row["display_name"], row["path"]) for row in told.values()} == {
        ("churn", ""),
        ("churn", "train"),
    }


class Mailbox(socketserver.StreamRequestHandler):
    """Enough of SMTP to take one message."""

    mails: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        while line := self.rfile.readline():
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (line := self.rfile.readline()) != b".\r\n":
                    lines.append(line.decode())
                self.mails.append("".join(lines))
            elif line.upper().startswith(b"QUIT"):
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


def test_people_get_a_mail(world: World) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Mailbox) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"smtp://127.0.0.1:{server.server_address[1]}"
        world.settings = Settings(smtp_url=SecretStr(url), smtp_sender="mlq@example.org")
        world.put("ann@example.org", "job", form="email")
        Queue(world.database).submit(Leaf(), name="churn").fail()
        world.pass_()
        server.shutdown()
    assert [row.state for row in world.log()] == ["delivered", "delivered"]
    mail = next(mail for mail in Mailbox.mails if "failed" in mail)
    assert "Subject: [mlq] churn failed (error): It went wrong." in mail
    assert "To: ann@example.org" in mail


@pytest.mark.parametrize(
    ("form", "target"),
    [
        ("json", "file:///etc/passwd"),
        ("json", "gopher://x/"),
        ("json", "hooks.example.org"),
        ("json", "https://user:pass@hooks.example.org/"),
        ("slack", "http:///x"),
        ("email", "ann"),
        ("email", "ann@example.org, bob@example.org"),
        ("telegram", "https://x.example.org/"),
    ],
)
def test_what_is_no_target_is_refused(world: World, form: str, target: str) -> None:
    with pytest.raises(MlqError) as caught:
        world.put(target, "job.fail", form=form)
    assert caught.value.code == "invalid"
