"""`mlq model`: registered models, and which version is in production."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlq.cli.context import open_client, reference, split_version
from mlq.cli.model_more import card, delete, lineage, package, reproduce
from mlq.cli.output import Column, Item, Output, fields, make_table, output_option

if TYPE_CHECKING:
    from rich.console import RenderableType

_MODEL = "Name of the model."
_VERSIONED = "NAME, NAME:VERSION or NAME@ALIAS."


@click.group()
def model() -> None:
    """Registered models: promote, roll back, download."""


@model.command()
@click.option(
    "-f",
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Model file of Azure's schema (YAML or JSON).",
)
@output_option
def create(file: Path, output: Output) -> None:
    """Register a folder or file as the next version of the model that the file names.

    The bytes of the newest version keep its number.
    """
    from mlq.cli.asset_file import find_local, read_file, refuse_address
    from mlq.cli.job_file import placed
    from mlq.spec.asset_files import ModelFile, read_asset

    document = read_file(file)
    asset = read_asset(document, ModelFile)
    path = find_local(document, base=file.parent, type=asset.type)
    if path is None:
        refuse_address(document)
    with open_client() as client, placed(document):
        made = client.models.create(
            asset.name,
            path,
            type=asset.type,
            description=asset.description,
            tags=asset.tags,
            version=asset.version,
        )
    output.one(made, name=made["uri"])


@model.command("list")
@click.option("-n", "--name", help="The versions of this model, newest first.")
@click.option("-r", "--max-results", type=click.IntRange(1), default=50, show_default=True)
@output_option
def list_models(name: str | None, max_results: int, output: Output) -> None:
    """List models, or the versions of one."""
    with open_client() as client:
        if name is None:
            columns = [
                Column("NAME", lambda i: str(i["name"]), flexible=True),
                Column("LATEST", lambda i: str(i.get("latest_version") or ""), right=True),
                Column("ALIASES", lambda i: say_aliases(i.get("aliases"))),
            ]
            output.list(
                client.models.list(limit=max_results),
                columns,
                name=lambda i: str(i["name"]),
                empty="No models yet: a pipeline's mlq:register step makes one.",
            )
            return
        found = client.models.versions(name, limit=max_results)
        output.list(found, _version_columns(), name=lambda i: str(i["uri"]))


@model.command()
@reference("NAME", _VERSIONED)
@click.option("-v", "--version", help="Number or alias of a version.")
@output_option
def show(ref: str, version: str | None, output: Output) -> None:
    """Show a model with its versions, or one version with its metrics."""
    name, version = split_version(ref, version)
    with open_client() as client:
        if version is not None:
            one = client.models.version(name, version)
            output.one(one, name=one["uri"], render=lambda: fields(_plain(one)))
            return
        found = client.models.get(name)
        versions = client.models.versions(name) if output.form == "table" else []
    output.one(found, name=found["name"], render=lambda: _render(found, versions))


@model.command()
@reference("NAME", _MODEL)
@click.option("-v", "--version", help="Number, or an alias such as staging.")
@click.option("-a", "--alias", default="production", show_default=True, help="Alias that moves.")
@click.option("--reason", help="Kept in the history.")
@output_option
def promote(ref: str, version: str | None, alias: str, reason: str | None, output: Output) -> None:
    """Move an alias to a version; what follows the alias serves it within a second."""
    name, version = split_version(ref, version)
    with open_client() as client:
        move = client.models.promote(name, version=version or "staging", alias=alias, reason=reason)
    _tell(name, move, output=output)


@model.command()
@reference("NAME", _MODEL)
@click.option("-a", "--alias", default="production", show_default=True, help="Alias that moves.")
@click.option("--to", type=int, help="A version it pointed to earlier; the previous by default.")
@click.option("--reason", help="Kept in the history.")
@click.option("--force", is_flag=True, help="Also where the signatures do not fit.")
@click.option("--undo", is_flag=True, help="Undo the rollback that was the alias's last move.")
@output_option
def rollback(
    ref: str,
    alias: str,
    to: int | None,
    reason: str | None,
    force: bool,
    undo: bool,
    output: Output,
) -> None:
    """Move an alias back to what it was. Pipelines leave it alone until `mlq model resume`."""
    if undo and (to is not None or force):
        raise click.UsageError("--undo goes with neither --to nor --force.")
    with open_client() as client:
        if undo:
            move = client.models.undo_rollback(ref, alias=alias, reason=reason or "")
        else:
            move = client.models.rollback(ref, alias=alias, to=to, reason=reason, force=force)
    _tell(ref, move, output=output)
    if not undo and output.form == "table":
        click.echo(f"Pipelines leave {ref}@{alias} alone until: mlq model resume {ref}", err=True)
        click.echo(f"Undo: mlq model rollback {ref} --undo", err=True)


@model.command()
@reference("NAME", _MODEL)
@click.option("-a", "--alias", default="production", show_default=True, help="Alias to let go.")
@click.option("--reason", default="", help="Kept in the audit log.")
@output_option
def resume(ref: str, alias: str, reason: str, output: Output) -> None:
    """Let pipelines move an alias again that a rollback held."""
    from rich.text import Text

    with open_client() as client:
        changed = client.models.resume(ref, alias=alias, reason=reason)
    words = "may be moved by pipelines again" if changed else "was not held"
    output.one(
        {"name": ref, "alias": alias, "held": False, "changed": changed},
        name=ref,
        render=lambda: Text(f"{ref}@{alias} {words}"),
    )


@model.command()
@reference("NAME", _MODEL)
@click.option("-a", "--alias", help="Only the moves of this alias.")
@click.option("-r", "--max-results", type=click.IntRange(1), default=25, show_default=True)
@output_option
def history(ref: str, alias: str | None, max_results: int, output: Output) -> None:
    """List every move of a model's aliases, newest first: who, when, why."""
    with open_client() as client:
        moves = client.models.history(ref, alias=alias, limit=max_results)
    columns = history_columns(datetime.now(UTC))
    output.list(
        moves,
        columns,
        name=lambda i: f"{i['alias']}={i['version']}",
        empty=f"No moves of {alias}. All of them: mlq model history {ref}"
        if alias
        else "No moves yet.",
    )


