"""What commands share: the client of the server in charge, and how things are named."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from mlq.errors import UnavailableError

if TYPE_CHECKING:
    from mlq.client import Client


def open_client() -> Client:
    """A client of the server that the settings name: MLQ_API_URL, or `mlq up` on this machine.

    Raises UnavailableError (code `unreachable`) when they name none.
    """
    from mlq.client import Client
    from mlq.settings import load_settings

    settings = load_settings()
    if not settings.api_url:
        raise UnavailableError(
            f"No server is known: MLQ_API_URL is not set, and none runs from {settings.home}.",
            code="unreachable",
            hint="Start one with `mlq up`, or set MLQ_API_URL and MLQ_TOKEN.",
        )
    return Client(settings.api_url, settings.token.get_secret_value())


def reference(word: str, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an argument WORD that may also be written `-n WORD`, as `az ml` has it.

    The command gets it as `ref`.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @click.argument("ref", required=False, metavar=word)
        @click.option("-n", "--name", "named", metavar=word, help=help)
        @wraps(function)
        def command(*, ref: str | None, named: str | None, **options: Any) -> Any:
            if ref is not None and named is not None:
                raise click.UsageError(f"{word} is given twice.")
            given = ref if ref is not None else named
            if not given:
                raise click.UsageError(f"Missing argument '{word}'.")
            return function(ref=given, **options)

        return command

    return decorate


def split_version(ref: str, version: str | None) -> tuple[str, str | None]:
    """`churn:3`, `churn@production`, `models:/churn/3` or `mlq:churn:3` as name and version."""
    text = ref
    for prefix in ("models:/", "azureml:", "mlq:"):
        text = text.removeprefix(prefix)
    for mark in ("@", ":", "/"):
        name, found, written = text.partition(mark)
        if found:
            if version is not None:
                raise click.UsageError("The version is given twice.")
            return name, written
    return text, version
