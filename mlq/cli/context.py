"""What commands share: the client of the server in charge, and how things are named."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mlq.client import Client


def open_client() -> Client:
    """A client of the server in charge; see `mlq.client.opening`."""
    from mlq.client.opening import open_client

    return open_client()


def confirm(question: str) -> None:
    """Ask before something that cannot be undone. Raises click.Abort for no and for Ctrl-C.

    Raises UsageError where there is nobody to answer.
    """
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            click.echo(err=True)  # the question's line has no end yet
            raise click.UsageError("Nobody is there to answer. Use --yes to go ahead.") from None
        raise


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
