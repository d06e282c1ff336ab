"""`mlq schedule`: jobs that start by time, by data, or by a webhook."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from mlq.cli.context import confirm, open_client, reference
from mlq.cli.output import Column, Item, Output, output_option, talk

_SCHEDULE = "Name of the schedule."


@click.group()
def schedule() -> None:
    """Jobs that start by themselves: by time, on new data, or by a signed webhook."""


@schedule.command()
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Schedule file (YAML or JSON).",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value of the file, e.g. trigger.time_zone=UTC; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Check it only, and say when it would fire.")
@output_option
def create(path: Path, overrides: tuple[str, ...], dry_run: bool, output: Output) -> None:
    """Make a schedule, or change the one of that name; it is enabled.

    The job that it names is sent along, with local data and component files.
    """
    from mlq.cli.schedule_file import prepare_schedule

    with open_client() as client:
        taken = prepare_schedule(path, client=client, overrides=overrides, say=talk)
        made = client.schedules.put(taken.document.data, dry_run=dry_run, git=taken.git)
    if dry_run:
        output.one(made, name=made["name"])
        return
    output.one(_brief(made), name=made["name"])
    if made.get("secret"):
        talk("Give the secret to whoever sends the webhook; it is not shown again.")


@schedule.command("list")
@click.option("-r", "--max-results", type=click.IntRange(1), default=50, show_default=True)
@output_option
def list_schedules(max_results: int, output: Output) -> None:
    """List schedules."""
    columns = [
        Column("NAME", lambda i: str(i["name"]), flexible=True),
        Column("TRIGGER", lambda i: say_trigger(i["trigger"]), flexible=True),
        Column("ENABLED", lambda i: "yes" if i["is_enabled"] else "no"),
        Column("NEXT", lambda i: str(i.get("next_at") or "-")),
        Column("OVERLAP", lambda i: str(i["overlap"])),
    ]
    with open_client() as client:
        output.list(
            client.schedules.list(limit=max_results),
            columns,
            name=lambda i: str(i["name"]),
            empty="No schedules yet. Make one: mlq schedule create -f FILE",
        )


@schedule.command()
@reference("NAME", _SCHEDULE)
@output_option
def show(ref: str, output: Output) -> None:
    """Show a schedule and the job that it submits."""
    with open_client() as client:
        found = client.schedules.get(ref)
    output.one(found, name=found["name"])


@schedule.command()
@reference("NAME", _SCHEDULE)
@click.option("-r", "--max-results", type=click.IntRange(1), default=25, show_default=True)
@output_option
def history(ref: str, max_results: int, output: Output) -> None:
    """List what a schedule did, newest first."""
    from mlq.cli.words import say_age, short_id

    now = datetime.now(UTC)
    columns = [
        Column("DUE", lambda i: str(i["key"]), flexible=True),
        Column("OUTCOME", lambda i: str(i["outcome"])),
        Column("JOB", lambda i: short_id(i.get("job_id")) if i.get("job_id") else "-"),
        Column("FIRED", lambda i: say_age(i.get("at"), now=now)),
        Column("WHY", _say_why, flexible=True),
    ]
    with open_client() as client:
        output.list(
            client.schedules.firings(ref, limit=max_results),
            columns,
            name=lambda i: str(i["key"]),
            empty="It has not fired yet.",
        )


@schedule.command()
@reference("NAME", _SCHEDULE)
@output_option
def enable(ref: str, output: Output) -> None:
    """Let a schedule fire from now on."""
    with open_client() as client:
        found = client.schedules.enable(ref)
    output.one(_brief(found), name=found["name"])


@schedule.command()
@reference("NAME", _SCHEDULE)
@output_option
def disable(ref: str, output: Output) -> None:
    """Let a schedule fire no more; jobs that it started go on."""
    with open_client() as client:
        found = client.schedules.disable(ref)
    output.one(_brief(found), name=found["name"])


@schedule.command()
@reference("NAME", _SCHEDULE)
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="What the trigger would have known, e.g. commit=4b825dc; repeatable.",
)
@output_option
def trigger(ref: str, given: tuple[str, ...], output: Output) -> None:
    """Fire a schedule now, beside its trigger."""
    context = {}
    for pair in given:
        name, found, value = pair.partition("=")
        if not found:
            raise click.BadParameter(f"'{pair}' is not NAME=VALUE.", param_hint="--set")
        context[name] = value
    with open_client() as client:
        fired = client.schedules.trigger(ref, context=context)
        if fired.get("job_id"):
            talk(f"{client.url}/jobs/{fired['job_id']}")
    output.one(fired, name=fired.get("job_id") or fired["key"])


@schedule.command()
@reference("NAME", _SCHEDULE)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def delete(ref: str, yes: bool, output: Output) -> None:
    """Remove a schedule with its history; jobs that it started stay."""
    if not yes:
        confirm(f"Remove schedule {ref}?")
    with open_client() as client:
        client.schedules.delete(ref)
    output.one({"name": ref, "deleted": True}, name=ref)


def say_trigger(trigger: Item) -> str:
    """A trigger in a few words."""
    kind = trigger["type"]
    zone = trigger.get("time_zone", "UTC")
    if kind == "cron":
        return f"{trigger['expression']} ({zone})"
    if kind == "recurrence":
        plural = "s" if trigger["interval"] != 1 else ""
        number = f"{trigger['interval']} " if plural else ""
        return f"every {number}{trigger['frequency']}{plural} ({zone})"
    if kind == "data":
        return f"new {trigger['data']}"
    if kind == "files":
        return f"files at {trigger['path']}"
    if kind == "drift":
        return f"drift of {trigger['endpoint']}"
    return "webhook"


def _brief(found: Item) -> Item:
    return {key: value for key, value in found.items() if key not in ("job", "created_at")}


def _say_why(firing: Item) -> str:
    detail = firing.get("detail") or {}
    return str(detail.get("why") or (detail.get("error") or {}).get("message") or "")
