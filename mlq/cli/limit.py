"""`mlq limit`, `mlq quota`: how much may be in use at once, on all machines."""

from __future__ import annotations

import click

from mlq.cli.context import open_client
from mlq.cli.output import Column, Output, output_option

_COLUMNS = [
    Column("NAME", lambda item: str(item["name"]), flexible=True),
    Column("SLOTS", lambda item: str(item["slots"]), right=True),
    Column("IN USE", lambda item: str(item["in_use"]), right=True),
    Column("WAITING", lambda item: str(item["waiting"]), right=True),
]


@click.group()
def limit() -> None:
    """Concurrency limits: how many steps that name one run at once, on all machines together.

    A step names it in its file: `limits: {concurrency: feature-store}`.
    """


@limit.command("set")
@click.argument("name")
@click.argument("slots", type=click.IntRange(0))
@output_option
def set_limit(name: str, slots: int, output: Output) -> None:
    """Let at most SLOTS steps that name the limit run at once."""
    with open_client() as client:
        client.limits.set(name, slots)
    output.one({"name": name, "slots": slots}, name=name)


@limit.command("list")
@output_option
def list_limits(output: Output) -> None:
    """List limits, with what is in use and what waits."""
    with open_client() as client:
        found = client.limits.list()
    output.list(found, _COLUMNS, name=lambda item: str(item["name"]), empty="No limits.")


@limit.command("delete")
@click.argument("name")
@output_option
def delete_limit(name: str, output: Output) -> None:
    """Let steps that name it run freely."""
    with open_client() as client:
        client.limits.delete(name)
    output.one({"name": name, "deleted": True}, name=name)


@click.group()
def quota() -> None:
    """Quotas: how many slots a project may have at once, on all machines together."""


@quota.command("set")
@click.argument("project")
@click.argument("slots", type=click.IntRange(0))
@output_option
def set_quota(project: str, slots: int, output: Output) -> None:
    """Let at most SLOTS steps of the project run at once."""
    with open_client() as client:
        client.quotas.set(project, slots)
    output.one({"name": project, "slots": slots}, name=project)


@quota.command("list")
@output_option
def list_quotas(output: Output) -> None:
    """List quotas, with what is in use and what waits."""
    with open_client() as client:
        found = client.quotas.list()
    output.list(found, _COLUMNS, name=lambda item: str(item["name"]), empty="No quotas.")


@quota.command("delete")
@click.argument("project")
@output_option
def delete_quota(project: str, output: Output) -> None:
    """Let the project have any number of slots."""
    with open_client() as client:
        client.quotas.delete(project)
    output.one({"name": project, "deleted": True}, name=project)
