"""`mlq up`, `api`, `serve` and `db`: what runs on the server's side. Imported when they run."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from mlq.cli.output import Output, output_option


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port of the console and the API [8420]."
)
@click.option("--host", help="Address to bind [127.0.0.1]; others on the network reach others.")
@click.option("--workers", type=click.IntRange(0), help="Slots for compute cpu; one for each core.")
@click.option("--database-url", help="PostgreSQL in place of the SQLite file.")
@click.option("--broker-url", help="Redis, Valkey or RabbitMQ in place of the embedded Valkey.")
@click.option("--artifact-url", help="Folder or object store (fsspec URL) for artifacts.")
@click.option("--flower/--no-flower", default=True, help="Flower at /flower/.  [default: on]")
@output_option
def up(
    port: int | None,
    host: str | None,
    workers: int | None,
    database_url: str | None,
    broker_url: str | None,
    artifact_url: str | None,
    flower: bool,
    output: Output,
) -> int:
    """Start everything on this machine: console, API, workers, model server, Flower.

    State is kept below MLQ_HOME (~/.mlq). Ctrl-C stops everything.
    """
    from mlq.onemachine.startup import Options, run_up

    options = Options(
        database_url=database_url,
        broker_url=broker_url,
        artifact_url=artifact_url,
        host=host,
        port=port,
        workers=workers,
        flower=flower,
        output=output.form,
    )
    return run_up(options)


def _address(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.")(
        function
    )
    return click.option("--host", help="Address to bind [127.0.0.1].")(function)


@click.command()
@_address
def api(host: str | None, port: int | None) -> int:
    """Start the API alone, with the database and broker of MLQ_DATABASE_URL and MLQ_BROKER_URL."""
    _set_address(host, port)
    from mlq_api.__main__ import main

    main()
    return 0


@click.command()
@_address
def serve(host: str | None, port: int | None) -> int:
    """Start the model server alone: Open Inference Protocol and endpoints, port 8421."""
    from mlq_api.serving.__main__ import main

    arguments = [] if host is None else ["--host", host]
    main(arguments if port is None else [*arguments, "--port", str(port)])
    return 0


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
@click.option("--database-url", help="The database; that of MLQ_DATABASE_URL by default.")
@output_option
def upgrade(database_url: str | None, output: Output) -> None:
    """Bring the database's tables to this version."""
    from mlq.db.migrate import upgrade as migrate
    from mlq.settings import load_settings

    settings = load_settings(database_url=database_url)
    revision = migrate(settings.database)
    output.one({"revision": revision}, name=revision)


def _set_address(host: str | None, port: int | None) -> None:
    """Hand the address on the way these programs take it: by their settings."""
    if host is not None:
        os.environ["MLQ_HOST"] = host
    if port is not None:
        os.environ["MLQ_PORT"] = str(port)
