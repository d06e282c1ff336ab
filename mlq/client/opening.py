"""The client of the server in charge."""

from __future__ import annotations

from mlq.client.client import Client
from mlq.errors import UnavailableError
from mlq.settings import load_settings


def open_client() -> Client:
    """A client of the server that the settings name: MLQ_API_URL, or `mlq up` on this machine.

    Raises UnavailableError (code `unreachable`) when they name none.
    """
    settings = load_settings()
    if not settings.api_url:
        raise UnavailableError(
            f"No server is known: MLQ_API_URL is not set, and none runs from {settings.home}.",
            code="unreachable",
            hint="Start one with `mlq up`, or set MLQ_API_URL and MLQ_TOKEN.",
        )
    return Client(settings.api_url, settings.token.get_secret_value(), project=settings.project)
