"""`mlq data`: named, versioned datasets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlq.cli.context import confirm, open_client, reference, split_version
from mlq.cli.output import Column, Output, make_console, output_option

if TYPE_CHECKING:
    from mlq.client.documents import DataVersion


@click.group()
def data() -> None:
    """Named, versioned datasets: mlq:churn:3, mlq:churn@latest."""


@data.command()
@click.argument("ref", required=False, metavar="NAME")
@click.option("-n", "--name", "named", metavar="NAME", help="Name of the dataset.")
@click.option(
    "-f",
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Data file of Azure's schema, in place of all that follows.",
)
@click.option(
    "-p",
    "--path",
    type=click.Path(exists=True, path_type=Path),
    help="File or folder to register: CSV, Parquet, Arrow, anything.",
)
@click.option(
    "-u", "--url", help="Or an address that the server reads: https://, s3://, file:///shared/…"
)
@click.option(
    "--copy/--no-copy",
    default=None,
    help="With --url: keep the bytes in the store, as by default, or leave them where they are.",
)
@click.option("-d", "--description", help="Shown with the version.")
@output_option
def create(
    ref: str | None,
    named: str | None,
    file: Path | None,
    path: Path | None,
    url: str | None,
    copy: bool | None,
    description: str | None,
    output: Output,
) -> None:
    """Register a file or folder as the next version; identical bytes keep the one they have."""
    if file is not None:
        if any(given is not None for given in (ref, named, path, url, copy, description)):
            raise click.UsageError("--file says it all: give nothing else.")
        version = _create_of_file(file)
        output.one(version, name=version["id"])
        return
    name = ref if ref is not None else named
    if name is None or (ref is not None and named is not None):
        raise click.UsageError("Give the NAME once, or --file.")
    if (path is None) == (url is None):
        raise click.UsageError("Give either --path or --url.")
    if path is not None and copy is not None:
        raise click.UsageError("--copy and --no-copy go with --url: what is uploaded is a copy.")
    if path is not None and not (path.is_file() or path.is_dir()):
        # a pipe would be waited for, a device read for ever
        raise click.BadParameter(
            f"{path} is neither a file nor a folder. Save what comes out of it to a file first.",
            param_hint="--path",
        )
    with open_client() as client:
        if path is not None:
            version = client.data.create(name, path, description=description)
        else:
            version = client.data.import_url(
                name, str(url), copy=copy is not False, description=description
            )
    output.one(version, name=version["id"])


def _create_of_file(file: Path) -> DataVersion:
    from mlq.cli.asset_file import find_local, read_file
    from mlq.cli.job_file import placed
    from mlq.spec.asset_files import DataFile, read_asset

    document = read_file(file)
    asset = read_asset(document, DataFile)
    path = find_local(document, base=file.parent, type=asset.type)
    with open_client() as client, placed(document):
        if path is None:
            return client.data.import_url(
                asset.name,
                asset.path,
                description=asset.description,
                tags=asset.tags,
                version=asset.version,
            )
        return client.data.create(
            asset.name,
            path,
            type=asset.type,
            description=asset.description,
            tags=asset.tags,
            version=asset.version,
        )


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


@data.command()
@reference("NAME", "NAME or NAME:VERSION.")
@click.option("-v", "--version", help="Number; the newest by default.")
@output_option
def lineage(ref: str, version: str | None, output: Output) -> None:
    """Show which jobs were given a version, what they made, and who serves it."""
    from mlq.cli.model_more import LINEAGE, sides

    name, version = split_version(ref, version)
    with open_client() as client:
        found = client.data.lineage(name, version=version or "latest")
    output.list(sides(found), LINEAGE, name=lambda item: str(item["uri"]), empty="")


@data.command()
@reference("NAME", "NAME:VERSION.")
@click.option("-v", "--version", help="Number of the version.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def delete(ref: str, version: str | None, yes: bool, output: Output) -> None:
    """Delete a version; refused while something uses it, or was made from it."""
    name, version = split_version(ref, version)
    if version is None:
        raise click.UsageError("Name the version: mlq data delete NAME:VERSION.")
    if not yes:
        confirm(f"Delete {name}:{version}? There is no way back.")
    with open_client() as client:
        client.data.delete(name, version=version)
    output.one({"id": f"mlq:{name}:{version}", "deleted": True}, name=f"mlq:{name}:{version}")


@data.command()
@reference("NAME", "NAME, NAME:VERSION or NAME@latest.")
@click.option("-v", "--version", help="Its number; the latest by default.")
@click.option("-r", "--rows", type=click.IntRange(1, 1000), default=10, show_default=True)
@output_option
def preview(ref: str, version: str | None, rows: int, output: Output) -> None:
    """Show the first rows of a table."""
    from mlq.cli.data_view import preview_table

    name, version = split_version(ref, version)
    with open_client() as client:
        found = client.data.preview(name, version=version or "latest", rows=rows)
    output.one(found, name=name, render=lambda: preview_table(found))


@data.command()
@reference("NAME", "NAME, NAME:VERSION or NAME@latest.")
@click.option("-v", "--version", help="Its number; the latest by default.")
@output_option
def profile(ref: str, version: str | None, output: Output) -> None:
    """Show each column of a table: type, missing and distinct values, distribution."""
    from mlq.cli.data_view import profile_table

    name, version = split_version(ref, version)
    with open_client() as client:
        found = client.data.profile(name, version=version or "latest")
    output.one(found, name=name, render=lambda: profile_table(found, width=make_console().width))


@data.command()
@reference("NAME", "NAME, NAME:VERSION or NAME@latest.")
@click.option("-v", "--version", help="Its number; the latest by default.")
@click.option("-b", "--base", required=True, help="Number of the version to compare with.")
@output_option
def diff(ref: str, version: str | None, base: str, output: Output) -> None:
    """Compare two versions of a table: schema, rows, and the drift of each column."""
    from mlq.cli.data_view import difference_table

    name, version = split_version(ref, version)
    with open_client() as client:
        found = client.data.diff(name, base=base, version=version or "latest")
    output.one(found, name=found["after"], render=lambda: difference_table(found))
