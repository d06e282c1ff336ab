"""`mlq doctor`: what is well, what is not, and the fix."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mlq.cli.output import Output, make_console, output_option
from mlq.errors import MlqError

if TYPE_CHECKING:
    from mlq.client.documents import Finding
    from mlq.settings import Settings

_START = "Start a server with `mlq up`, or set MLQ_API_URL to the address of one."


@click.command()
@click.option("--audit", is_flag=True, help="Also replay the history and read every output.")
@output_option
def doctor(output: Output, audit: bool) -> int:
    """Check settings, server, token, database, broker, artifacts and workers.

    Also works while no server runs. Exits with 0 when all is well, with 3 when no server answers,
    else with 1.
    """
    findings: list[Finding] = []
    for finding in examine(audit=audit):
        findings.append(finding)
        if output.form == "table":
            _print(finding)
    failed = [finding for finding in findings if not finding["ok"]]
    if output.form == "json":
        output.one({"ok": not failed, "checks": findings}, name="")
    elif output.form == "name":
        for finding in failed:
            print(finding["name"])
    elif failed:
        make_console().print(f"\n{len(failed)} of {len(findings)} checks failed.")
    else:
        make_console().print(f"\nAll {len(findings)} checks passed.")
    if any(finding["name"] in ("address", "server") for finding in failed):
        return 3
    return 1 if failed else 0


def examine(*, audit: bool = False) -> Iterator[Finding]:
    """Each finding as it is made; those that need an earlier one to be well come after it."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield _finding("python", True, f"{version}, {sys.executable}")
    try:
        from mlq.settings import load_settings

        settings = load_settings()
    except MlqError as error:
        yield _finding("settings", False, error.message, fix=error.hint)
        return
    yield _finding("settings", True, f"MLQ_HOME {settings.home}")
    yield from _examine_home(settings)
    if not settings.api_url:
        yield _finding(
            "address", False, "MLQ_API_URL is not set, and no `mlq up` runs here", fix=_START
        )
        return
    yield _finding("address", True, settings.api_url)
    yield from _examine_server(settings, audit=audit)


def _examine_home(settings: Settings) -> Iterator[Finding]:
    """Files that only their owner should read."""
    from mlq.settings import SERVER_FILE, TOKEN_FILE

    for file in (settings.home / TOKEN_FILE, settings.home / SERVER_FILE):
        if file.is_file() and file.stat().st_mode & 0o077:
            yield _finding(
                file.name, False, f"{file} is readable by others", fix=f"chmod 600 {file}"
            )


def _examine_server(settings: Settings, *, audit: bool) -> Iterator[Finding]:
    from mlq import __version__
    from mlq.client import Client

    with Client(settings.api_url, settings.token.get_secret_value()) as client:
        try:
            health = client.server.health()
        except MlqError as error:
            yield _finding("server", False, error.message, fix=error.hint or _START)
            return
        theirs = health.get("version")
        yield _finding("server", True, "answers" + (f", version {theirs}" if theirs else ""))
        if theirs and theirs != __version__:
            fix = "Install the same version on both sides."
            yield _finding("version", False, f"here {__version__}, server {theirs}", fix=fix)
        try:
            me = client.server.whoami()
        except MlqError as error:
            fix = error.hint or "Set MLQ_TOKEN; an admin makes one with `mlq token create`."
            yield _finding("token", False, error.message, fix=fix)
            return
        yield _finding("token", True, f"{me['name']} ({me['role']})")
        if me["role"] != "admin":
            ready = client.server.ready()
            well = ready.get("status") == "ok"
            checks = ", ".join(f"{k} {v}" for k, v in (ready.get("checks") or {}).items())
            detail = checks or str(ready.get("detail") or ready.get("status"))
            yield _finding("ready", well, detail, fix="An admin's `mlq doctor` says more.")
            return
        try:
            yield from client.server.doctor(audit=audit)["checks"]
        except MlqError as error:
            yield _finding("checks", False, error.message, fix=error.hint)


def _finding(name: str, ok: bool, detail: str, *, fix: str = "") -> Finding:
    return {"name": name, "ok": ok, "detail": detail, "fix": "" if ok else fix}


def _print(finding: Finding) -> None:
    from rich.text import Text

    console = make_console()
    mark = ("ok  ", "green") if finding["ok"] else ("FAIL", "bold red")
    console.print(Text.assemble(mark, f"  {finding['name']:<10}  ", finding["detail"]))
    if not finding["ok"] and finding["fix"]:
        console.print(Text.assemble(("      fix: ", "cyan"), finding["fix"]))
