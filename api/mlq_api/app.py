"""The API as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

import mlq
from mlq.artifacts import Store
from mlq.broker import Broker
from mlq.db.engine import Database
from mlq.settings import Settings
from mlq_api import console as built_console
from mlq_api import mlflow, problems, proxy
from mlq_api.auth import AuthMiddleware
from mlq_api.guards import GuardMiddleware, allowed_hosts
from mlq_api.observer import ObserveMiddleware
from mlq_api.operations import add_examples
from mlq_api.routes import (
    approvals,
    batch,
    cluster,
    components,
    console,
    data,
    datasets,
    demo,
    endpoints,
    environments,
    health,
    history,
    job_outputs,
    job_streams,
    job_words,
    jobs,
    limits,
    lineage,
    models,
    monitoring,
    projects,
    rollouts,
    schedules,
    secrets,
    sweeps,
    tokens,
    trees,
    webhooks,
)
from mlq_api.server import POOL_SIZE, STATEMENT_TIMEOUT_S, Server

_NOUNS = (
    jobs,
    job_outputs,
    job_streams,
    job_words,
    approvals,
    sweeps,
    data,
    trees,
    datasets,
    demo,
    models,
    endpoints,
    batch,
    rollouts,
    monitoring,
    schedules,
    secrets,
    webhooks,
    cluster,
    components,
    environments,
    limits,
    lineage,
    tokens,
    projects,
    history,
    health,
    console,
    mlflow,
    proxy,
    built_console,
)


def create_app(
    settings: Settings,
    *,
    database: Database | None = None,
    broker: Broker | None = None,
    store: Store | None = None,
) -> FastAPI:
    """Put the API together; what is not given is opened from `settings` and closed at the end.

    Connects to nothing before the first request.
    Raises SettingsError where a setting makes no sense.
    """
    opened_database = database or Database.open(
        settings.database, pool_size=POOL_SIZE, statement_timeout_s=STATEMENT_TIMEOUT_S
    )
    opened_broker = broker or Broker.open(settings)
    server = Server(
        settings,
        database=opened_database,
        broker=opened_broker,
        store=store or Store.open(settings.artifact_root, cache=settings.home / "cache"),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await server.close()
        if broker is None:
            opened_broker.close()
        if database is None:
            opened_database.close()

    app = _Api(
        title="mlq",
        version=mlq.__version__,
        summary="Pipelines, models and endpoints on plain Celery workers.",
        root_path=settings.root_path,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        lifespan=lifespan,
    )
    app.state.server = server
    problems.install(app)
    for noun in _NOUNS:
        app.include_router(noun.router)
    built_console.install(app)
    # The last one added is the first that a request meets.
    app.add_middleware(
        AuthMiddleware,
        principals=server.principals,
        failed_logins=server.failed_logins,
        metrics_token=settings.metrics_token.get_secret_value(),
    )
    app.add_middleware(
        GuardMiddleware,
        hosts=allowed_hosts(settings.host, settings.allowed_hosts),
        max_body_bytes=settings.max_body_bytes,
        max_upload_bytes=settings.max_upload_bytes,
    )
    app.add_middleware(ObserveMiddleware, observer=server.observer)
    return app


class _Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with an example for every JSON answer and the token it needs."""
        if self.openapi_schema is None:
            document = super().openapi()
            add_examples(document)
            document["components"]["securitySchemes"] = {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "mlq_session"},
            }
            document["security"] = [{"token": []}, {"session": []}]
            for path in ("/healthz", "/readyz"):
                document["paths"][path]["get"]["security"] = []
        assert self.openapi_schema is not None
        return self.openapi_schema
