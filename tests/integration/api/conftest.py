"""The API as uvicorn runs it, on a database of each kind, without workers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from mlq.artifacts import Store
from mlq.db.engine import Database
from mlq.service import tokens
from mlq.settings import Settings
from mlq_api.app import create_app
from tests.servers import Valkey, wait_until


class Api:
    """A running API. url: its address; database: the one it works on."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.app = create_app(settings, database=database)
        self.store: Store = self.app.state.server.store
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(self.app, log_level="warning", access_log=False, ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run)
        self._clients: dict[str, httpx.Client] = {}
        self._thread.start()
        wait_until(lambda: self._server.started, what="uvicorn listens")

    def as_role(self, role: str) -> httpx.Client:
        """A client with a token of `role`."""
        if role not in self._clients:
            with self.database.write() as conn:
                made = tokens.create(conn, name=role, role=role, actor="test")
            headers = {"authorization": f"Bearer {made.token}"}
            self._clients[role] = httpx.Client(base_url=self.url, headers=headers, timeout=120)
        return self._clients[role]

    def close(self) -> None:
        """Stop, streams first."""
        self.app.state.server.hub.close()
        self._server.should_exit = True
        self._thread.join()
        for client in self._clients.values():
            client.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A broker that nobody consumes from."""
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.close()


@pytest.fixture
def settings(database_url: str, mlq_home: Path, shared_broker: Valkey) -> Settings:
    """Settings of the API under test."""
    return Settings(
        home=mlq_home,
        database_url=database_url,
        broker_url=shared_broker.url,
        failed_logins_per_minute=10_000,  # tests fail to log in on purpose
        max_body_bytes=256 * 1024,
        max_upload_bytes=8 * 2**20,
    )


@pytest.fixture
def api(settings: Settings) -> Iterator[Api]:
    """A running API on a database of each kind."""
    database = Database.open(settings.database, pool_size=6)
    running = Api(settings, database)
    yield running
    running.close()
    database.close()


@pytest.fixture
def client(api: Api) -> httpx.Client:
    """A client that may do everything."""
    return api.as_role("admin")


def line_of_steps(count: int = 3, **more: Any) -> dict[str, Any]:
    """A pipeline of `count` commands in line."""
    jobs: dict[str, Any] = {}
    for number in range(count):
        jobs[f"s{number}"] = {
            "type": "command",
            "command": "true",
            "outputs": {"out": {"type": "uri_file"}},
        }
        if number:
            before = f"${{{{parent.jobs.s{number - 1}.outputs.out}}}}"
            jobs[f"s{number}"]["inputs"] = {"before": before}
    return {"type": "pipeline", "display_name": "line", "jobs": jobs, **more}
