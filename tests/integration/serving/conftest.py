"""A serving replica behind a real uvicorn on loopback, beside a database and a store."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from mlq.artifacts import Store
from mlq.db.engine import Database
from mlq.service import endpoints, models, tokens
from mlq.settings import Settings
from mlq_api.serving.app import create_app
from tests.packages import write_classifier, write_constant
from tests.servers import wait_until

ROWS = [{"months": 1, "plan": "basic"}, {"months": 60, "plan": "plus"}]


class World:
    """What a replica stands on, and the replica. Endpoint `shop` follows churn@production."""

    def __init__(self, database_url: str, home: Path, packages: dict[str, Path]) -> None:
        self.settings = Settings(
            home=home,
            database_url=database_url,
            artifact_url=str(home / "artifacts"),
            max_body_bytes=64 * 1024,
            metrics_token="scrape",
        )
        self.database = Database.open(database_url, pool_size=4)
        self.store = Store.open(self.settings.artifact_root)
        self.packages = packages
        draws = itertools.cycle([n / 10 + 0.05 for n in range(10)])
        self.app = create_app(self.settings, random=lambda: next(draws))
        with self.database.write() as conn:
            self.token = tokens.create(conn, name="ci", role="viewer", actor="test").token
        self._server = uvicorn.Server(
            uvicorn.Config(self.app, log_level="warning", access_log=False)
        )
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.http = self.client()

    def start(self) -> None:
        """Serve; returns when the replica is ready."""
        self._thread.start()
        self.wait(lambda: self.http.get("/v2/health/ready").status_code == 200)

    def close(self) -> None:
        """End the replica."""
        self.http.close()
        if self._thread.is_alive():
            self._server.should_exit = True
            self._thread.join(30)
            assert not self._thread.is_alive(), "the replica did not end"
        self._socket.close()
        self.database.close()

    def client(self) -> httpx.Client:
        """A client with a token and a connection of its own."""
        return httpx.Client(
            base_url=self.url, headers={"authorization": f"Bearer {self.token}"}, timeout=120
        )

    def wait(self, fact: Callable[[], object]) -> None:
        """Wait until something is true."""
        wait_until(fact)

    def register(self, answer: str) -> int:
        """Register a stored package as the next version of `churn`."""
        tree = self.store.put_tree(self.packages[answer])
        with self.database.write() as conn:
            return models.register(
                conn, name="churn", digest=tree.digest, size_bytes=tree.size_bytes, actor="ann"
            ).version

    def deploy(self, version: int, *, alias: str = "production") -> None:
        """Put an alias on a version, and endpoint `shop` behind it."""
        with self.database.write() as conn:
            endpoints.deploy(
                conn, model=f"models:/churn/{version}", endpoint="shop", alias=alias, actor="ann"
            )

    def score(self, **more: Any) -> httpx.Response:
        """Ask endpoint `shop`."""
        return self.http.post("/endpoints/shop/score", json={"rows": ROWS}, **more)

    def answers(self) -> str:
        """What the model behind `shop` says."""
        answer: str = self.score().json()["predictions"][0]
        return answer


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Packages by what they say: `one`, `two`; `real` looks at its rows; `broken` cannot load."""
    folder = tmp_path_factory.mktemp("packages")
    for answer in ("one", "two"):
        write_constant(folder / answer, answer)
    write_classifier(folder / "real")
    (folder / "broken").mkdir()
    (folder / "broken" / "MLmodel").write_text("flavors: {}")
    return {path.name: path for path in folder.iterdir()}


def _world(database_url: str, home: Path, packages: dict[str, Path]) -> Iterator[World]:
    world = World(database_url, home, packages)
    yield world
    world.close()


@pytest.fixture
def world(database_url: str, mlq_home: Path, packages: dict[str, Path]) -> Iterator[World]:
    """A replica on each kind of database, not started yet."""
    yield from _world(database_url, mlq_home, packages)


@pytest.fixture
def sqlite_world(sqlite_url: str, mlq_home: Path, packages: dict[str, Path]) -> Iterator[World]:
    """A replica on SQLite, for what the database makes no difference to."""
    yield from _world(sqlite_url, mlq_home, packages)


@pytest.fixture
def postgresql_world(
    postgresql_url: str, mlq_home: Path, packages: dict[str, Path]
) -> Iterator[World]:
    """A replica on PostgreSQL, which can go away."""
    yield from _world(postgresql_url, mlq_home, packages)
