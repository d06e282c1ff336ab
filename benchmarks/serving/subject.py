"""mlq's own server, as `mlq serve` starts it, on SQLite and a store of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.serving.problem import COLUMNS, Problem
from benchmarks.serving.process import Server, free_port, request_of
from mlq.artifacts import Store
from mlq.db import Database, migrate
from mlq.models.package import write_package
from mlq.service import endpoints, models, tokens
from mlq.settings import Settings

MODEL = ENDPOINT = "bench"


class Subject:
    """A replica whose endpoint follows the alias `production` of two equal versions of a model."""

    def __init__(self, problem: Problem, folder: Path, *, environment: Mapping[str, str]) -> None:
        home = folder / "home"
        home.mkdir(parents=True)
        settings = Settings(home=home)
        migrate.upgrade(settings.database)
        self._database = Database.open(settings.database)
        store = Store.open(settings.artifact_root)
        for number in (1, 2):
            package = folder / f"package-{number}"
            write_package(
                package,
                problem.named,
                columns=[{"name": name, "kind": "number", "required": True} for name in COLUMNS],
                rows=problem.frame,
                task="classification",
                target="label",
                metadata={},
            )
            tree = store.put_tree(package)
            with self._database.write() as conn:
                models.register(
                    conn,
                    name=MODEL,
                    digest=tree.digest,
                    size_bytes=tree.size_bytes,
                    actor="bench",
                )
        with self._database.write() as conn:
            self._token = tokens.create(conn, name="bench", role="viewer", actor="bench").token
            endpoints.deploy(
                conn,
                model=f"models:/{MODEL}/1",
                endpoint=ENDPOINT,
                alias="production",
                actor="bench",
            )
        port = free_port()
        self.server = Server(
            [sys.executable, "-m", "mlq_api.serving", "--port", str(port)],
            port=port,
            folder=folder,
            environment={"MLQ_HOME": str(home), **environment},
        )

    def ask(self, rows: list[list[float]]) -> bytes:
        """The request for `rows`."""
        body = {"rows": [dict(zip(COLUMNS, row, strict=True)) for row in rows]}
        headers = {"Authorization": f"Bearer {self._token}"}
        return request_of(f"/endpoints/{ENDPOINT}/score", body, headers)

    def promote(self, version: int) -> None:
        """Put the alias on a version."""
        with self._database.write() as conn:
            models.set_alias(conn, name=MODEL, alias="production", version=version, actor="bench")

    def deploy(self, name: str, version: int) -> None:
        """A deployment that stays on a version."""
        with self._database.write() as conn:
            endpoints.put_deployment(
                conn,
                endpoint=ENDPOINT,
                name=name,
                model=f"models:/{MODEL}/{version}",
                actor="bench",
            )

    def route(self, deployment: str) -> None:
        """Give one deployment all traffic."""
        with self._database.write() as conn:
            endpoints.set_traffic(conn, name=ENDPOINT, traffic={deployment: 100}, actor="bench")

    def close(self) -> None:
        """End the replica."""
        self.server.stop()
        self._database.close()
