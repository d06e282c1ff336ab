"""The servers that all other integration tests stand on: apart, empty, and gone at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from kombu import Connection
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url

from tests.servers import Broker, EmbeddedPostgres, Given, Postgres, Valkey, wait_until


def _depth(url: str, queue: str) -> int:
    with Connection(url) as conn:
        try:
            return int(conn.channel().queue_declare(queue, passive=True).message_count)
        except conn.channel_errors:  # no such queue, so nothing is in it
            return 0


def _publish(url: str, queue: str) -> None:
    with Connection(url) as conn, closing(conn.SimpleQueue(queue)) as simple:
        simple.put({"id": 1})


@pytest.mark.parametrize("_round", [1, 2])
def test_every_test_gets_an_empty_broker(broker_url: str, _round: int) -> None:
    assert _depth(broker_url, "cpu") == 0

    _publish(broker_url, "cpu")

    assert _depth(broker_url, "cpu") == 1


def test_a_flushed_broker_has_lost_its_messages(broker: Broker) -> None:
    _publish(broker.url, "cpu")

    broker.flush()

    assert _depth(broker.url, "cpu") == 0


@pytest.mark.parametrize("_round", [1, 2])
def test_every_test_gets_a_migrated_database_of_its_own(database_url: str, _round: int) -> None:
    url = make_url(database_url)
    driver = "postgresql+psycopg" if url.get_backend_name() == "postgresql" else url.drivername
    engine = create_engine(url.set(drivername=driver))

    with engine.begin() as conn:
        assert "jobs" in inspect(conn).get_table_names()
        conn.execute(text("CREATE TABLE left_behind (id INTEGER)"))

    engine.dispose()


def test_a_restarted_valkey_keeps_its_address_and_no_message(valkey_server: Valkey) -> None:
    _publish(valkey_server.url, "cpu")
    before = valkey_server.pid

    valkey_server.restart()

    assert valkey_server.pid != before
    assert _depth(valkey_server.url, "cpu") == 0


def test_postgres_keeps_committed_rows_through_a_crash() -> None:
    server = EmbeddedPostgres(durable=True)
    try:
        url = make_url(server.create()).set(drivername="postgresql+psycopg")
        engine = create_engine(url, pool_pre_ping=True)
        with engine.begin() as conn:
            conn.execute(text("CREATE TABLE kept AS SELECT 7 AS number"))

        server.stop(number=signal.SIGQUIT)
        server.start()

        with engine.begin() as conn:
            assert conn.execute(text("SELECT number FROM kept")).scalar_one() == 7
        engine.dispose()
    finally:
        server.close()


def test_servers_die_with_the_process_that_started_them(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from tests.servers import *\n"
        "valkey = Valkey(Path(sys.argv[1])); postgres = EmbeddedPostgres()\n"
        "print(valkey.pid, postgres.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )

    assert ended.returncode == -signal.SIGKILL
    for pid in map(int, ended.stdout.split()):
        wait_until(lambda pid=pid: not _is_alive(pid), what=f"server {pid} is gone")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_dropped_database_is_gone_though_somebody_is_connected(postgres: Postgres) -> None:
    url = postgres.create()
    with psycopg.connect(url) as conn:
        postgres.drop(url)

        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_given_servers_are_read_from_the_environment() -> None:
    given = Given.read(
        {
            "MLQ_TEST_DATABASE_URL": "postgresql://h/d",
            "MLQ_TEST_BROKER_URL": "redis://h:1/0,amqp://guest@h//",
        }
    )

    assert given.database_url == "postgresql://h/d"
    assert given.broker_urls == {"redis": "redis://h:1/0", "rabbitmq": "amqp://guest@h//"}
    with pytest.raises(ValueError, match="neither redis nor amqp"):
        Given.read({"MLQ_TEST_BROKER_URL": "sqs://x"})
