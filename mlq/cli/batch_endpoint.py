"""`mlq batch-endpoint`, `mlq batch-deployment`: published pipelines and models."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mlq.cli.context import confirm, open_client, reference
from mlq.cli.output import Column, Output, output_option, talk

_ENDPOINT = "Name of the endpoint."
_FILE = click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Its file (YAML or JSON).",
)
_ENDPOINT_NAME = click.option("-e", "--endpoint-name", help="Its endpoint; else the file's.")


@click.group()
def batch_endpoint() -> None:
    """Published pipelines and models: invoked with new inputs, they answer a job."""


@batch_endpoint.command()
@_FILE
@output_option
def create(path: Path, output: Output) -> None:
    """Make a batch endpoint, or change the one of that name."""
    from mlq.cli.batch_file import read_file

    with open_client() as client:
        made = client.batch_endpoints.put(read_file(path).data)
    output.one(made, name=made["name"])


@batch_endpoint.command("list")
@output_option
def list_endpoints(output: Output) -> None:
    """List batch endpoints."""
    columns = [
        Column("NAME", lambda i: str(i["name"]), flexible=True),
        Column("DEFAULT", lambda i: str(i.get("default_deployment") or "-")),
        Column(
            "DEPLOYMENTS",
            lambda i: ", ".join(f"{d['name']} (v{d['version']})" for d in i["deployments"]),
        ),
    ]
    with open_client() as client:
        output.list(
            client.batch_endpoints.list(limit=None),
            columns,
            name=lambda i: str(i["name"]),
            empty="No batch endpoints yet. Make one: mlq batch-endpoint create -f FILE",
        )


@batch_endpoint.command()
@reference("NAME", _ENDPOINT)
@output_option
def show(ref: str, output: Output) -> None:
    """Show a batch endpoint with its deployments and their inputs."""
    with open_client() as client:
        found = client.batch_endpoints.get(ref)
    output.one(found, name=found["name"])


@batch_endpoint.command()
@reference("NAME", _ENDPOINT)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def delete(ref: str, yes: bool, output: Output) -> None:
    """Remove a batch endpoint with its deployments; its jobs stay."""
    if not yes:
        confirm(f"Remove batch endpoint {ref}?")
    with open_client() as client:
        client.batch_endpoints.delete(ref)
    output.one({"name": ref, "deleted": True}, name=ref)


@batch_endpoint.command()
@reference("NAME", _ENDPOINT)
@click.option("--input", "data", metavar="PATH", help="The input `data`: a file, or mlq:NAME.")
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any input, e.g. threshold=0.5 or data=mlq:churn:3; repeatable.",
)
@click.option("-d", "--deployment-name", help="Another than the default deployment.")
@click.option("-v", "--version", type=click.IntRange(1), help="Another than its newest version.")
@click.option("-s", "--stream", is_flag=True, help="Show how it goes on until it has ended.")
@output_option
def invoke(
    ref: str,
    data: str | None,
    given: tuple[str, ...],
    deployment_name: str | None,
    version: int | None,
    stream: bool,
    output: Output,
) -> int:
    """Invoke with new inputs; answers the job. Local files are uploaded first."""
    from mlq.cli.batch_file import read_inputs
    from mlq.cli.job import follow

    with open_client() as client:
        inputs = read_inputs(data, given, client=client, say=talk)
        job = client.batch_endpoints.invoke(
            ref, inputs, deployment=deployment_name, version=version
        )
        aside = output.form != "table"
        click.echo(f"{client.url}/jobs/{job['id']}", err=aside)
        if stream:
            return follow(client, job["id"], output=output, logs=None, timeout_s=None)
    if aside:
        output.one(job, name=job["id"])
    return 0


@batch_endpoint.command("list-jobs")
@reference("NAME", _ENDPOINT)
@click.option("-r", "--max-results", type=click.IntRange(1), default=25, show_default=True)
@output_option
def list_jobs(ref: str, max_results: int, output: Output) -> None:
    """List jobs that were invoked through it, newest first."""
    from mlq.cli.words import say_age, say_state, short_id

    now = datetime.now(UTC)
    columns = [
        Column("JOB", lambda i: short_id(i["job_id"])),
        Column("DEPLOYMENT", lambda i: f"{i['deployment']} (v{i['version']})"),
        Column("STATE", lambda i: say_state(i["state"], i.get("reason"))),
        Column("BY", lambda i: str(i["invoked_by"])),
        Column("INVOKED", lambda i: say_age(i["at"], now=now)),
    ]
    with open_client() as client:
        found: Any = client.batch_endpoints.jobs(ref, limit=max_results)
    output.list(found, columns, name=lambda i: str(i["job_id"]), empty="It was not invoked yet.")


@click.group()
def batch_deployment() -> None:
    """What a batch endpoint does with its inputs: versions of a pipeline or a model."""


@batch_deployment.command("create")
@_FILE
@_ENDPOINT_NAME
@click.option("--set-default", is_flag=True, help="Invoked where none is named.")
@output_option
def create_deployment(
    path: Path, endpoint_name: str | None, set_default: bool, output: Output
) -> None:
    """Publish a pipeline or a model; a change is the next version."""
    from mlq.cli.batch_file import prepare_deployment

    with open_client() as client:
        document = prepare_deployment(path, client=client, say=talk)
        endpoint = endpoint_name or document.get("endpoint_name")
        if not endpoint:
            raise click.UsageError("Name the endpoint: --endpoint-name, or in the file.")
        document["endpoint_name"] = endpoint
        made = client.batch_endpoints.put_deployment(endpoint, document, set_default=set_default)
    brief = {key: value for key, value in made.items() if key != "job"}
    output.one(brief, name=f"{made['name']}:{made['version']}")


@batch_deployment.command("show")
@reference("NAME", "Name of the deployment.")
@click.option("-e", "--endpoint-name", required=True, help="Its endpoint.")
@click.option("-v", "--version", type=click.IntRange(1), help="The newest by default.")
@output_option
def show_deployment(ref: str, endpoint_name: str, version: int | None, output: Output) -> None:
    """Show a version of a deployment and the job that it submits."""
    with open_client() as client:
        found = client.batch_endpoints.get_deployment(endpoint_name, ref, version=version)
    output.one(found, name=f"{found['name']}:{found['version']}")


@batch_deployment.command("delete")
@reference("NAME", "Name of the deployment.")
@click.option("-e", "--endpoint-name", required=True, help="Its endpoint.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def delete_deployment(ref: str, endpoint_name: str, yes: bool, output: Output) -> None:
    """Remove a deployment with all its versions; its jobs stay."""
    if not yes:
        confirm(f"Remove deployment {ref} of {endpoint_name}?")
    with open_client() as client:
        client.batch_endpoints.delete_deployment(endpoint_name, ref)
    output.one({"name": ref, "deleted": True}, name=ref)
