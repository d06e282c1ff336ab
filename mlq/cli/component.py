"""`mlq component`: what steps can be made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlq.cli.context import open_client, reference
from mlq.cli.output import Column, Output, output_option, talk

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.group()
def component() -> None:
    """What steps can be made of."""


@component.command()
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Component file (YAML or JSON).",
)
@output_option
def create(path: Path, output: Output) -> None:
    """Register a component under the name that its file says.

    Code, components and data that the file names on this machine go along. The version is the
    file's, else the next number; a definition that is registered already keeps its version.
    """
    from mlq.cli.job_file import placed, take_along
    from mlq.spec import read_document

    media_type = "application/json" if path.suffix == ".json" else "application/yaml"
    written = read_document(path.read_bytes(), file=str(path), media_type=media_type)
    with open_client() as client:
        taken = take_along(written, base=path.parent, client=client, filled=None, say=talk)
        with placed(written):
            made = client.components.create(taken.document.data)
    output.one(made, name=str(made["id"]))


@component.command("list")
@click.option("-n", "--name", help="The versions of this component, latest first.")
@output_option
def list_components(name: str | None, output: Output) -> None:
    """List components, or the versions of one."""
    columns = [
        Column("NAME", lambda i: str(i["name"])),
        Column("VERSION", lambda i: str(i.get("version") or ""), right=True),
        Column("WHAT IT DOES", lambda i: str(i.get("description") or ""), flexible=True),
    ]
    with open_client() as client:
        found = client.components.list() if name is None else client.components.versions(name)
        output.list(found, columns, name=lambda i: str(i["id"]))


@component.command()
@reference("NAME", "Name of the component, such as mlq:train or count_lines:3.")
@output_option
def show(ref: str, output: Output) -> None:
    """Show a component with its inputs and outputs."""
    with open_client() as client:
        found = client.components.get(ref)
    output.one(found, name=str(found["name"]), render=lambda: _render(found))


def _render(found: dict[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = [Text(str(found["name"]), style="bold")]
    if found.get("description"):
        parts.append(Text(str(found["description"])))
    for title in ("inputs", "outputs"):
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold")
        for name, port in (found.get(title) or {}).items():
            grid.add_row(f"  {name}", _kind(port), Text(_describe(port)))
        parts += [Text(f"\n{title}", style="bold"), grid]
    if found.get("open_inputs"):
        parts.append(Text("  … and any other input", style="dim"))
    return Group(*parts)


def _kind(port: dict[str, Any]) -> str:
    kind = str(port.get("type", ""))
    return f"{kind}, optional" if port.get("optional") else kind


def _describe(port: dict[str, Any]) -> str:
    words = [str(port["description"])] if port.get("description") else []
    if port.get("enum"):
        words.append("One of " + ", ".join(str(value) for value in port["enum"]) + ".")
    if port.get("default") is not None:
        words.append(f"Default: {port['default']}.")
    return " ".join(words)
