"""The pairs of servers that faults are tried on, each behind a proxy."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from benchmarks.chaos.field import Field
from benchmarks.chaos.proxy import Proxy
from mlq.db.migrate import upgrade
from mlq.onemachine import ports
from tests.acceptance.stack import Stack
from tests.servers import (
    Broker,
    EmbeddedPostgres,
    RabbitServer,
    RealRedis,
    ServerUnavailable,
    Valkey,
)

ROOT = Path(__file__).parents[2]
PAIRS = ("sqlite+valkey", "postgresql+redis", "postgresql+rabbitmq")


@contextmanager
def open_field(pair: str, rng: Random, **settings: float | str) -> Iterator[Field]:
    """An installation on `pair` of servers with an API and a worker; settings: of all its parts."""
    database_kind, _, broker_kind = pair.partition("+")
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="mlq-chaos-")))
        broker = _open_broker(opened, broker_kind, folder)
        postgres = None
        if database_kind == "sqlite":
            url = f"sqlite:///{folder / 'mlq.db'}"
        else:
            postgres = EmbeddedPostgres()
            opened.callback(postgres.close)
            url = postgres.create()
        upgrade(url)
        routes = {}
        broker_proxy, routes["broker_url"] = _route(opened, broker.url)
        database_proxy = None
        if postgres is not None:
            database_proxy, routes["database_url"] = _route(opened, url)
        stack = opened.enter_context(
            Stack(folder / "home", database_url=url, broker=broker, **settings)
        )
        stack.routes |= routes
        yield Field(
            stack=stack,
            rng=rng,
            broker=broker,
            broker_proxy=broker_proxy,
            database_proxy=database_proxy,
            postgres=postgres,
            api=stack.start_api(),
            worker=stack.worker(),
            start_worker=stack.worker,
        )


def _open_broker(opened: ExitStack, kind: str, folder: Path) -> Broker:
    """The server at the usual port, in a part of its own; for Redis one of ours where none is."""
    broker: Broker
    if kind == "rabbitmq":
        if not _listens(5672):
            raise ServerUnavailable("no RabbitMQ answers on port 5672")
        server = RabbitServer("amqp://guest:guest@127.0.0.1:5672//")
        opened.callback(server.close)
        broker = server.take()
    elif kind == "redis" and _listens(6379):
        broker = RealRedis("redis://127.0.0.1:6379/0")
    else:
        broker = Valkey(folder / "valkey")
    opened.callback(broker.close)
    return broker


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        connection.settimeout(1)
        return connection.connect_ex((ports.LOOPBACK, port)) == 0


def _route(opened: ExitStack, url: str) -> tuple[Proxy, str]:
    """A proxy before the server of `url`, and the URL that leads through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None, "a server has one"
    default = {"amqp": 5672, "redis": 6379}.get(parts.scheme, 5432)
    proxy = opened.enter_context(Proxy((parts.hostname, parts.port or default)))
    account, at, _ = parts.netloc.rpartition("@")
    return proxy, parts._replace(netloc=f"{account}{at}{ports.LOOPBACK}:{proxy.port}").geturl()
