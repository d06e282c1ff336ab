"""`mlq secret`: what steps are given as environment variables."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from mlq.cli.context import open_client
from mlq.cli.output import Column, Output, output_option


@click.group()
def secret() -> None:
    """Secrets of a project: steps that name one get it as an environment variable.

    A step names it in its file: `secrets: [API_KEY]`. It is stored encrypted, masked in logs, and
    never shown.
    """


@secret.command("set")
@click.argument("name")
@output_option
def set_secret(name: str, output: Output) -> None:
    """Set a secret; its value is asked for, or read from stdin."""
    if sys.stdin.isatty():
        value = click.prompt(f"Value of {name}", hide_input=True, err=True)
    else:
        value = sys.stdin.read().removesuffix("\n")
    with open_client() as client:
        client.secrets.set(name, value)
    output.one({"name": name, "set": True}, name=name)


@secret.command("list")
@output_option
def list_secrets(output: Output) -> None:
    """List the names of secrets, and who set them."""
    from mlq.cli.words import say_age

    now = datetime.now(UTC)
    columns = [
        Column("NAME", lambda item: str(item["name"]), flexible=True),
        Column("SET BY", lambda item: str(item["set_by"])),
        Column("SET", lambda item: say_age(item["set_at"], now=now)),
    ]
    with open_client() as client:
        found = client.secrets.list()
    output.list(found, columns, name=lambda item: str(item["name"]), empty="No secrets.")


@secret.command("delete")
@click.argument("name")
@output_option
def delete_secret(name: str, output: Output) -> None:
    """Delete a secret; steps that name it fail from now on."""
    with open_client() as client:
        client.secrets.delete(name)
    output.one({"name": name, "deleted": True}, name=name)
