"""`mlq environment`: sets of Python requirements that jobs name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlq.cli.context import open_client, reference, split_version
from mlq.cli.output import Column, Output, output_option, talk

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.group()
def environment() -> None:
    """Python requirements that commands run in, by name and version."""


@environment.command()
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Environment file (YAML or JSON).",
)
@output_option
def create(path: Path, output: Output) -> None:
    """Register an environment under the name that its file says.

    A conda file that it names goes along. The version is the file's, else the next number; a
    definition that is registered already keeps its version.
    """
    from mlq.cli.asset_file import read_file, with_conda
    from mlq.cli.job_file import placed

    written = read_file(path)
    with open_client() as client, placed(written):
        made = client.environments.create(with_conda(written, base=path.parent).data)
    for warning in made["warnings"]:
        talk(f"warning: {warning}")
    output.one(made, name=str(made["id"]), render=lambda: _render(made))


@environment.command("list")
@click.option("-n", "--name", help="The versions of this environment, latest first.")
@output_option
def list_environments(name: str | None, output: Output) -> None:
    """List environments, or the versions of one."""
    columns = [
        Column("NAME", lambda i: str(i["name"])),
        Column("VERSION", lambda i: str(i["version"]), right=True),
        Column("REQUIREMENTS", lambda i: ", ".join(i["requirements"]), flexible=True),
    ]
    with open_client() as client:
        found = client.environments.list() if name is None else client.environments.versions(name)
        output.list(
            found,
            columns,
            name=lambda i: str(i["id"]),
            empty="No environments yet. Register one: mlq environment create -f FILE",
        )


@environment.command()
@reference("NAME", "NAME, NAME:VERSION or NAME@latest.")
@click.option("-v", "--version", help="Its version; the latest by default.")
@output_option
def show(ref: str, version: str | None, output: Output) -> None:
    """Show one version of an environment."""
    name, version = split_version(ref, version)
    with open_client() as client:
        found = client.environments.get(name, version=version or "latest")
    output.one(found, name=str(found["id"]), render=lambda: _render(found))


def _render(found: dict[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(str(found["id"]), style="bold")]
    if found.get("description"):
        parts.append(Text(str(found["description"])))
    parts += [Text(f"  {line}") for line in found["requirements"]]
    return Group(*parts)
