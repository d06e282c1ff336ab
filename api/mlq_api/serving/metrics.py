"""GET /metrics: what this replica answered, by deployment, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from mlq.errors import ForbiddenError
from mlq_api.serving.server import serving_of


async def show(request: Request) -> Response:
    """Requests, errors, rows and a histogram of latency for each deployment and version.

    Raises ForbiddenError for a token that is for one project: this shows all of them.
    """
    if request.scope["principal"].project is not None:
        raise ForbiddenError("The metrics of a server are of all projects; this token is for one.")
    registry = CollectorRegistry(auto_describe=False)
    serving = serving_of(request)
    registry.register(serving.meters)
    registry.register(serving.samples)
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})
