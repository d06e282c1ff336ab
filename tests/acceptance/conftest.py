"""Databases and brokers that last for a module of tests, of each kind that there is.

`PAIRS` names the combinations of the costlier tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.stack import Part, Stack
from tests.servers import Broker, Given, Postgres, RealRedis, ServerUnavailable, Valkey

GIVEN = Given.read(os.environ)
BROKERS = ["valkey", *sorted(GIVEN.broker_urls)]
PAIRS = [("sqlite", "valkey"), ("postgresql", BROKERS[1] if len(BROKERS) > 1 else "valkey")]


def usually(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """`pairs` in `make test`, all of them in `make test-all`.

    What these tests rest on is tested on every database and broker in any case.
    """
    return PAIRS if os.environ.get("MLQ_TEST_ALL") else pairs


OpenDatabase = Callable[[str], AbstractContextManager[str]]
OpenBroker = Callable[[str], AbstractContextManager[Broker]]


@pytest.fixture(scope="session")
def open_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> OpenDatabase:
    """Makes a migrated database: `sqlite` or `postgresql`."""

    @contextmanager
    def make(kind: str) -> Iterator[str]:
        if kind == "sqlite":
            template: Path = request.getfixturevalue("_sqlite_template")
            file = tmp_path_factory.mktemp("database") / "mlq.db"
            file.write_bytes(template.read_bytes())
            yield f"sqlite:///{file}"
            return
        server: Postgres = request.getfixturevalue("postgres")
        url = server.create(template=request.getfixturevalue("_postgres_template"))
        try:
            yield url
        finally:
            server.drop(url)

    return make


@pytest.fixture(scope="session")
def open_broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> OpenBroker:
    """Makes an empty broker: `valkey`, `redis` or `rabbitmq`."""

    @contextmanager
    def make(kind: str) -> Iterator[Broker]:
        try:
            match kind:
                case "valkey":
                    server: Broker = Valkey(tmp_path_factory.mktemp("valkey"))
                case "redis":
                    server = RealRedis(GIVEN.broker_urls["redis"])
                case _:
                    server = request.getfixturevalue("_rabbit_server").take()
        except ServerUnavailable as reason:
            if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
                pytest.fail(str(reason))
            pytest.skip(str(reason))
        try:
            yield server
        finally:
            server.close()

    return make


OpenStack = Callable[..., AbstractContextManager[Stack]]


@pytest.fixture(scope="session")
def open_stack(
    open_database: OpenDatabase, open_broker: OpenBroker, tmp_path_factory: pytest.TempPathFactory
) -> OpenStack:
    """Makes a stack on one kind of database and one kind of broker; no part of it runs yet."""

    @contextmanager
    def make(
        database: str = "sqlite", broker: str = "valkey", **settings: float | str
    ) -> Iterator[Stack]:
        with open_database(database) as database_url, open_broker(broker) as server:
            home = tmp_path_factory.mktemp("home")
            with Stack(home, database_url=database_url, broker=server, **settings) as stack:
                yield stack

    return make


@pytest.fixture
def worker(stack: Stack) -> Part:
    """A worker of the module's `stack`, started if the test before ended it."""
    alive = [part for part in stack.parts if part.name.startswith("worker") and part.is_running]
    return alive[0] if alive else stack.worker()
