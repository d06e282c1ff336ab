"""`mlq import`: what other servers hold, brought here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from mlq.cli.context import open_client
from mlq.cli.output import Output, output_option, talk
from mlq.errors import MlqError

if TYPE_CHECKING:
    from rich.console import RenderableType


@click.group("import")
def import_group() -> None:
    """Bring over what other servers hold."""


@import_group.command()
@click.argument("uri")
@click.option(
    "-e",
    "--experiment",
    "experiments",
    multiple=True,
    help="Only this experiment, and the registry; may be repeated.",
)
@output_option
def mlflow(uri: str, experiments: tuple[str, ...], output: Output) -> None:
    """Bring experiments, runs, models and their files from the MLflow server at URI.

    Ids of runs, numbers of versions and aliases stay as they are. Call it again at any time: only
    what is new or has changed is brought. Credentials come from MLFLOW_TRACKING_TOKEN, or from
    MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. Exits with 1 when something was left out.
    """
    from mlq.client.mlflow_import import MlflowImport
    from mlq.client.mlflow_source import MlflowSource

    source = MlflowSource(
        uri,
        token=os.environ.get("MLFLOW_TRACKING_TOKEN", ""),
        username=os.environ.get("MLFLOW_TRACKING_USERNAME", ""),
        password=os.environ.get("MLFLOW_TRACKING_PASSWORD", ""),
    )
    try:
        with open_client() as client:
            if source.uri.removesuffix("/mlflow") == client.url:
                raise MlqError(
                    f"{source.uri} is the server that would be imported to.",
                    code="invalid",
                    hint="MLQ_API_URL names the target, URI the source.",
                )
            done = MlflowImport(source, client.tracking, say=talk).run(experiments).document()
    finally:
        source.close()
    output.one(done, name=source.uri, render=lambda: _render(done))
    if done["problems"]:
        raise MlqError(
            f"{len(done['problems'])} things could not be brought; what they are is said above.",
            hint="Call the command again once their reasons are gone.",
        )


def _render(done: dict[str, Any]) -> RenderableType:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    runs = ("new", "changed", "same")
    for label, text in (
        ("experiments", str(done["experiments"])),
        ("runs", ", ".join(f"{done[f'runs_{kind}']} {kind}" for kind in runs)),
        ("logged models", f"{done['logged_models']} new"),
        ("models", f"{done['models']} new"),
        ("versions", f"{done['versions']} new"),
        ("aliases", f"{done['aliases']} new"),
        ("files", f"{done['files']} new, {done['bytes']:,} bytes"),
        ("left out", str(len(done["problems"]))),
    ):
        table.add_row(label, text)
    return table
