"""`mlq token`: access tokens."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from mlq.cli.context import open_client
from mlq.cli.output import Column, Output, output_option, talk

ROLES = ("viewer", "submitter", "admin")


@click.group()
def token() -> None:
    """Access tokens. Roles: viewer (reads), submitter (also runs jobs), admin (everything)."""


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="submitter", show_default=True)
@click.option("--expires-in-days", type=click.IntRange(1), help="Worthless after so many days.")
@click.option("--project", help="The only project that it reaches.")
@output_option
def create(
    name: str, role: str, expires_in_days: int | None, project: str | None, output: Output
) -> None:
    """Make a token. It is shown once; only its fingerprint is kept."""
    seconds = None if expires_in_days is None else expires_in_days * 86_400
    with open_client() as client:
        made = client.tokens.create(name, role=role, expires_in_s=seconds, project=project)
    if output.form != "table":
        output.one(made, name=made["token"])
        return
    print(made["token"])
    talk(f"Token {made['name']} ({made['role']}). Use it as MLQ_TOKEN; it is not shown again.")


@token.command("list")
@output_option
def list_tokens(output: Output) -> None:
    """List tokens, without their secrets."""
    from mlq.cli.words import say_age, short_id

    now = datetime.now(UTC)
    columns = [
        Column("ID", lambda i: short_id(i["id"])),
        Column("NAME", lambda i: str(i["name"]), flexible=True),
        Column("ROLE", lambda i: str(i["role"])),
        Column("PROJECT", lambda i: str(i.get("project") or "all")),
        Column("USED", lambda i: say_age(i.get("last_used_at"), now=now)),
        Column("CREATED", lambda i: say_age(i.get("created_at"), now=now)),
        Column("EXPIRES", lambda i: str(i.get("expires_at") or "never")[:10]),
    ]
    with open_client() as client:
        output.list(client.tokens.list(), columns, name=lambda i: str(i["id"]), empty="No tokens.")


@token.command()
@click.argument("ref", metavar="TOKEN")
@output_option
def revoke(ref: str, output: Output) -> None:
    """Make a token worthless at once. TOKEN: its id, the beginning of one, or its name."""
    from mlq.errors import ConflictError, NotFoundError, nearest

    with open_client() as client:
        known = client.tokens.list()
        found = [t for t in known if t["id"].startswith(ref) or t["name"] == ref]
        if not found:
            close = nearest(ref, [t["name"] for t in known])
            raise NotFoundError(
                f"There is no token '{ref}'.", hint=f"Did you mean '{close}'?" if close else ""
            )
        if len(found) > 1:
            ids = ", ".join(t["id"] for t in found)
            raise ConflictError(f"'{ref}' names several tokens: {ids}.", hint="Name one by its id.")
        client.tokens.revoke(found[0]["id"])
    output.one({**found[0], "revoked": True}, name=found[0]["id"])
