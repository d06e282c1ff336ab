"""`mlq rollout`: a version reaches production by stages, or not at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mlq.cli.context import open_client, reference
from mlq.cli.output import Column, Item, Output, output_option
from mlq.errors import NotFoundError

_ENDPOINT = "Name of the endpoint."
_REASON = click.option("--reason", default="", help="Kept in the audit log.")


@click.group()
def rollout() -> None:
    """Bring a version to production by stages: mirror, canary, all."""


@rollout.command()
@reference("ENDPOINT", _ENDPOINT)
@click.option("--model", required=True, help="The version: models:/NAME/4.")
@click.option("-a", "--alias", default="production", show_default=True, help="Moves at the end.")
@click.option(
    "-f",
    "--file",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The policy, YAML: mirror, canary, abort.",
)
@output_option
def start(ref: str, model: str, alias: str, file: Path, output: Output) -> None:
    """Begin; the leading worker drives it on from here."""
    from mlq.spec import read_document
    from mlq.spec.rollout import read_policy

    policy = read_document(file.read_bytes(), file=str(file)).data
    read_policy(policy, path="")  # what is wrong is said before anything is sent
    with open_client() as client:
        made = client.endpoints.roll_out(ref, model=model, policy=policy, alias=alias)
        if made is None:
            output.one({"endpoint": ref, "model": model, "phase": "deployed at once"}, name=ref)
            return
    output.one(made, name=ref)


@rollout.command("list")
@reference("ENDPOINT", _ENDPOINT)
@click.option("-r", "--max-results", type=click.IntRange(1), default=25, show_default=True)
@output_option
def list_rollouts(ref: str, max_results: int, output: Output) -> None:
    """List the rollouts of an endpoint, newest first."""
    columns = [
        Column("MODEL", lambda i: str(i["model"])),
        Column("ALIAS", lambda i: str(i["alias"])),
        Column("PHASE", lambda i: str(i["phase"])),
        Column("STAGE", say_stage),
        Column("BY", lambda i: str(i["created_by"])),
        Column("WHY", lambda i: str(i.get("reason") or ""), flexible=True),
    ]
    with open_client() as client:
        found = client.endpoints.rollouts(ref, limit=max_results)
    output.list(found, columns, name=lambda i: str(i["id"]), empty="No rollouts yet.")


@rollout.command()
@reference("ENDPOINT", _ENDPOINT)
@output_option
def show(ref: str, output: Output) -> None:
    """Show the newest rollout of an endpoint, and what was measured in the last five minutes."""
    with open_client() as client:
        found = client.endpoints.rollouts(ref, limit=1)
        if not found:
            raise NotFoundError(f"Endpoint {ref} has had no rollout.")
        measured = client.endpoints.measurements(ref)["items"]
    output.one({**found[0], "measured": measured}, name=found[0]["id"])


@rollout.command()
@reference("ENDPOINT", _ENDPOINT)
@_REASON
@output_option
def freeze(ref: str, reason: str, output: Output) -> None:
    """Keep it where it is: nothing is judged, nothing moves."""
    _steer(ref, "freeze", reason, output)


@rollout.command()
@reference("ENDPOINT", _ENDPOINT)
@_REASON
@output_option
def resume(ref: str, reason: str, output: Output) -> None:
    """Let a frozen rollout go on; its stage begins again."""
    _steer(ref, "resume", reason, output)


@rollout.command()
@reference("ENDPOINT", _ENDPOINT)
@_REASON
@output_option
def abort(ref: str, reason: str, output: Output) -> None:
    """End it: what served before serves all."""
    _steer(ref, "abort", reason, output)


@rollout.command()
@reference("ENDPOINT", _ENDPOINT)
@click.argument("metrics", nargs=-1, required=True, metavar="METRIC=VALUE...")
@output_option
def tell(ref: str, metrics: tuple[str, ...], output: Output) -> None:
    """Tell metrics of your own about the candidate: those that the policy names."""
    with open_client() as client:
        output.one(client.endpoints.tell_metrics(ref, read_metrics(metrics)), name=ref)


def read_metrics(words: Sequence[str]) -> dict[str, float]:
    """`conversion=0.03` as a mapping. Raises click.BadParameter."""
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise click.BadParameter(f"{word!r} is not METRIC=VALUE.") from None
        if not name or not math.isfinite(found[name]):
            raise click.BadParameter(f"{word!r} is not METRIC=VALUE.")
    return found


def say_stage(item: Item) -> str:
    """`canary 5 %`: where a rollout is, or was when it ended."""
    policy = item["policy"]
    stages = [("mirror", policy["mirror"])] if "mirror" in policy else []
    stages += [("canary", one) for one in policy.get("canary") or []]
    kind, stage = stages[item["stage"]]
    return f"{kind} {stage['percent']} %"


def _steer(ref: str, act: Any, reason: str, output: Output) -> None:
    with open_client() as client:
        output.one(client.endpoints.steer_rollout(ref, act, reason=reason), name=ref)
