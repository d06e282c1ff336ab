"""`mlq online-deployment`: models behind an endpoint."""

from __future__ import annotations

import click

from mlq.cli.context import open_client, reference
from mlq.cli.output import Column, Output, output_option
from mlq.errors import NotFoundError, nearest

_DEPLOYMENT = "Name of the deployment."
_ENDPOINT = click.option("-e", "--endpoint-name", required=True, help="Its endpoint.")
_MODEL = "models:/NAME/3, or an alias to follow: models:/NAME@production."


@click.group()
def deployment() -> None:
    """Models behind an endpoint."""


@deployment.command()
@reference("NAME", _DEPLOYMENT)
@_ENDPOINT
@click.option("--model", required=True, help=_MODEL)
@click.option("--all-traffic", is_flag=True, help="Send it every request from now on.")
@output_option
def create(ref: str, endpoint_name: str, model: str, all_traffic: bool, output: Output) -> None:
    """Put a model behind an endpoint. The first deployment gets all traffic, later ones none."""
    with open_client() as client:
        made = client.endpoints.deploy(endpoint_name, ref, model=model)
        if all_traffic:
            client.endpoints.set_traffic(endpoint_name, {ref: 100})
    output.one(made, name=ref)


@deployment.command()
@reference("NAME", _DEPLOYMENT)
@_ENDPOINT
@click.option("--model", required=True, help=_MODEL)
@output_option
def update(ref: str, endpoint_name: str, model: str, output: Output) -> None:
    """Let a deployment stand for another model."""
    with open_client() as client:
        known = [item["name"] for item in client.endpoints.get(endpoint_name)["deployments"]]
        if ref not in known:
            close = nearest(ref, known)
            raise NotFoundError(
                f"Endpoint {endpoint_name} has no deployment '{ref}'.",
                hint=f"Did you mean '{close}'?"
                if close
                else "Make it: mlq online-deployment create",
            )
        made = client.endpoints.deploy(endpoint_name, ref, model=model)
    output.one(made, name=ref)


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
