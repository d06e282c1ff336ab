"""`mlq approval`: steps that wait for a person."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from mlq.cli.context import open_client, reference
from mlq.cli.output import Column, Item, Output, output_option

if TYPE_CHECKING:
    from rich.console import RenderableType

_REF = "The approval, or the job in which it waits: an id, a name or @last."


@click.group()
def approval() -> None:
    """Steps that wait for a person to decide."""


@approval.command("list")
@output_option
def list_approvals(output: Output) -> None:
    """List what waits for a decision, the oldest first."""
    from mlq.cli.words import say_age, short_id

    now = datetime.now(UTC)
    columns = [
        Column("ID", lambda i: short_id(i["id"])),
        Column("JOB", lambda i: str(i["root_name"]), flexible=True),
        Column("STEP", lambda i: str(i["path"])),
        Column("MESSAGE", lambda i: str(i.get("message") or ""), flexible=True),
        Column("SINCE", lambda i: say_age(i["waiting_since"], now=now)),
        Column("WHO", lambda i: ", ".join(i["approvers"]) or str(i["role"])),
    ]
    with open_client() as client:
        output.list(
            client.approvals.list(limit=None),
            columns,
            name=lambda i: str(i["id"]),
            empty="Nothing waits for a decision.",
        )


@approval.command()
@reference("JOB", _REF)
@output_option
def show(ref: str, output: Output) -> None:
    """Show what is to be decided, with the numbers of the steps before."""
    with open_client() as client:
        found = client.approvals.get(ref)
    output.one(found, name=found["id"], render=lambda: _render(found))


@approval.command()
@reference("JOB", _REF)
@click.option("-c", "--comment", default="", help="Kept with the decision.")
@output_option
def approve(ref: str, comment: str, output: Output) -> None:
    """Let the pipeline go on."""
    with open_client() as client:
        decided = client.approvals.approve(ref, comment=comment)
    output.one({"id": decided["id"], "decision": "approved"}, name=decided["id"])


@approval.command()
@reference("JOB", _REF)
@click.option("-c", "--comment", default="", help="Kept with the decision.")
@output_option
def reject(ref: str, comment: str, output: Output) -> None:
    """End the pipeline as rejected."""
    with open_client() as client:
        decided = client.approvals.reject(ref, comment=comment)
    output.one({"id": decided["id"], "decision": "rejected"}, name=decided["id"])


def _render(found: Item) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from mlq.cli.words import say_number

    head = Text.assemble(
        (f"{found['root_name']}.{found['path']}", "bold"), "  ", str(found.get("message") or "")
    )
    who = ", ".join(found["approvers"]) or f"any {found['role']}"
    lines = [head, Text(f"May decide: {who}", style="dim")]
    if found.get("expires_at"):
        lines.append(Text(f"Turned down by itself at {found['expires_at']}", style="dim"))
    for name, given in found["subject"].items():
        shown = given.get("value") if "value" in given else given.get("name") or given.get("digest")
        lines.append(Text(f"{name}: {shown}"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("STEP", "METRIC", "VALUE"):
        table.add_column(title, no_wrap=True)
    for step, metrics in found["numbers"].items():
        for key, value in metrics.items():
            table.add_row(step, key, say_number(value))
    return Group(*lines, table) if found["numbers"] else Group(*lines)