@model.command()
@reference("NAME", _VERSIONED)
@click.option("-v", "--version", help="Number or alias; production by default.")
@click.option(
    "-p",
    "--download-path",
    "to",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="here",
    help="Folder to put the package's folder in.",
)
@output_option
def download(ref: str, version: str | None, to: Path, output: Output) -> None:
    """Save a version's MLflow-format package as the folder NAME-VERSION."""
    name, version = split_version(ref, version)
    with open_client() as client:
        found = client.models.version(name, version or "production")
        folder = to / f"{name}-{found['version']}"
        client.models.download(name, found["version"], to=folder)
    output.one({"uri": found["uri"], "path": str(folder)}, name=str(folder))


def history_columns(now: datetime) -> list[Column]:
    """Columns of an alias history, also shown by the demo."""
    from mlq.cli.words import say_age

    return [
        Column("ALIAS", lambda i: str(i["alias"])),
        Column("FROM", lambda i: say_version(i.get("previous")), right=True),
        Column("TO", lambda i: say_version(i.get("version")), right=True),
        Column("HOW", lambda i: str(i.get("act") or "")),
        Column("BY", lambda i: str(i.get("actor") or "")),
        Column("WHEN", lambda i: say_age(i.get("at"), now=now)),
        Column("WHY", lambda i: str(i.get("reason") or ""), flexible=True),
    ]


def say_version(version: object) -> str:
    """`v3`; a dash where an alias pointed nowhere."""
    return "-" if version is None else f"v{version}"


def say_aliases(aliases: Mapping[str, int] | None) -> str:
    """`production v1, staging v2`."""
    return ", ".join(f"{alias} v{version}" for alias, version in (aliases or {}).items())


def _tell(name: str, move: Item, *, output: Output) -> None:
    from rich.text import Text

    was = f", was {say_version(move.get('previous'))}" if move.get("previous") else ""
    words = f"{name}@{move.get('alias')} is now {say_version(move.get('version'))}{was}"
    if followers := move.get("endpoints"):
        words += f"; endpoints: {', '.join(str(one['endpoint']) for one in followers)}"
    output.one(move, name=f"models:/{name}/{move.get('version')}", render=lambda: Text(words))


def _version_columns() -> list[Column]:
    from mlq.cli.words import pick_metrics, say_age, say_number

    now = datetime.now(UTC)

    def metrics(item: Item) -> str:
        return "  ".join(f"{k} {say_number(v)}" for k, v in pick_metrics(item.get("metrics")))

    return [
        Column("VERSION", lambda i: say_version(i["version"]), right=True),
        Column("ALIASES", lambda i: ", ".join(i.get("aliases") or [])),
        Column("METRICS", metrics, flexible=True),
        Column("CREATED", lambda i: say_age(i.get("created_at"), now=now)),
    ]


def _render(found: Item, versions: Any) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(str(found["name"]), style="bold")]
    if found.get("description"):
        parts.append(Text(str(found["description"])))
    return Group(*parts, "", make_table(versions, _version_columns()))


def _plain(version: Item) -> dict[str, Any]:
    """A version for reading: its metrics as words, the report left to `-o json`."""
    from mlq.cli.words import say_number

    shown = {key: value for key, value in version.items() if key not in ("report", "metrics")}
    metrics = version.get("metrics") or {}
    if metrics:
        shown["metrics"] = "\n".join(f"{key} {say_number(value)}" for key, value in metrics.items())
    if shown.get("aliases"):
        shown["aliases"] = ", ".join(shown["aliases"])
    return shown


for _command in (card, lineage, delete, reproduce, package):
    model.add_command(_command)
