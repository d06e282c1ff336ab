"""`mlq model card|lineage|delete|reproduce|package`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mlq.cli.context import confirm, open_client, reference, split_version
from mlq.cli.output import Column, Output, output_option

_VERSIONED = "NAME, NAME:VERSION or NAME@ALIAS."
_OPTION = click.option("-v", "--version", help="Number or alias; production by default.")
LINEAGE = [
    Column("", lambda item: str(item["side"])),
    Column("KIND", lambda item: str(item["kind"])),
    Column("WHAT", lambda item: str(item["uri"]), flexible=True),
    Column("NOTE", lambda item: str(item["note"]), flexible=True),
]


def sides(found: dict[str, Any]) -> list[dict[str, str]]:
    """A lineage as rows: what is upstream, the subject, what is downstream."""
    return [
        *({**node, "side": "from"} for node in reversed(found["upstream"])),
        {**found["subject"], "side": "this"},
        *({**node, "side": "to"} for node in found["downstream"]),
    ]


@click.command()
@reference("NAME", _VERSIONED)
@_OPTION
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "html"]),
    default="markdown",
    show_default=True,
    help="HTML holds the plots too.",
)
@click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="Write it there.")
@output_option
def card(ref: str, version: str | None, form: str, file: Path | None, output: Output) -> None:
    """Print the card of a version: data, parameters, metrics, environment, promotions."""
    name, version = split_version(ref, version)
    with open_client() as client:
        text = client.models.card(name, version or "production", form=form)
    if file is not None:
        file.write_text(text, encoding="utf-8")
        output.one({"path": str(file)}, name=str(file))
    elif output.form == "table":
        sys.stdout.write(text)
    else:
        output.one({"card": text}, name=text)


@click.command()
@reference("NAME", _VERSIONED)
@_OPTION
@output_option
def lineage(ref: str, version: str | None, output: Output) -> None:
    """Show what a version came from, and who uses it."""
    name, version = split_version(ref, version)
    with open_client() as client:
        found = client.models.lineage(name, version or "production")
    output.list(sides(found), LINEAGE, name=lambda item: str(item["uri"]), empty="")


@click.command()
@reference("NAME", _VERSIONED)
@click.option("-v", "--version", help="Number; without one, the whole model.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def delete(ref: str, version: str | None, yes: bool, output: Output) -> None:
    """Delete a version, or a whole model; refused while it is in use."""
    name, version = split_version(ref, version)
    if not yes:
        what = f"version {version} of model {name}" if version else f"model {name}"
        confirm(f"Delete {what}? There is no way back.")
    with open_client() as client:
        client.models.delete(name, version)
    uri = f"models:/{name}" + (f"/{version}" if version else "")
    output.one({"uri": uri, "deleted": True}, name=uri)


@click.command()
@reference("NAME", _VERSIONED)
@_OPTION
@output_option
@click.pass_context
def reproduce(context: click.Context, ref: str, version: str | None, output: Output) -> None:
    """Run again what made a version, on the same data, and compare metrics and artifacts."""
    name, version = split_version(ref, version)
    with open_client() as client:
        number = client.models.version(name, version or "production")["version"]
        job = client.models.reproduce(name, number)
        click.echo(f"Running {job['display_name']} as job {job['id']}", err=True)
        client.jobs.wait(job["id"])
        found = client.models.compare(name, number, job=job["id"])
    rows = [
        {"path": step["path"], "state": step["state"], "differing": step["differing"]}
        for step in found["steps"]
    ]
    if output.form == "table":
        columns = [
            Column("STEP", lambda item: str(item["path"])),
            Column("STATE", lambda item: str(item["state"])),
            Column("DIFFERS", lambda item: ", ".join(item["differing"]) or "-", flexible=True),
        ]
        output.list(rows, columns, name=lambda item: str(item["path"]), empty="No steps.")
    else:
        output.one({**found, "job": job["id"]}, name=job["id"])
    if not found["equal"]:
        context.exit(1)


@click.command()
@reference("NAME", _VERSIONED)
@_OPTION
@click.option(
    "--output-path",
    "to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the build context; NAME-VERSION-image here by default.",
)
@output_option
def package(ref: str, version: str | None, to: Path | None, output: Output) -> None:
    """Write a container build context: a version with its model server."""
    from mlq.cli.model_package import prepare_context, write_context

    name, version = split_version(ref, version)
    with open_client() as client:
        found = client.models.version(name, version or "production")
        folder = to or Path(f"{name}-{found['version']}-image")
        client.models.download(name, found["version"], to=prepare_context(folder))
    write_context(folder, name=name, version=found["version"])
    click.echo(f"docker build --tag {name.lower()} {folder}", err=True)
    output.one({"uri": found["uri"], "path": str(folder)}, name=str(folder))
