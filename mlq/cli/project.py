"""`mlq project`: what keeps teams apart."""

from __future__ import annotations

import click

from mlq.cli.context import open_client
from mlq.cli.output import Column, Output, output_option


@click.group()
def project() -> None:
    """Projects: a token of one reaches no job, data, model or endpoint of another."""


@project.command()
@click.argument("name")
@output_option
def create(name: str, output: Output) -> None:
    """Make a project; `mlq token create --project NAME` lets people in."""
    with open_client() as client:
        made = client.projects.create(name)
    output.one(made, name=made["name"])


@project.command("list")
@output_option
def list_projects(output: Output) -> None:
    """List the projects that the token reaches."""
    columns = [Column("NAME", lambda item: str(item["name"]), flexible=True)]
    with open_client() as client:
        found = client.projects.list()
    output.list(found, columns, name=lambda item: str(item["name"]), empty="No projects.")
