"""`mlq online-endpoint`: stable names that answer predictions."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlq.cli.context import confirm, open_client, reference
from mlq.cli.endpoint_file import file_options, one_name, read_endpoint_file
from mlq.cli.output import Column, Item, Output, output_option

if TYPE_CHECKING:
    from rich.console import RenderableType

_ENDPOINT = "Name of the endpoint."
#: Truths that one request to the API takes.
_TRUTHS = 1000


@click.group()
def endpoint() -> None:
    """Stable names that answer predictions."""


@endpoint.command("list")
@output_option
def list_endpoints(output: Output) -> None:
    """List endpoints."""
    columns = [
        Column("NAME", lambda i: str(i["name"]), flexible=True),
        Column("TRAFFIC", lambda i: say_traffic(i.get("traffic"))),
        Column("DEPLOYMENTS", lambda i: ", ".join(_say(d) for d in i.get("deployments") or [])),
    ]
    with open_client() as client:
        output.list(
            client.endpoints.list(limit=None),
            columns,
            name=lambda i: str(i["name"]),
            empty="No endpoints yet. Make one: mlq online-endpoint create NAME",
        )


@endpoint.command()
@reference("NAME", _ENDPOINT)
@output_option
def show(ref: str, output: Output) -> None:
    """Show an endpoint: its address, its deployments and how requests are split."""
    with open_client() as client:
        found = client.endpoints.get(ref)
        url = f"{client.url}/endpoints/{found['name']}/score"
    output.one(found, name=found["name"], render=lambda: _render(found, url=url))


@endpoint.command()
@click.argument("ref", required=False, metavar="NAME")
@click.option("-n", "--name", "named", metavar="NAME", help=_ENDPOINT)
@file_options
@click.option("-d", "--description", help="Shown with the endpoint.")
@output_option
def create(
    ref: str | None,
    named: str | None,
    file: Path | None,
    overrides: tuple[str, ...],
    description: str | None,
    output: Output,
) -> None:
    """Make an endpoint, by name or from an Azure ML v2 endpoint file.

    Traffic in the file is left for `update`: deployments come first, with `mlq online-deployment
    create`.
    """
    written = read_endpoint_file(file, overrides)
    name = one_name(ref or named, written.name)
    with open_client() as client:
        found = client.endpoints.create(
            name, description=description or written.description, tags=written.tags
        )
        url = f"{client.url}/endpoints/{found['name']}/score"
    output.one(found, name=found["name"], render=lambda: _render(found, url=url))


@endpoint.command()
@click.argument("ref", required=False, metavar="NAME")
@click.option("-n", "--name", "named", metavar="NAME", help=_ENDPOINT)
@file_options
@click.option("-d", "--description", help="Shown with the endpoint.")
@click.option(
    "--traffic",
    metavar="'D=PERCENT …'",
    callback=lambda ctx, param, text: None if text is None else parse_traffic(text),
    help="How requests are split between deployments, 100 in all: 'blue=90 green=10'.",
)
@click.option(
    "--mirror-traffic",
    metavar="'D=PERCENT …'",
    callback=lambda ctx, param, text: None if text is None else parse_traffic(text),
    help="Copies of requests: 'green=10'. What answers them is measured and thrown away.",
)
@output_option
def update(
    ref: str | None,
    named: str | None,
    file: Path | None,
    overrides: tuple[str, ...],
    description: str | None,
    traffic: dict[str, int] | None,
    mirror_traffic: dict[str, int] | None,
    output: Output,
) -> None:
    """Change an endpoint: how requests are split or copied, what is said of it."""
    written = read_endpoint_file(file, overrides)
    name = one_name(ref or named, written.name)
    changes: dict[str, Any] = {
        "description": description if description is not None else written.description,
        "tags": written.tags,
        "traffic": traffic if traffic is not None else written.traffic,
        "mirror_traffic": mirror_traffic if mirror_traffic is not None else written.mirror_traffic,
    }
    if all(value is None for value in changes.values()):
        raise click.UsageError("Nothing to change: give --traffic, --mirror-traffic or --file.")
    with open_client() as client:
        found = client.endpoints.update(name, **changes)
        url = f"{client.url}/endpoints/{found['name']}/score"
    output.one(found, name=found["name"], render=lambda: _render(found, url=url))


@endpoint.command()
@reference("NAME", _ENDPOINT)
@output_option
def drift(ref: str, output: Output) -> None:
    """Show how far requests and predictions have moved from the training rows.

    STRANGE: share of values beyond the training values, or of labels that were not among them.
    """
    from mlq.cli.drift import render_drift

    with open_client() as client:
        found = client.endpoints.drift(ref)
    if output.form == "json":
        output.one(found, name="")
        return
    for report in found:
        name = str(report["deployment"])
        output.one(report, name=name, render=partial(render_drift, report))


@endpoint.command()
@reference("NAME", _ENDPOINT)
@click.option("-d", "--deployment", help="Of this deployment only.")
@click.option("--request-id", help="Of this request only: the header x-request-id.")
@click.option("-r", "--max-results", type=click.IntRange(1), default=25, show_default=True)
@output_option
def samples(
    ref: str, deployment: str | None, request_id: str | None, max_results: int, output: Output
) -> None:
    """List requests that were sampled, newest first: what was asked, answered, and is true."""
    columns = [
        Column("REQUEST", lambda i: str(i["request_id"])),
        Column("AT", lambda i: str(i["at"])[:19].replace("T", " ")),
        Column("DEPLOYMENT", lambda i: f"{i['deployment']}{' (copy)' if i['is_copy'] else ''}"),
        Column("VERSION", lambda i: str(i["version"]), right=True),
        Column("ANSWER", lambda i: _say_values(i["predictions"])),
        Column("TRUTH", lambda i: _say_values(i.get("truth") or [])),
        Column("FIRST ROW", _say_first_row, flexible=True),
    ]
    with open_client() as client:
        found = client.endpoints.samples(
            ref, deployment=deployment, request_id=request_id, limit=max_results
        )
    output.list(
        found,
        columns,
        name=lambda i: str(i["request_id"]),
        empty="Nothing is kept: give a deployment data_collector: {sampling_rate: 0.1}.",
    )


@endpoint.command()
@reference("NAME", _ENDPOINT)
@click.option("--request-id", help="The header x-request-id of the answer.")
@click.option("--truth", help="What turned out to be true, JSON or text; of many rows a list.")
@click.option(
    "-f",
    "--file",
    "file",
    type=click.File("r"),
    help='JSON {"request id": truth} or [{"request_id": …, "truth": …}]; - reads stdin.',
)
@output_option
def feedback(
    ref: str, request_id: str | None, truth: str | None, file: Any, output: Output
) -> None:
    """Tell what turned out to be true about predictions, for live accuracy."""
    truths = read_truths(request_id, truth, None if file is None else file.read())
    kept, entries = 0, list(truths.items())
    with open_client() as client:
        for place in range(0, len(entries), _TRUTHS):
            kept += client.endpoints.give_feedback(ref, dict(entries[place : place + _TRUTHS]))
    output.one({"name": ref, "kept": kept}, name=ref)


@endpoint.command()
@reference("NAME", _ENDPOINT)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_option
def delete(ref: str, yes: bool, output: Output) -> None:
    """Remove an endpoint and its deployments; the models stay."""
    if not yes:
        confirm(f"Remove endpoint {ref}? It stops answering at once.")
    with open_client() as client:
        client.endpoints.delete(ref)
    output.one({"name": ref, "deleted": True}, name=ref)


@endpoint.command()
@reference("NAME", _ENDPOINT)
@click.option(
    "-r",
    "--request-file",
    type=click.File("r"),
    help='JSON {"rows": [{…}]} or a list of rows; - reads stdin.',
)
@click.option("--row", "rows", multiple=True, metavar="JSON", help="One row; repeatable.")
@click.option("-d", "--deployment-name", help="Ask this deployment, whatever the traffic says.")
@click.option("--probabilities", is_flag=True, help="The probability of each class too.")
@output_option
def invoke(
    ref: str,
    request_file: Any,
    rows: tuple[str, ...],
    deployment_name: str | None,
    probabilities: bool,
    output: Output,
) -> None:
    """Ask for predictions."""
    body = _read_body(request_file, rows)
    if probabilities:
        body["params"] = {**body.get("params", {}), "probabilities": True}
    with open_client() as client:
        answer = client.endpoints.score(ref, body, deployment=deployment_name)
    if output.form == "json":
        output.one(answer, name="")
        return
    for index, value in enumerate(answer["predictions"]):
        shares = answer.get("probabilities") or []
        told = "  ".join(f"{k} {v:.3f}" for k, v in shares[index].items()) if shares else ""
        print(f"{value}  {told}".rstrip())
    if output.form == "table":
        by = f", deployment {answer['deployment']}" if answer.get("deployment") else ""
        print(f"({answer.get('model', ref)}{by})", file=sys.stderr)


def parse_traffic(text: str) -> dict[str, int]:
    """`blue=90 green=10` as a mapping. Raises click.BadParameter."""
    traffic: dict[str, int] = {}
    for part in text.replace(",", " ").split():
        name, _, percent = part.partition("=")
        if not name or not percent.isdecimal():
            raise click.BadParameter(f"'{part}' is not DEPLOYMENT=PERCENT.", param_hint="--traffic")
        traffic[name] = int(percent)
    return traffic


def say_traffic(traffic: Any) -> str:
    """`blue 90 %, green 10 %`; deployments without traffic left out."""
    return ", ".join(f"{name} {share} %" for name, share in (traffic or {}).items() if share)


def _say(deployment: Item) -> str:
    version = deployment.get("version")
    return f"{deployment['name']} (v{version})" if version is not None else str(deployment["name"])


def _render(found: Item, *, url: str) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Text.assemble((str(found["name"]), "bold"), "  ", (url, "dim"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("DEPLOYMENT", "MODEL", "VERSION", "TRAFFIC"):
        table.add_column(title, no_wrap=True, justify="right" if title == "TRAFFIC" else "left")
    traffic = found.get("traffic") or {}
    for item in found.get("deployments") or []:
        version = f"v{item['version']}" if item.get("version") is not None else "-"
        share = f"{traffic.get(item['name'], 0)} %"
        table.add_row(str(item["name"]), str(item.get("model") or ""), version, share)
    if not found.get("deployments"):
        return Group(head, "No deployments yet.")
    if copies := say_traffic(found.get("mirror_traffic")):
        return Group(head, table, Text(f"copies of requests: {copies}", style="dim"))
    return Group(head, table)


def _read_body(request_file: Any, rows: tuple[str, ...]) -> dict[str, Any]:
    if (request_file is None) == (not rows):
        raise click.UsageError("Give either --request-file or --row.")
    try:
        if rows:
            return {"rows": [json.loads(row) for row in rows]}
        content = json.load(request_file)
    except ValueError as error:
        where = Path(request_file.name).name if request_file is not None else "--row"
        raise click.BadParameter(f"{where} is not JSON: {error}") from None
    return content if isinstance(content, dict) else {"rows": content}


def read_truths(request_id: str | None, truth: str | None, written: str | None) -> dict[str, Any]:
    """Request id -> truth, from options or from a file's text. Raises click.UsageError."""
    if written is None:
        if request_id is None or truth is None:
            raise click.UsageError("Give --request-id and --truth, or --file.")
        try:
            return {request_id: json.loads(truth)}
        except ValueError:
            return {request_id: truth}
    if request_id is not None or truth is not None:
        raise click.UsageError("--file has both: leave out --request-id and --truth.")
    try:
        found = json.loads(written)
    except ValueError as error:
        raise click.UsageError(f"The file is no JSON: {error}.") from None
    if isinstance(found, dict):
        found = found.get("items") or [
            {"request_id": key, "truth": value} for key, value in found.items()
        ]
    if not isinstance(found, list) or not found:
        raise click.UsageError("The file has no truths.")
    for place, item in enumerate(found):
        if not isinstance(item, dict) or not {"request_id", "truth"} <= item.keys():
            raise click.UsageError(f"Entry {place} of the file lacks request_id or truth.")
    return {str(item["request_id"]): item["truth"] for item in found}


def _say_values(values: Any) -> str:
    shown = ", ".join(str(value) for value in values[:3])
    return f"{shown}, …" if len(values) > 3 else shown


def _say_first_row(item: Item) -> str:
    return " ".join(f"{name}={values[0]}" for name, values in item["columns"].items() if values)
