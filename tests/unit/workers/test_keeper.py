from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from mlq.broker import Broker
from mlq.db.engine import Database
from mlq.db.tables import jobs
from mlq.service import execution
from mlq.service import jobs as service
from mlq.service.capacity import Windows
from mlq.service.execution import SpecCache
from mlq.settings import Settings
from mlq.spec import compile_job, read_document
from mlq_workers.board import Board
from mlq_workers.keeper import Identity, Keeper

JOB = "type: command\ncommand: echo hello\n"


@pytest.fixture
def frozen_broker(mlq_home: Path) -> Iterator[Settings]:
    """Settings with a broker that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        yield Settings(home=mlq_home, broker_url=url)


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    opened = Database.open(sqlite_url)
    yield opened
    opened.close()


def test_a_killed_worker_is_cleared_up_though_its_broker_is_dead_too(
    frozen_broker: Settings, database: Database, tmp_path: Path
) -> None:
    windows = Windows(per_slot=1)
    plan = compile_job(read_document(JOB), computes=None)
    with database.write() as conn:
        job_id = service.submit(
            conn, plan, actor="ann", document=JOB, media_type="", windows=windows
        ).job_id
        attempt = execution.begin(conn, job_id, worker="w", lease_s=30, spec_cache=SpecCache())
        assert attempt is not None
    board = Board(tmp_path / "board", seats=1)
    program = (
        "import sys; from pathlib import Path; from mlq_workers.board import Board\n"
        "seat = Board(Path(sys.argv[1]), seats=1).seat(0)\n"
        "held = seat.hold(sys.argv[2], 1, deadline=1e9, time_limit=float('inf'))\n"
        "held.__enter__(); print('held', flush=True); sys.stdin.read()"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "board"), job_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdout is not None
    worker.stdout.readline()
    keeper = Keeper(
        Identity(
            id="a" * 32,
            name="w",
            host="h",
            pid=worker.pid,
            version="0",
            computes=["cpu"],
            slots=1,
            cores=1,
            memory_bytes=1,
            gpus=[],
        ),
        board=board,
        settings=frozen_broker,
        database=database,
        broker=Broker.open(frozen_broker),
    )
    worker.kill()
    worker.wait()
    began = time.monotonic()
    keeper.run()
    assert time.monotonic() - began < 10, "the frozen broker held it up"
    with database.read() as conn:
        row = conn.execute(select(jobs).where(jobs.c.id == job_id)).one()
    assert (row.state, row.lost_count, row.dispatched_at is None) == ("queued", 1, False)
    assert board.occupations() == []
    board.close()
