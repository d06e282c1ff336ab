"""What `mlq up` says once everything answers: one block, at most 80 columns wide."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH = 80
_LABEL = 11
#: 10 minutes: `mlq.service.tokens.LOGIN_LIFETIME_S`.
LINK_NOTE = "(logs in once, within 10 minutes; later: by the token below)"


def compose(
    *,
    api_url: str,
    login: str,
    workers: Sequence[str],
    home: Path,
    has_flower: bool,
    forwarding: str | None = None,
) -> str:
    """The block. login: one-time token; workers: such as `2 x cpu`; forwarding: an ssh command."""
    rows = [("Console", f"{api_url}/login?token={login}"), ("", LINK_NOTE)]
    if has_flower:
        rows.append(("Flower", f"{api_url}/flower/"))
    rows += [
        ("Workers", ", ".join(workers) or "none: start some with `mlq worker -Q cpu`"),
        ("State", f"{_short(home)}  (token, logs/)"),
        ("Try", "mlq job create -f FILE --stream"),
    ]
    lines = ["mlq is up.", ""]
    lines += [f"  {label:<{_LABEL}}{text}" for label, text in rows]
    if forwarding:
        lines += ["", "From your own computer, forward the port first:", f"  {forwarding}"]
    return "\n".join([*lines, "", "Ctrl-C stops everything."])


def farewell(*, drain_grace_s: float) -> str:
    """What is said when the end was asked for. drain_grace_s: what running steps are given."""
    return (
        f"Stopping: running steps have {drain_grace_s:g} s to end, then they are handed back.\n"
        "Ctrl-C again hurries; nothing is lost, they run anew after the next start."
    )


def forwarding_line(environ: Mapping[str, str], *, host: str, port: int) -> str | None:
    """The ssh command that brings the console to the computer one has logged in from.

    None where nobody came in by ssh, or where the address is open to the network anyway.
    """
    try:
        _, _, server, server_port = environ.get("SSH_CONNECTION", "").split()
    except ValueError:
        return None
    if host not in {"127.0.0.1", "localhost", "::1"}:
        return None
    option = "" if server_port == "22" else f"-p {server_port} "
    return f"ssh -N {option}-L {port}:127.0.0.1:{port} {getpass.getuser()}@{server}"


def reachable_url(host: str, port: int) -> str:
    """How a client on this machine reaches what binds `host`:`port`."""
    if host in {"0.0.0.0", "::", ""}:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def network_url(host: str, port: int) -> str | None:
    """How other machines reach it; None when only this one does."""
    names = network_names(host)
    return f"http://{names[0]}:{port}" if names else None


def network_names(host: str) -> list[str]:
    """Names and addresses of this machine, where `host` binds all of them; its host name first."""
    if host not in {"0.0.0.0", "::"}:
        return []
    name = socket.gethostname()
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return [name]
    addresses = [str(address[0]) for *_, address in found]
    return list(dict.fromkeys([name, *(f"[{a}]" if ":" in a else a for a in addresses)]))


def _short(path: Path) -> str:
    """The path with ~ for the user's own folder."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)
