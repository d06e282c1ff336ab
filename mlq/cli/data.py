"""`mlq data`: named, versioned datasets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from mlq.cli.context import open_client, reference, split_version
from mlq.cli.output import Column, Output, output_option


@click.group()
def data() -> None:
    """Named, versioned datasets: mlq:churn:3, mlq:churn@latest."""


@data.command()
@reference("NAME", "Name of the dataset.")
@click.option(
    "-p",
    "--path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="File to register: CSV, Parquet, Arrow, anything.",
)
@click.option("-d", "--description", help="Shown with the version.")
@output_option
def create(ref: str, path: Path, description: str | None, output: Output) -> None:
    """Register a file as the next version; identical bytes keep the version they have."""
    with open_client() as client:
        version = client.data.create(ref, path, description=description)
    output.one(version, name=version["id"])


@data.command("list")
@click.option("-n", "--name", help="The versions of this dataset, newest first.")
@click.option("-r", "--max-results", type=click.IntRange(1), default=50, show_default=True)
@output_option
def list_data(name: str | None, max_results: int, output: Output) -> None:
    """List datasets, or the versions of one."""
    from mlq.cli.words import say_age, say_size

    now = datetime.now(UTC)
    with open_client() as client:
        if name is None:
            columns = [
                Column("NAME", lambda i: str(i["name"]), flexible=True),
                Column("LATEST", lambda i: str(i.get("latest_version") or ""), right=True),
                Column(
                    "UPDATED", lambda i: say_age((i.get("latest") or {}).get("created_at"), now=now)
                ),
            ]
            output.list(
                client.data.list(limit=max_results),
                columns,
                name=lambda i: str(i["name"]),
                empty="No data yet. Register some: mlq data create NAME --path FILE",
            )
            return
        columns = [
            Column("ID", lambda i: str(i["id"])),
            Column("FILE", lambda i: str(i.get("file_name") or ""), flexible=True),
            Column("SIZE", lambda i: say_size(i.get("size_bytes")), right=True),
            Column("CREATED", lambda i: say_age(i.get("created_at"), now=now)),
            Column("BY", lambda i: str(i.get("created_by") or "")),
        ]
        found = client.data.versions(name, limit=max_results)
        output.list(found, columns, name=lambda i: str(i["id"]))


@data.command()
@reference("NAME", "NAME, NAME:VERSION or NAME@latest.")
@click.option("-v", "--version", help="Its number; the latest by default.")
@output_option
def show(ref: str, version: str | None, output: Output) -> None:
    """Show one version of a dataset."""
    name, version = split_version(ref, version)
    with open_client() as client:
        found = client.data.get(name, version=version or "latest")
    output.one(found, name=found["id"])
