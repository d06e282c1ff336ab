"""`python -m mlq_api`: the API under uvicorn."""

from __future__ import annotations

import asyncio
import logging
import sys
from socket import gethostname, socket

import uvicorn
from fastapi import FastAPI

from mlq.addresses import require_safe_bind
from mlq.artifacts import Store
from mlq.db import Database
from mlq.errors import MlqError, UnavailableError
from mlq.service import installation
from mlq.settings import Settings, load_settings
from mlq_api.app import create_app
from mlq_api.presence import Presence

#: A thread that works must hand over to the event loop soon; docs/decisions has the figures.
SWITCH_INTERVAL_S = 0.0002
_GRACE_S = 10


class _UvicornServer(uvicorn.Server):
    """Ends the event streams first: uvicorn waits for every open answer."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, presence: Presence) -> None:
        super().__init__(config)
        self._app = app
        self._presence = presence

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self._presence.start()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        self._app.state.server.hub.close()
        await super().shutdown(sockets)
        # here, since uvicorn ends the process by the signal that ended it
        await asyncio.to_thread(self._presence.stop)


def serve(settings: Settings) -> None:
    """Answer requests until SIGTERM or SIGINT.

    A name other than a loopback one is answered to only when it is bound or in `allowed_hosts`.
    Raises SettingsError for an address beyond loopback without `plain_http`.
    """
    require_safe_bind(settings.host, plain_http=settings.plain_http)
    _join(settings)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=75,
        backlog=2048,
    )
    _UvicornServer(config, app, Presence(settings, kind="api")).run()


def _join(settings: Settings) -> None:
    """Refuse to serve beside an installation whose artifacts would be elsewhere."""
    database = Database.open(settings.database, pool_size=1)
    try:
        database.transact(
            installation.join,
            settings=settings,
            store=Store.open(settings.artifact_root, cache=settings.home / "cache"),
            host=gethostname(),
        )
    except UnavailableError as error:
        # it says so on /readyz, and serves once the database is back
        logging.getLogger("mlq.api").warning("%s %s", error.message, error.hint)
    finally:
        database.close()


def main() -> None:
    """Read the settings from the environment and serve."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        serve(load_settings())
    except MlqError as error:
        raise SystemExit(f"{error.message} {error.hint}".strip()) from None


if __name__ == "__main__":
    main()
