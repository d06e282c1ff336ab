"""`mlq up`, `api`, `serve` and `db`: what runs on the server's side. Imported when they run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlq.cli.output import Column, Output, make_table, output_option
from mlq.cli.words import say_size
from mlq.errors import MlqError

if TYPE_CHECKING:
    from rich.console import RenderableType

_DAYS = click.FloatRange(0)
_PLAIN_HTTP = "Bind other addresses than loopback, though mlq speaks HTTP without TLS."


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port of the console and the API [8420]."
)
@click.option("--host", help="Address to bind [127.0.0.1]; others on the network reach others.")
@click.option("--plain-http", is_flag=True, default=None, help=_PLAIN_HTTP)
@click.option("--workers", type=click.IntRange(0), help="Slots for compute cpu; one for each core.")
@click.option("--database-url", help="PostgreSQL in place of the SQLite file.")
@click.option("--broker-url", help="Redis, Valkey or RabbitMQ in place of the embedded Valkey.")
@click.option("--artifact-url", help="Folder or object store (fsspec URL) for artifacts.")
@click.option("--flower/--no-flower", default=True, help="Flower at /flower/.  [default: on]")
@output_option
def up(
    port: int | None,
    host: str | None,
    plain_http: bool | None,
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
        plain_http=plain_http,
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
    function = click.option("--plain-http", is_flag=True, default=None, help=_PLAIN_HTTP)(function)
    return click.option("--host", help="Address to bind [127.0.0.1].")(function)


@click.command()
@_address
def api(host: str | None, plain_http: bool | None, port: int | None) -> int:
    """Start the API alone, with the database and broker of MLQ_DATABASE_URL and MLQ_BROKER_URL."""
    _set_address(host, plain_http, port)
    from mlq_api.__main__ import main

    main()
    return 0


@click.command()
@_address
def serve(host: str | None, plain_http: bool | None, port: int | None) -> int:
    """Start the model server alone: Open Inference Protocol and endpoints, port 8421."""
    from mlq_api.serving.__main__ import main

    arguments = [] if host is None else ["--host", host]
    if plain_http:
        arguments.append("--plain-http")
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


@db.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@output_option
def backup(folder: Path, output: Output) -> None:
    """Copy the database and all artifacts that it names into FOLDER, while mlq runs.

    Again into the same FOLDER: the rows are replaced, artifacts that are new are added.
    """
    from mlq.artifacts import Store
    from mlq.db import Database
    from mlq.db.migrate import require_current
    from mlq.service.backup import back_up
    from mlq.settings import load_settings

    settings = load_settings()
    database = Database.open(settings.database, pool_size=1)
    try:
        with database.read() as conn:
            require_current(conn)
        copied = back_up(database, Store.open(settings.artifact_root), folder)
    finally:
        database.close()
    output.one({"folder": str(folder), **asdict(copied)}, name=str(folder))


@db.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@output_option
def restore(folder: Path, output: Output) -> None:
    """Fill a new database and an artifact store from a backup in FOLDER.

    The database is that of MLQ_DATABASE_URL, or of MLQ_HOME; it may be of another kind than the one
    that was backed up. Start mlq afterwards.
    """
    from socket import gethostname

    from mlq.artifacts import Store
    from mlq.db import Database
    from mlq.db.migrate import upgrade as migrate
    from mlq.service.backup import restore as bring_back
    from mlq.settings import load_settings

    settings = load_settings()
    migrate(settings.database)
    database = Database.open(settings.database, pool_size=1)
    try:
        store = Store.open(settings.artifact_root)
        copied = bring_back(database, store, folder, host=gethostname())
    finally:
        database.close()
    output.one({"folder": str(folder), **asdict(copied)}, name=str(folder))


@db.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("--jobs", "jobs_d", type=_DAYS, help="Keep whole ended jobs for so many days.")
@click.option("--logs", "logs_d", type=_DAYS, help="Keep logs of ended jobs for so many days.")
@click.option("--metrics", "metrics_d", type=_DAYS, help="Keep all values of their metrics.")
@click.option("--events", "events_d", type=_DAYS, help="Keep the history of jobs that are gone.")
@click.option(
    "--unnamed", "unnamed_d", type=click.FloatRange(1 / 24), help="Keep artifacts nothing names."
)
@output_option
def prune(
    dry_run: bool,
    jobs_d: float | None,
    logs_d: float | None,
    metrics_d: float | None,
    events_d: float | None,
    unnamed_d: float | None,
    output: Output,
) -> None:
    """Remove what is kept no longer, while mlq runs.

    Without options as MLQ_KEEP_… say. Never what a model version, an endpoint, a version of data or
    their lineage needs. An artifact goes when two runs, at least that many days apart, found it
    named by nothing.
    """
    from mlq.artifacts import Store
    from mlq.db import Database
    from mlq.db.migrate import require_current
    from mlq.service import pruning
    from mlq.settings import load_settings

    days = {
        "keep_jobs_s": jobs_d,
        "keep_logs_s": logs_d,
        "keep_metrics_s": metrics_d,
        "keep_events_s": events_d,
        "keep_unnamed_s": unnamed_d,
    }
    given = {name: value * 86400 for name, value in days.items() if value is not None}
    settings = load_settings()
    policy = pruning.Policy.of(settings.model_copy(update=given))
    if policy.is_empty:
        raise MlqError(
            "Everything is kept for ever: nothing says what may go.",
            code="usage",
            hint="Say it, as in `mlq db prune --logs 30 --unnamed 7 --dry-run`, or set MLQ_KEEP_….",
        )
    database = Database.open(settings.database, pool_size=1)
    try:
        with database.read() as conn:
            require_current(conn)
        store = Store.open(settings.artifact_root, cache=settings.home / "cache")
        if dry_run:
            pruned = pruning.measure(database, store, policy)
        else:
            pruned = pruning.prune(database, store, policy, actor="mlq db prune")
    finally:
        database.close()
    document = {"dry_run": dry_run, **asdict(pruned)}
    output.one(document, name="", render=lambda: _pruned_table(document))


def _pruned_table(document: Mapping[str, Any]) -> RenderableType:
    rows = []
    for name, title in (
        ("jobs", "jobs"),
        ("logs", "logs"),
        ("metrics", "values of metrics"),
        ("events", "events"),
        ("artifacts", "artifacts"),
        ("waiting", "unnamed, not for long"),
    ):
        amount = document[name]
        if isinstance(amount, int):
            amount = {"count": amount, "size_bytes": None}
        kept = name == "waiting"
        rows.append({"what": title, "kept": kept, **amount})
    would = document["dry_run"]
    return make_table(
        rows,
        [
            Column("WHAT", lambda row: row["what"]),
            Column("WOULD GO" if would else "GONE", lambda row: _count(row, False), right=True),
            Column("STAY", lambda row: _count(row, True), right=True),
            Column("SIZE", lambda row: say_size(row["size_bytes"]), right=True),
        ],
    )


def _count(row: Mapping[str, Any], kept: bool) -> str:
    return str(row["count"]) if row["kept"] is kept else ""


def _set_address(host: str | None, plain_http: bool | None, port: int | None) -> None:
    """Hand the address on the way these programs take it: by their settings."""
    if host is not None:
        os.environ["MLQ_HOST"] = host
    if plain_http:
        os.environ["MLQ_PLAIN_HTTP"] = "true"
    if port is not None:
        os.environ["MLQ_PORT"] = str(port)
