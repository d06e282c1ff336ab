"""`mlq webhook`: who is told of events."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from mlq.cli.context import confirm, open_client, reference
from mlq.cli.output import Column, Output, output_option, talk

_NAME = "Name of the webhook."


@click.group()
def webhook() -> None:
    """Who is told of events: programs, a chat, people by e-mail. For administrators."""


@webhook.command()
@reference("NAME", _NAME)
@click.option("--to", "target", required=True, metavar="URL", help="An address, or an e-mail's.")
@click.option(
    "--form",
    type=click.Choice(("json", "slack", "email")),
    default="json",
    show_default=True,
    help="What is sent: the event, a line for a chat, or a mail.",
)
@click.option(
    "--on",
    "kinds",
    multiple=True,
    required=True,
    metavar="KIND",
    help="Kind of event, e.g. job.fail, or model for all of models; repeatable.",
)
@output_option
def create(ref: str, target: str, form: str, kinds: tuple[str, ...], output: Output) -> None:
    """Make a webhook, or change the one of that name."""
    with open_client() as client:
        made = client.webhooks.put(ref, form=form, target=target, kinds=kinds)
    output.one(made, name=made["name"])
    if made.get("secret"):
        talk("The receiver checks signatures with the secret; it is not shown again.")


@webhook.command("list")
@output_option
def list_webhooks(output: Output) -> None:
    """List webhooks."""
    columns = [
        Column("NAME", lambda i: str(i["name"]), flexible=True),
        Column("FORM", lambda i: str(i["form"])),
        Column("TO", lambda i: str(i["target"]), flexible=True),
        Column("ON", lambda i: ", ".join(i["kinds"])),
    ]
    with open_client() as client:
        output.list(
            client.webhooks.list(),
            columns,
            name=lambda i: str(i["name"]),
            empty="No webhooks. Make one: mlq webhook create NAME --to URL --on job.fail",
        )


@webhook.command()
@reference("NAME", _NAME)
@output_option
def test(ref: str, output: Output) -> None:
    """Send a test message; `mlq webhook deliveries` says what came of it."""
    with open_client() as client:
        sent = client.webhooks.test(ref)
    output.one(sent, name=sent["id"])


@webhook.command()
@reference("NAME", _NAME)
@click.option("-r", "--max-results", type=click.IntRange(1), default=25, show_default=True)
@output_option
def deliveries(ref: str, max_results: int, output: Output) -> None:
    """List what was sent, newest first."""
    from mlq.cli.words import say_age, short_id

    now = datetime.now(UTC)
    columns = [
        Column("ID", lambda i: short_id(i["id"])),
        Column("EVENT", lambda i: str(i["kind"])),
        Column("STATE", lambda i: str(i["state"])),
        Column("TRIES", lambda i: str(i["tries"]), right=True),
        Column("MADE", lambda i: say_age(i["created_at"], now=now)),
        Column("ERROR", lambda i: str(i.get("error") or ""), flexible=True),
    ]
    with open_client() as client:
        found = client.webhooks.deliveries(ref, limit=max_results)
    output.list(found, columns, name=lambda i: str(i["id"]), empty="Nothing was sent yet.")


@webhook.command()
@reference("NAME", _NAME)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def delete(ref: str, yes: bool, output: Output) -> None:
    """Remove a webhook with its log."""
    if not yes:
        confirm(f"Remove webhook {ref}?")
    with open_client() as client:
        client.webhooks.delete(ref)
    output.one({"name": ref, "deleted": True}, name=ref)
