"""`mlq online-deployment`: models behind an endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlq.cli.context import open_client, reference
from mlq.cli.endpoint_file import file_options, one_name, read_deployment_file
from mlq.cli.output import Column, Output, output_option
from mlq.errors import NotFoundError, nearest

if TYPE_CHECKING:
    from mlq.client import Client
    from mlq.client.documents import Deployment
    from mlq.spec.serving import DeploymentFile

_DEPLOYMENT = "Name of the deployment."
_ENDPOINT = click.option("-e", "--endpoint-name", required=True, help="Its endpoint.")
_ENDPOINT_OR_FILE = click.option("-e", "--endpoint-name", help="Its endpoint.")
_MODEL = "models:/NAME/3, or an alias to follow: models:/NAME@production."


@click.group()
def deployment() -> None:
    """Models behind an endpoint."""


@deployment.command()
@click.argument("ref", required=False, metavar="NAME")
@click.option("-n", "--name", "named", metavar="NAME", help=_DEPLOYMENT)
@_ENDPOINT_OR_FILE
@file_options
@click.option("--model", help=_MODEL)
@click.option("--all-traffic", is_flag=True, help="Send it every request from now on.")
@output_option
def create(
    ref: str | None,
    named: str | None,
    endpoint_name: str | None,
    file: Path | None,
    overrides: tuple[str, ...],
    model: str | None,
    all_traffic: bool,
    output: Output,
) -> None:
    """Put a model behind an endpoint, by options or from an Azure ML v2 deployment file.

    The first deployment gets all traffic, later ones none.
    """
    written = read_deployment_file(file, overrides)
    name = one_name(ref or named, written.name)
    endpoint = one_name(endpoint_name, written.endpoint_name, what="--endpoint-name")
    with open_client() as client:
        made = _put(client, endpoint, name, model=model, written=written)
        if all_traffic:
            client.endpoints.set_traffic(endpoint, {name: 100})
    output.one(made, name=name)


@deployment.command()
@click.argument("ref", required=False, metavar="NAME")
@click.option("-n", "--name", "named", metavar="NAME", help=_DEPLOYMENT)
@_ENDPOINT_OR_FILE
@file_options
@click.option("--model", help=_MODEL)
@output_option
def update(
    ref: str | None,
    named: str | None,
    endpoint_name: str | None,
    file: Path | None,
    overrides: tuple[str, ...],
    model: str | None,
    output: Output,
) -> None:
    """Let a deployment stand for another model, or answer in another way."""
    written = read_deployment_file(file, overrides)
    name = one_name(ref or named, written.name)
    endpoint = one_name(endpoint_name, written.endpoint_name, what="--endpoint-name")
    with open_client() as client:
        before = _find(client, endpoint, name)
        made = _put(client, endpoint, name, model=model or before["model"], written=written)
    output.one(made, name=name)


@deployment.command()
@reference("NAME", _DEPLOYMENT)
@_ENDPOINT
@output_option
def show(ref: str, endpoint_name: str, output: Output) -> None:
    """Show a deployment: what it stands for now, and how it answers."""
    with open_client() as client:
        found = _find(client, endpoint_name, ref)
    output.one(found, name=ref)


@deployment.command()
@reference("NAME", _DEPLOYMENT)
@_ENDPOINT
@output_option
def delete(ref: str, endpoint_name: str, output: Output) -> None:
    """Remove a deployment; the model stays."""
    with open_client() as client:
        client.endpoints.undeploy(endpoint_name, ref)
    output.one({"name": ref, "endpoint": endpoint_name, "deleted": True}, name=ref)


@deployment.command("list")
@_ENDPOINT
@output_option
def list_deployments(endpoint_name: str, output: Output) -> None:
    """List the deployments of an endpoint."""
    with open_client() as client:
        found = client.endpoints.get(endpoint_name)
    traffic = found.get("traffic") or {}
    columns = [
        Column("NAME", lambda i: str(i["name"])),
        Column("MODEL", lambda i: str(i.get("model") or ""), flexible=True),
        Column("VERSION", lambda i: "-" if i.get("version") is None else f"v{i['version']}"),
        Column("TRAFFIC", lambda i: f"{traffic.get(i['name'], 0)} %", right=True),
    ]
    output.list(
        found["deployments"], columns, name=lambda i: str(i["name"]), empty="No deployments yet."
    )


def _put(
    client: Client, endpoint: str, name: str, *, model: str | None, written: DeploymentFile
) -> Deployment:
    return client.endpoints.deploy(
        endpoint,
        name,
        model=one_name(model, written.model, what="--model"),
        description=written.description,
        tags=written.tags,
        settings=written.settings or None,
    )


def _find(client: Client, endpoint: str, name: str) -> Deployment:
    deployments = client.endpoints.get(endpoint)["deployments"]
    for found in deployments:
        if found["name"] == name:
            return found
    close = nearest(name, [item["name"] for item in deployments])
    raise NotFoundError(
        f"Endpoint {endpoint} has no deployment '{name}'.",
        hint=f"Did you mean '{close}'?" if close else "Make it: mlq online-deployment create",
    )
