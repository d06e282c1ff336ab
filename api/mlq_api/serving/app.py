"""The serving application: routes, and what lives as long as the process."""

from __future__ import annotations

import os
import random as randomness
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from fastapi import FastAPI
from starlette.routing import Route

from mlq.addresses import require_safe_bind
from mlq.artifacts import Store
from mlq.db.engine import Database
from mlq.errors import MlqError
from mlq.settings import Settings
from mlq_api import problems
from mlq_api.failed_logins import FailedLogins
from mlq_api.presence import Presence
from mlq_api.serving import endpoints, feedback, metrics, oip
from mlq_api.serving.access import Bearers
from mlq_api.serving.front import Front
from mlq_api.serving.meters import Reporter
from mlq_api.serving.monitor import Monitor
from mlq_api.serving.packages import Packages
from mlq_api.serving.refusals import on_error
from mlq_api.serving.server import Serving

ROUTES = (
    Route("/v2", oip.server_metadata),
    Route("/v2/health/live", oip.server_live),
    Route("/v2/health/ready", oip.server_ready),
    Route("/v2/models/{model}", oip.model_metadata),
    Route("/v2/models/{model}/ready", oip.model_ready),
    Route("/v2/models/{model}/versions/{version}", oip.model_metadata),
    Route("/v2/models/{model}/versions/{version}/ready", oip.model_ready),
    Route("/metrics", metrics.show),
    Route("/endpoints/{name}/feedback", feedback.give, methods=["POST"]),
)


def create_app(settings: Settings, *, random: Callable[[], float] = randomness.random) -> Front:
    """A stateless serving replica. random: gives [0, 1), for the split of traffic.

    Opens the database and follows it from its start to its end (ASGI lifespan).
    """
    # One connection to look things up by, one for the watcher, two to store counts and reports by.
    database = Database.open(settings.database, pool_size=1)
    watched = Database.open(settings.database, pool_size=1)
    counted = Database.open(settings.database, pool_size=2)
    store = Store.open(settings.artifact_root, cache=settings.home / "cache")
    packages = Packages(store, with_onnx=settings.serve_onnx == "auto")
    serving = Serving(database=database, watched=watched, packages=packages, random=random)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        replica = f"{socket.gethostname()[:50]}:{os.getpid()}"
        reporter = Reporter(counted, serving.meters, serving.samples, replica=replica)
        monitor = Monitor(
            counted,
            store,
            lambda: serving.watcher.table,
            holder=replica,
            interval_s=settings.drift_s,
        )
        presence = Presence(settings, kind="serve")
        serving.watcher.start()
        presence.start()
        reporter.start()
        monitor.start()
        try:
            yield
        finally:
            serving.close()
            reporter.stop()
            monitor.stop()
            presence.stop()
            for opened in (database, watched, counted):
                opened.close()

    app = FastAPI(title="mlq serve", openapi_url=None, lifespan=lifespan, routes=list(ROUTES))
    app.state.serving = serving
    problems.install(app)
    app.add_exception_handler(MlqError, on_error)
    score, infer = partial(endpoints.score, serving), partial(oip.infer, serving)
    # Any host name is answered: there is no cookie, so nothing to gain by rebinding one.
    return Front(
        app,
        bearers=Bearers(
            serving.principals,
            failed_logins=FailedLogins(per_minute=settings.failed_logins_per_minute),
            metrics_token=settings.metrics_token.get_secret_value(),
        ),
        max_body_bytes=settings.max_body_bytes,
        predictions={
            ("endpoints", None, "score"): score,
            ("v2", "models", None, "infer"): infer,
            ("v2", "models", None, "versions", None, "infer"): infer,
        },
    )


def run(settings: Settings, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; requests that are being answered are finished.

    Raises SettingsError for an address beyond loopback without `plain_http`.
    """
    require_safe_bind(host, plain_http=settings.plain_http)
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_level="info",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
