"""Fixtures for tests on real servers. Each test gets a database and a broker of its own.

`database_url` and `broker_url` run a test on each kind there is: SQLite and PostgreSQL; embedded
Valkey and whatever MLQ_TEST_BROKER_URL names. Nothing needs to be installed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import (
    Broker,
    EmbeddedPostgres,
    Given,
    Postgres,
    RabbitServer,
    RealRedis,
    ServerUnavailable,
    Valkey,
)

# A job of a shell in the background starts with SIGINT ignored, and what it starts inherits that:
# programs under test would be deaf to Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

GIVEN = Given.read(os.environ)
BROKER_KINDS = ["valkey", *sorted(GIVEN.broker_urls)]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name a failure when it happens: a run that is ended from outside prints no summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        reason = report.longreprtext.strip().splitlines()[-1:] or ["no reason"]
        print(
            f"\nFAILED now: {report.nodeid} ({report.when}): {reason[0]}",
            file=sys.__stdout__,
            flush=True,
        )


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_user() -> Iterator[None]:
    """Keep MLQ_… of whoever runs the tests, and their ~/.mlq, out of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("MLQ_") and not name.startswith("MLQ_TEST_"):
                patch.delenv(name)
        patch.setenv("MLQ_HOME", os.devnull)
        yield


def _unavailable(reason: ServerUnavailable) -> None:
    """A server cannot run: an error in CI, a skip with the reason at home."""
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(str(reason))
    pytest.skip(str(reason))


@pytest.fixture
def mlq_home(tmp_path: Path) -> Path:
    """An empty MLQ_HOME."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return home


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL server of MLQ_TEST_DATABASE_URL, else an embedded one."""
    try:
        server = Postgres(GIVEN.database_url) if GIVEN.database_url else EmbeddedPostgres()
    except ServerUnavailable as reason:
        _unavailable(reason)
    yield server
    server.close()


@pytest.fixture(scope="session")
def _postgres_template(postgres: Postgres) -> str:
    """URL of a migrated database that tests get copies of."""
    from mlq.db.migrate import upgrade

    url = postgres.create()
    upgrade(url)
    return url


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file that tests get copies of."""
    from mlq.db.migrate import upgrade

    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database."""
    file = tmp_path / "mlq.db"
    file.write_bytes(_sqlite_template.read_bytes())
    return f"sqlite:///{file}"


@pytest.fixture
def postgresql_url(postgres: Postgres, _postgres_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database."""
    url = postgres.create(template=_postgres_template)
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind without any table, for tests of migrations."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'mlq.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture(scope="session")
def _rabbit_server() -> Iterator[RabbitServer]:
    server = RabbitServer(GIVEN.broker_urls["rabbitmq"])
    yield server
    server.close()


@pytest.fixture
def valkey_server(tmp_path: Path) -> Iterator[Valkey]:
    """An embedded Valkey that the test may flush, kill and restart."""
    try:
        server = Valkey(tmp_path / "valkey")
    except ServerUnavailable as reason:
        _unavailable(reason)
    yield server
    server.close()


@pytest.fixture(params=BROKER_KINDS)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """An empty broker of each kind that there is."""
    try:
        match request.param:
            case "valkey":
                server: Broker = request.getfixturevalue("valkey_server")
                yield server
                return
            case "redis":
                server = RealRedis(GIVEN.broker_urls["redis"])
            case _:
                server = request.getfixturevalue("_rabbit_server").take()
    except ServerUnavailable as reason:
        _unavailable(reason)
    yield server
    server.close()


@pytest.fixture
def broker_url(broker: Broker) -> str:
    """URL of an empty broker of each kind that there is."""
    return broker.url
