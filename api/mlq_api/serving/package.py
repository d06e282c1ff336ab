"""`python -m mlq_api.serving.package FOLDER`: a model server for one packaged model.

What `mlq model package` puts into a container. The model is registered in a database of this
process alone and served as `mlq serve` serves it: the Open Inference Protocol under /v2, and
/endpoints/NAME/score.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mlq.addresses import require_safe_bind
from mlq.artifacts import Store
from mlq.db import Database, migrate, registry
from mlq.errors import MlqError
from mlq.service import endpoints, models, tokens
from mlq.settings import SERVE_PORT, Settings, load_settings
from mlq_api.serving.app import run

ALIAS = "production"


def prepare(settings: Settings, folder: Path, *, name: str, version: int) -> str:
    """Register the package at `folder` as models:/name/version, and an endpoint `name` with it.

    settings: of a home that is this server's alone. Returns the token that may ask it.
    Raises MlqError where the folder is no model package.
    """
    migrate.upgrade(settings.database)
    database = Database.open(settings.database, pool_size=1)
    try:
        store = Store.open(settings.artifact_root, cache=settings.home / "cache")
        tree = store.put_tree(folder)
        with database.write() as conn:
            registry.add_model(conn, name, description="", last_version=version - 1)
            made = models.register(
                conn,
                name=name,
                digest=tree.digest,
                size_bytes=tree.size_bytes,
                actor="package",
            )
            endpoints.deploy(conn, model=made.uri, endpoint=name, alias=ALIAS, actor="package")
            return tokens.create(conn, name="package", role="viewer", actor="package").token
    finally:
        database.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and serve until SIGTERM. The token is printed once, as first line."""
    parser = argparse.ArgumentParser(prog="python -m mlq_api.serving.package")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--plain-http", action="store_true", default=None)
    parser.add_argument("--port", type=int, default=SERVE_PORT)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with tempfile.TemporaryDirectory(prefix="mlq-package-") as home:
        for variable in ("MLQ_DATABASE_URL", "MLQ_ARTIFACT_URL"):
            os.environ.pop(variable, None)  # it belongs to no installation
        settings = load_settings(home=Path(home), plain_http=given.plain_http)
        try:
            require_safe_bind(given.host, plain_http=settings.plain_http)
            token = prepare(settings, given.folder, name=given.name, version=given.version)
        except MlqError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        sys.stdout.write(f"token {token}\n")
        sys.stdout.flush()
        run(settings, host=given.host, port=given.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
