"""`mlq worker` and `mlq queue`: who works, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from mlq.cli.context import open_client
from mlq.cli.output import Column, Output, output_option, talk

if TYPE_CHECKING:
    from mlq.client.documents import ServerProcess, Worker

_SERVERS = {"api": "API", "serve": "model server"}


@click.group(invoke_without_command=True)
@click.option(
    "-Q",
    "--queues",
    "computes",
    default="cpu",
    show_default=True,
    metavar="CPU,GPU,…",
    help="Computes to serve.",
)
@click.option("-c", "--concurrency", type=click.IntRange(1), help="Jobs at once; a core each.")
@click.option("-n", "--name", help="Name of this worker; host name and computes by default.")
@click.pass_context
def worker(ctx: click.Context, computes: str, concurrency: int | None, name: str | None) -> int:
    """Start a worker here, or list all workers.

    Without a command it starts one, which takes database and broker from MLQ_DATABASE_URL and
    MLQ_BROKER_URL, or from `mlq up` on this machine, and works until it is stopped.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    from mlq_workers.__main__ import main

    arguments = ["-Q", computes]
    if concurrency is not None:
        arguments += ["-c", str(concurrency)]
    if name is not None:
        arguments += ["--name", name]
    return int(main(arguments))


@worker.command("list")
@click.option("--all", "everyone", is_flag=True, help="Also those that went offline hours ago.")
@output_option
def list_workers(everyone: bool, output: Output) -> None:
    """List workers with what they serve, how busy they are, and of which version they are.

    Says so when workers, APIs and model servers are of different versions.
    """
    from mlq.cli.words import say_age

    now = datetime.now(UTC)
    columns = [
        Column("NAME", lambda i: str(i["name"]), flexible=True),
        Column("STATE", lambda i: str(i.get("state") or "")),
        Column("COMPUTES", lambda i: ",".join(i.get("computes") or [])),
        Column("BUSY", lambda i: f"{i.get('busy', 0)}/{i.get('slots', 0)}", right=True),
        Column("GPUS", lambda i: str(len(i.get("gpus") or [])), right=True),
        Column("VERSION", lambda i: str(i.get("version") or "")),
        Column("SEEN", lambda i: say_age(i.get("seen_at"), now=now)),
    ]
    with open_client() as client:
        workers = client.workers.list(all=everyone)
        servers = client.servers.list()
    output.list(
        workers,
        columns,
        name=lambda i: str(i["name"]),
        empty="No workers. Start one: mlq worker -Q cpu",
    )
    if words := say_skew(workers, servers):
        talk(words)


def say_skew(workers: Sequence[Worker], servers: Sequence[ServerProcess]) -> str:
    """Which processes are of which version where they differ, else an empty text."""
    found: dict[str, list[str]] = {}
    for worker in workers:
        if worker["state"] != "offline":
            found.setdefault(worker["version"], []).append(worker["name"])
    for server in servers:
        name = f"{_SERVERS[server['kind']]} on {server['host']}"
        found.setdefault(server["version"], []).append(name)
    if len(found) < 2:
        return ""
    lines = [f"  {version}: {', '.join(sorted(names))}" for version, names in sorted(found.items())]
    return "\n".join(["Versions differ; bring all to one:", *lines])


@worker.command("drain")
@click.argument("name")
@output_option
def drain_worker(name: str, output: Output) -> None:
    """Let a worker take no further step; those that it runs end as ever.

    NAME as `mlq worker list` has it. It works again after `mlq worker resume`, or once it is
    started anew.
    """
    with open_client() as client:
        found = client.workers.drain(name)
    output.one(found, name=found["name"])


@worker.command("resume")
@click.argument("name")
@output_option
def resume_worker(name: str, output: Output) -> None:
    """Let a drained worker take steps again."""
    with open_client() as client:
        found = client.workers.resume(name)
    output.one(found, name=found["name"])


@click.group()
def queue() -> None:
    """What waits, and who serves it."""


@queue.command("list")
@output_option
def list_queues(output: Output) -> None:
    """List computes with what waits for them."""
    from mlq.cli.words import say_duration

    columns = [
        Column("COMPUTE", lambda i: str(i["compute"]), flexible=True),
        Column("QUEUED", lambda i: str(i.get("queued", 0)), right=True),
        Column("RUNNING", lambda i: str(i.get("running", 0)), right=True),
        Column("SLOTS", lambda i: str(i.get("slots", 0)), right=True),
        Column("WORKERS", lambda i: str(i.get("workers", 0)), right=True),
        Column("OLDEST WAITS", lambda i: say_duration(i.get("oldest_queued_s")), right=True),
    ]
    with open_client() as client:
        output.list(
            client.queues.list(), columns, name=lambda i: str(i["compute"]), empty="No queues yet."
        )
